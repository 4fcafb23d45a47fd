"""What the processes do that make patches beside a training."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from connectomics.data.dataset import Sample
from connectomics.process.signals import ignore_group_signals

LINUX = sys.platform == "linux"
SHARED_MEMORY = Path("/dev/shm")
AMPLE = 2**34
"""Bytes of shared memory with which nobody has to reckon."""

logger = logging.getLogger(__name__)


def collation(
    workers: int, batch_size: int, sample: Callable[[], Sample]
) -> Callable[[list[Sample]], Any] | None:
    """How workers hand over batches: in shared memory, if that holds those on their way.

    Args:
        workers: How many there are; without any, nothing is handed over.
        batch_size: Samples of a batch.
        sample: Makes one, where its size matters.

    Returns:
        What puts samples together; None leaves that to PyTorch, which does it in shared memory.
    """
    if not workers or not SHARED_MEMORY.is_dir():
        return None
    free = shutil.disk_usage(SHARED_MEMORY).free
    if free > AMPLE:
        return None
    size = sum(values.nbytes for values in sample().values())
    if free > (2 * workers + 2) * batch_size * size:
        return None
    logger.warning(
        "%s has only %d MB free. Patches pass through pipes instead, which is slower. "
        "A container gets more shared memory with --shm-size.",
        *(SHARED_MEMORY, free >> 20),
    )
    return batch_of_arrays


def batch_of_arrays(samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    """Put samples together without shared memory, in which tensors of workers lie."""
    return {name: np.stack([sample[name].numpy() for sample in samples]) for name in samples[0]}


def start_worker(number: int) -> None:
    """Prepare a process that makes samples: one thread, and it stops when its parent says so.

    A terminal or a cluster sends its signals to every process. The one that trains
    finishes its step, saves and ends; until then it needs its workers.

    Args:
        number: Which worker it is; not used.
    """
    del number
    torch.set_num_threads(1)
    ignore_group_signals()
    if LINUX:
        # Blocked here, so that it can be waited for; ignored, as the threads of libraries that are
        # there already do not block it, and one of them would end the process.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Thread(target=_obey_parent, daemon=True).start()


def _obey_parent() -> None:
    """End this process on a SIGTERM from its parent, and on no other."""
    parent = os.getppid()
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
