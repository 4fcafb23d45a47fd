"""Voxels on their way to a GPU and back, while it computes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor


def ahead(read: Callable[[int], Tensor], starts: Iterable[int]) -> Generator[Tensor]:
    """Read what starts at each place while the one before it is in use."""
    with ThreadPoolExecutor(1, "read") as reader:
        coming: Future[Tensor] | None = None
        for start in starts:
            ready, coming = coming, reader.submit(read, start)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()


def to_be_fetched(image: np.ndarray, device: torch.device) -> Tensor:
    """Lay an image where a GPU fetches it without holding up the host."""
    voxels = torch.from_numpy(np.ascontiguousarray(image))
    return voxels.pin_memory() if device.type == "cuda" else voxels


def to_host(values: Tensor) -> Callable[[], tuple[np.ndarray, float]]:
    """Start to copy values, and their sum, from a GPU; what comes back waits for both.

    In the memory of the machine they stay where they are. The sum is finite if all values are,
    unless they are as large as float32 can hold.
    """
    total = values.sum()
    pinned = values.device.type == "cuda"
    host, sum_on_host = (
        torch.empty(one.shape, dtype=one.dtype, pin_memory=True).copy_(one, non_blocking=True)
        if pinned
        else one
        for one in (values, total)
    )
    copied = torch.cuda.Event() if pinned else None
    if copied is not None:
        copied.record(torch.cuda.current_stream(values.device))

    def wait() -> tuple[np.ndarray, float]:
        if copied is not None:
            copied.synchronize()
        return host.numpy(), float(sum_on_host)

    return wait
