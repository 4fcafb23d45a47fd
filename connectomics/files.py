"""Files that are either whole or not there.

Whatever is written goes to a temporary name beside its final one and is moved into place
when it is complete, so an interrupted run leaves no half file under a final name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connectomics.errors import DataError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write; move it to `path` when the block ends well.

    Works for files and for folders (a Zarr store). The temporary name keeps the suffix, so
    writers that choose a format by it behave. When the block fails, what was written is
    removed and whatever stood at `path` before is untouched.

    Args:
        path: The final place. Its parent folders are made.

    Yields:
        A path in the same folder that does not exist yet.

    Raises:
        DataError: The folder cannot be written, or the disk is full.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "note.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(folder) / "note.txt").read_text()
    'whole'
    """
    path = Path(path)
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{path.stem}.",
            dir=path.parent,
            ignore_cleanup_errors=True,  # what cannot be removed is no reason to fail
        ) as folder:
            temporary = Path(folder) / path.name
            yield temporary
            _move_into_place(temporary, path)


@contextmanager
def writing_to(path: str | Path) -> Iterator[None]:
    """Say in plain words why nothing could be written to `path`.

    Raises:
        DataError: An operating-system error (no permission, no space) came up inside.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            str(path),
            f"cannot be written: {reason}.",
            "Free some space or choose a folder you may write to (save_path=FOLDER; output=FOLDER "
            "without a config).",
        ) from error


def _move_into_place(temporary: Path, path: Path) -> None:
    if not temporary.is_dir() or not path.is_dir() or path.is_symlink():
        temporary.replace(path)  # refuses to put a file where a folder stands
        return
    # A folder cannot be replaced in one step: keep the old one until the new one is there.
    old = temporary.with_name(f"{temporary.name}.old")
    path.replace(old)
    try:
        temporary.replace(path)
    except OSError:
        old.replace(path)
        raise
