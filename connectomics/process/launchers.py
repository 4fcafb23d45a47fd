"""Variables that SLURM, torchrun, MPI and others set, and that a run pays no heed to.

A run is one command on one machine. What a scheduler says of its job would make Lightning wait for
processes that nobody starts, take over signals, or begin from a checkpoint that lies about. Nor
does it draw on a screen or use numba's threads, where a bad value would end an import.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

NAMES = frozenset(
    (
        "RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE",
        "GROUP_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "STANDALONE_PORT",
        "MPLBACKEND", "NUMBA_NUM_THREADS",
    )
)  # fmt: skip
PREFIXES = ("SLURM_", "TORCHELASTIC_", "OMPI_", "PMI_", "PMIX_", "JSM_", "LSB_", "PL_TRAINER_")


@contextmanager
def without_launchers() -> Iterator[None]:
    """Hide the variables of launchers from what is done inside, and from its processes."""
    hidden = {name: os.environ.pop(name) for name in _present()}
    try:
        yield
    finally:
        for name in _present():  # what Lightning has set for processes of its own
            del os.environ[name]
        os.environ.update(hidden)


def _present() -> list[str]:
    return [name for name in os.environ if name in NAMES or name.startswith(PREFIXES)]
