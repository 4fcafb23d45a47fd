"""Where checkpoints lie, found by the run that they belong to."""

from __future__ import annotations

from pathlib import Path

from connectomics.errors import CheckpointError

FOLDER = "checkpoints"
"""The folder of a run that they lie in."""

LAST = "last.ckpt"
"""The checkpoint of the last validation, or of the step at which a training was stopped."""


def find_checkpoint(path: Path) -> Path:
    """Find the checkpoint that a path names: itself, or the last one of a run's folder.

    Args:
        path: A checkpoint, a run folder or its `checkpoints` folder.

    Raises:
        CheckpointError: It is a folder without a `last.ckpt`, or may not be looked into.
    """
    try:
        if not path.is_dir():
            return path
        for found in (path / LAST, path / FOLDER / LAST):
            if found.is_file():
                return found
        other = newest(path, f"*/{FOLDER}/{LAST}") or newest(path, "*.ckpt")
    except OSError as error:
        problem = f"may not be read ({error.strerror})."
        raise CheckpointError(str(path)[:200], problem, "Check its permissions.") from error
    raise CheckpointError(
        str(path),
        f"is a folder without {LAST} or checkpoints/{LAST}.",
        f"The newest checkpoint below it is {other}" if other else "Name a .ckpt file.",
    )


def newest_beside(path: Path) -> Path | None:
    """Find the newest checkpoint of the experiment that a path, to a run or into one, names."""
    folders = (path.parent, path.parent.parent.parent)
    found = (newest(folder, f"*/{FOLDER}/{LAST}") for folder in folders)
    return next(filter(None, found), None)


def newest(folder: str | Path, pattern: str) -> Path | None:
    """Find the newest file below a folder that matches, such as `*/checkpoints/last.ckpt`."""
    found = [path for path in Path(folder).glob(pattern) if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)
