"""Files of packages brought into memory before they are imported."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from threading import Thread

THREADS = 8
SMALL = 4 * 2**20
"""Bytes of a library that is loaded whole; of larger ones only parts are needed."""
NOT_IMPORTED = {"include", "test", "testing", "tests"}


def read_ahead(packages: Sequence[str]) -> list[Thread]:
    """Let the system read the modules of packages, while this program goes on.

    An import reads thousands of small files one after the other. From a disk that has not been
    asked for them before, waiting for each is most of what importing takes.

    Args:
        packages: Their names; none is imported, and those that are not there are passed over.

    Returns:
        What is at work; nobody has to wait for it.
    """
    if not hasattr(os, "posix_fadvise"):
        return []
    specs = [spec for name in packages if (spec := find_spec(name)) is not None]
    folders = deque(place for spec in specs for place in spec.submodule_search_locations or ())
    threads = [Thread(target=_read, args=(folders,), daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    return threads


def _read(folders: deque[str]) -> None:
    """Work off folders; those in them are for whichever thread comes first."""
    while True:
        try:
            with os.scandir(folders.popleft()) as entries:
                for entry in entries:
                    with suppress(OSError):  # whoever imports it will say so
                        _take(entry, folders)
        except IndexError:
            return
        except OSError:
            continue


def _take(entry: os.DirEntry[str], folders: deque[str]) -> None:
    if entry.is_dir():
        folders.extend([entry.path] if entry.name not in NOT_IMPORTED else [])
    elif entry.name.endswith(".pyc") or _is_small_library(entry):
        _advise(entry.path)


def _is_small_library(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(".so") and entry.stat().st_size <= SMALL


def _advise(path: str) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(file)
