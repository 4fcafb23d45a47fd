"""Who works on an artifact: one command, or the shards of one job array."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

from connectomics.errors import MachineError
from connectomics.files import writing_to

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = ".lock"

PATIENCE = 10.0
"""Seconds that a shard waits for the first one of its array to let the others in."""


class Shard(NamedTuple):
    """One of the shares of a job array.

    Attributes:
        index: Which one, from 0.
        count: How many there are.

    >>> str(Shard(3, 64))
    '3/64'
    """

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


class UnfinishedError(Exception):
    """Other shards have blocks to do before this one can go on."""


@contextmanager
def working_on(folder: Path, shard: Shard | None = None) -> Iterator[None]:
    """Keep other commands from an artifact, but for other shards of the same job array.

    The system releases the lock when the program ends, however it ends. Where it knows no locks
    (Windows, some network disks) nobody is kept out: blocks may be made twice, with the same
    result.

    Args:
        folder: Of the artifact; it is made.
        shard: The share of this program; None for all.

    Raises:
        MachineError: Another command works on it, or another on the same share.
    """
    with ExitStack() as stack:
        file = stack.enter_context(_held_lock(folder, shard))
        if shard is not None:
            with writing_to(folder):
                file = stack.enter_context((folder / f"{LOCK}_{shard.index}").open("a+"))
            if fcntl is not None and not _try(file, fcntl.LOCK_EX):
                raise _held(folder, file)
            _sign(file, shard)
        yield


def _held_lock(folder: Path, shard: Shard | None) -> IO[str]:
    """The lock of a folder, held; another command may be removing the folder meanwhile."""
    while True:
        with ExitStack() as stack:
            with writing_to(folder):
                folder.mkdir(parents=True, exist_ok=True)
                try:
                    file = stack.enter_context((folder / LOCK).open("a+"))
                except FileNotFoundError:
                    continue
            if fcntl is not None:
                _hold(file, folder, shard)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), (folder / LOCK).stat()):
                    stack.pop_all()
                    return file


def _hold(file: IO[str], folder: Path, shard: Shard | None) -> None:
    assert fcntl is not None
    if _try(file, fcntl.LOCK_EX):
        _sign(file, shard)
        if shard is not None:
            _try(file, fcntl.LOCK_SH)
        return
    until = time.monotonic() + PATIENCE
    while shard is not None and _holder(file).get("shards", shard.count) == shard.count:
        if _try(file, fcntl.LOCK_SH):
            return
        if time.monotonic() > until:
            break
        time.sleep(0.05)  # the first shard holds it alone while it signs
    raise _held(folder, file)


def _try(file: IO[str], kind: int) -> bool:
    """Take a lock; True also where the disk knows none."""
    assert fcntl is not None
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _sign(file: IO[str], shard: Shard | None) -> None:
    """Say in a lock who holds it."""
    about = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.executable).name, *sys.argv]),
        "shards": shard and shard.count,
    }
    file.seek(0)
    file.truncate()
    json.dump(about, file)
    file.flush()


def _holder(file: IO[str]) -> dict[str, object]:
    file.seek(0)
    try:
        return dict(json.load(file))
    except ValueError:
        return {}


def _held(folder: Path, file: IO[str]) -> MachineError:
    about = _holder(file)
    of = f" with {about['shards']} shards" if about.get("shards") else ""
    who = f"process {about.get('pid', '?')} on {about.get('host', '?')}"
    since = f", since {about['since']}" if "since" in about else ""
    problem = f"another command works on it{of}: {who}{since} ({about.get('command', '?')})."
    return MachineError(
        str(folder), problem, "Wait for it, or stop it; then give the command again."
    )
