"""Files that are either whole or not there.

Whatever is written goes to a temporary name beside its final one and is moved into place
when it is complete, so an interrupted run leaves no half file under a final name.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from connectomics.errors import DataError, Fault
from connectomics.process.failures import ELSEWHERE, OTHER_FOLDERS
from connectomics.process.signals import unbroken

if TYPE_CHECKING:
    import h5py

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

NEW = ".new_"
"""What the name of a folder begins with whose files are not whole yet."""

LOCK = ".lock"


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
    with writing_to(path), temporary_folder(path.parent) as folder:
        temporary = folder / path.name
        yield temporary
        _move_into_place(temporary, path)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Make a folder for what is not whole yet; it is removed in the end.

    What killed programs have left of this kind in the same place is removed first. Each folder
    has a lock, which the system releases when the program that holds it ends, however it ends.

    Args:
        parent: Where the finished files will go. It is made.

    Yields:
        The folder, on the disk of `parent`.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{NEW}*"):
        _remove_if_abandoned(left)
    with (
        tempfile.TemporaryDirectory(
            prefix=NEW,
            dir=parent,
            ignore_cleanup_errors=True,  # what cannot be removed is no reason to fail
        ) as name,
        Path(name, f"{LOCK}ed").open("w") as lock,
    ):
        if _hold(lock):
            Path(lock.name).rename(Path(name, LOCK))
        yield Path(name)


def _remove_if_abandoned(folder: Path) -> None:
    with suppress(OSError), (folder / LOCK).open("r+") as lock:
        if _hold(lock):
            shutil.rmtree(folder, ignore_errors=True)


def _hold(lock: IO[str]) -> bool:
    """Take a lock that ends with this program; False where another has it, or there are none."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class FailSafeFile(io.FileIO):
    """A file that remembers the first write the disk refused and lets the rest fall through.

    HDF5 cannot close a file whose last blocks do not fit: its handle stays open half-written and
    the process dies of a segmentation fault at exit (HDF5 2.0, disk full or quota reached). So
    HDF5 is told that all went well, and whoever opened the file asks `failure` afterwards.
    """

    failure: OSError | None = None

    @unbroken
    def write(self, data: Any, /) -> int:
        """Write all of `data`, unless an earlier write failed."""
        rest = memoryview(data).cast("B")
        length = len(rest)
        while rest and self.failure is None:
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.failure = error
        return length

    @unbroken
    def truncate(self, size: int | None = None, /) -> int:
        """Set the file's length, unless an earlier write failed."""
        if self.failure is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self.failure = error
        return size or 0

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if self.failure is not None:
            raise self.failure


@contextmanager
def write_hdf5(path: Path) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """Open a file, or make it, such that a full disk is an error like any other.

    Yields:
        The file, and a function that raises if the disk refused something.

    Raises:
        OSError: The disk did not take all of it.
    """
    import h5py

    stream = FailSafeFile(path, "r+" if path.exists() else "w+")
    try:
        with h5py.File(stream, "r+" if path.stat().st_size else "w") as file:
            yield file, stream.check
    except (OSError, RuntimeError) as error:
        raise stream.failure or error from None
    finally:
        stream.close()
    stream.check()


@contextmanager
def writing_to(path: str | Path, remedy: str = ELSEWHERE) -> Iterator[None]:
    """Say in plain words why nothing could be written to `path`.

    Args:
        path: A file or folder.
        remedy: How to name another place.

    Raises:
        DataError: An operating-system error (no permission, no space) came up inside.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        final = Path(*(part for part in Path(path).parts if not part.startswith(NEW)))
        if isinstance(error, NotADirectoryError | FileExistsError) and (file := _in_the_way(final)):
            raise DataError.of([_of_file_in_the_way(final, file)]) from error
        raise DataError(str(final), f"cannot be written: {reason}.", remedy) from error


def require_writable(*folders: Path) -> None:
    """Refuse folders, there or not, below which nothing can be written, at a glance.

    Raises:
        DataError: The nearest that is there is read-only, not this user's, or a file.
    """
    faults = []
    for folder in folders:
        there = next(one for one in (folder, *folder.parents) if one.exists())
        if not there.is_dir():
            faults.append(_of_file_in_the_way(folder, there))
        elif not os.access(there, os.W_OK | os.X_OK):
            knows = hasattr(os, "statvfs")  # Windows does not
            read_only = knows and os.statvfs(there).f_flag & os.ST_RDONLY
            reason = os.strerror(errno.EROFS if read_only else errno.EACCES)
            faults.append(Fault(str(folder), f"cannot be written: {reason}.", ELSEWHERE))
    if faults:
        raise DataError.of(faults)


def _in_the_way(path: Path) -> Path | None:
    """The file that is where a folder should be for something to be written there."""
    return next((one for one in (path, *path.parents) if one.exists() and not one.is_dir()), None)


def _of_file_in_the_way(path: Path, file: Path) -> Fault:
    problem = f"cannot be written: {file} is a file, where a folder has to be."
    return Fault(str(path), problem, f"Move that file away, or {OTHER_FOLDERS}")


@unbroken
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
