"""The file of a study: Optuna's journal, that outlives kills and full disks.

It holds a line for each finished trial, and a few for the study itself. What was cut short is
the last line at most, and that is left out when the file is opened again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from connectomics.errors import DataError
from connectomics.files import atomic_path, writing_to
from connectomics.keeping import keep_earlier

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

FIRST = b'{"op_code":'
"""How every line begins."""


class Journal(JournalFileBackend):
    """Optuna's file, without its lock: that outlives a process that is killed while it has it.

    Use it under `alone_with`.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        super().__init__(str(file), lock_obj=_NoLock(str(file)))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines, all or none.

        Raises:
            OSError: The disk is full.
        """
        size = self.file.stat().st_size
        try:
            super().append_logs(logs)
        except OSError:
            with suppress(OSError):
                os.truncate(self.file, size)
            raise


class _NoLock(JournalFileOpenLock):
    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return


@contextmanager
def alone_with(file: Path) -> Iterator[None]:
    """Keep other programs from a study; the system lets go when this one ends, however it does.

    Raises:
        DataError: Another program is at work on it, or it cannot be written.
    """
    with writing_to(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        stream = file.open("ab")
    with stream:
        _lock(file, stream)
        yield


def _lock(file: Path, stream: IO[bytes]) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DataError(
            str(file),
            "is being searched by another program.",
            "Wait for its end: two searches would make the same trials.",
        ) from error
    except OSError:  # a file system without locks
        return


def cut_torn_end(file: Path) -> None:
    """Leave out what was not written to its end, so that the study can be gone on with.

    Where whole lines follow a broken one, the file as it was is kept in `earlier/`.
    """
    content = file.read_bytes()
    whole = _whole_lines(content)
    rest = content[len(whole) :]
    if not rest or not (whole or rest.startswith(FIRST) or FIRST.startswith(rest)):
        return  # nothing is torn, or it is another kind of file
    with writing_to(file):
        if b"\n" in rest[:-1]:
            with atomic_path(file) as temporary:
                temporary.write_bytes(whole)
                kept = keep_earlier(file)
            print(f"tune: {file} is damaged, and goes on from what is whole. It is kept as {kept}")
        else:
            os.truncate(file, len(whole))
            print(f"tune: the last entry of {file} was cut short, and is left out")


def _whole_lines(content: bytes) -> bytes:
    r"""The lines before the first that is none.

    >>> _whole_lines(b'{"op_code":0}\n{"op_code":8}\n{"op_co')
    b'{"op_code":0}\n{"op_code":8}\n'
    """
    end = 0
    for line in content.splitlines(keepends=True):
        if not (line.endswith(b"\n") and _is_entry(line)):
            break
        end += len(line)
    return content[:end]


def _is_entry(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
