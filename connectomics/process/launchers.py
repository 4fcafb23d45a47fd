"""Variables of SLURM, torchrun, MPI and others, to which a run on one machine pays no heed.

What a scheduler says of its job would make Lightning wait for processes that nobody starts, take
over signals, or begin from a checkpoint that lies about. Nor does a run draw on a screen or use
numba's threads, where a bad value would end an import. A training on several machines is shown
those by which its processes find each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

OF_TORCH = frozenset(
    (
        "RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE",
        "GROUP_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    )
)  # fmt: skip
NAMES = OF_TORCH | {"STANDALONE_PORT", "MPLBACKEND", "NUMBA_NUM_THREADS"}
OF_STARTERS = ("SLURM_", "TORCHELASTIC_")
PREFIXES = (*OF_STARTERS, "OMPI_", "PMI_", "PMIX_", "JSM_", "LSB_", "PL_TRAINER_")

_hidden: dict[str, str] = {}


@contextmanager
def without_launchers() -> Iterator[None]:
    """Hide the variables of launchers from what is done inside, and from its processes."""
    here = {name: os.environ.pop(name) for name in _present()}
    _hidden.update(here)
    try:
        yield
    finally:
        for name in _present():  # what Lightning has set for processes of its own
            del os.environ[name]
        os.environ.update(here)
        for name in here:
            del _hidden[name]


@contextmanager
def with_launchers() -> Iterator[None]:
    """Show those again, inside, by which processes that SLURM or torchrun has started meet."""
    before = {name: os.environ[name] for name in _present()}
    os.environ.update({name: value for name, value in _hidden.items() if _meets(name)})
    try:
        yield
    finally:
        for name in _present():
            del os.environ[name]
        os.environ.update(before)


def _present() -> list[str]:
    return [name for name in os.environ if name in NAMES or name.startswith(PREFIXES)]


def _meets(name: str) -> bool:
    return name in OF_TORCH or name.startswith(OF_STARTERS)
