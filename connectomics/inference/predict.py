"""A network slides over a volume: windows, blending, flips.

The volume is worked off in slabs along z. When the windows move on, the sections behind them
are finished and leave; so the memory needed is that of one slab, whatever the volume's depth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from connectomics.errors import DataError
from connectomics.inference.blending import axis_windows
from connectomics.inference.windows import PADDING, Network, Sliding, Windows, evaluating
from connectomics.process.progress import Progress


def predict_volume(
    network: Network,
    image: np.ndarray,
    *,
    window_size: tuple[int, int, int],
    overlap: float = 0.5,
    blending: str = "bump",
    padding_mode: str = "reflect",
    flip_axes: str | Sequence[Sequence[int]] | None = None,
    **settings: Any,
) -> np.ndarray:
    """Predict a whole volume held in memory.

    Args:
        network: Maps (B, 1, z, y, x) float32 tensors to (B, C, z, y, x).
        image: (Z, Y, X), normalised as the network was trained.
        window_size: (z, y, x) voxels the network sees at once. May exceed the volume, which
            is then padded inside and cropped back.
        overlap: Share of a window that the next one covers again, in [0, 1).
        blending: `bump`, `gaussian` or `constant`; see `window_profile`.
        padding_mode: `reflect`, `replicate` or `constant` (zeros), for windows that exceed
            the volume.
        flip_axes: Test-time augmentation: None, `all` or a list of axis combinations.
        **settings: `batch_size` (windows at a time, 1), `activation` (applied to the
            network's output before flips are averaged, none), `ensemble_mode` (`mean` over
            flips, or `max`), `device` (the network's own) and `precision` (a torch dtype for
            autocast, none).

    Returns:
        (C, Z, Y, X) float32, of exactly the image's shape.

    Raises:
        DataError: The image is not three-dimensional, or a setting is out of range.

    >>> half = predict_volume(lambda x: 0 * x + 0.5, np.zeros((3, 8, 8)), window_size=(4, 5, 5))
    >>> half.shape, bool(np.allclose(half, 0.5))
    ((1, 3, 8, 8), True)
    """
    if image.ndim != 3:
        raise DataError("predict_volume", f"the image has shape {image.shape}, not (Z, Y, X).")
    sliding = Sliding(
        window_size,
        overlap=overlap,
        blending=blending,
        padding_mode=padding_mode,
        flip_axes=flip_axes,
        **settings,
    )
    slabs = predict_slabs(network, lambda z0, z1: image[z0:z1], image.shape, sliding)
    return in_one(slabs, image.shape)


def in_one(slabs: Iterator[tuple[int, np.ndarray]], shape: tuple[int, ...]) -> np.ndarray:
    """Put the slabs of `predict_slabs` into one array (C, Z, Y, X)."""
    first = next(slabs)
    volume = np.empty((len(first[1]), *shape), first[1].dtype)
    for z, slab in chain([first], slabs):
        # PyTorch copies on all CPUs.
        torch.from_numpy(volume[:, z : z + slab.shape[1]]).copy_(torch.from_numpy(slab))
    return volume


def predict_slabs(
    network: Network,
    read: Callable[[int, int], np.ndarray],
    shape: tuple[int, ...],
    sliding: Sliding,
    *,
    progress: bool = False,
    where: str = "predict_volume",
) -> Iterator[tuple[int, np.ndarray]]:
    """Predict a volume slab by slab, for volumes larger than memory.

    Args:
        network: As in `predict_volume`.
        read: Gives the normalised sections z0 to z1 as (z1 - z0, Y, X).
        shape: (Z, Y, X) of the volume.
        sliding: How to slide.
        progress: Say how far it is.
        where: The volume, for messages.

    Yields:
        `(z, slab)`: the first section and the finished (C, sections, Y, X) float32, in order;
        together they are the volume.

    Raises:
        DataError: The image, or what the network makes of it, is NaN or infinite somewhere.
    """
    padded = tuple(max(n, w) for n, w in zip(shape, sliding.window_size, strict=True))
    z, y, x = (
        axis_windows(length, size, sliding.overlap, sliding.blending)
        for length, size in zip(padded, sliding.window_size, strict=True)
    )
    axes = z, y, x
    voxels = int(np.prod(shape))
    shown = Progress("infer", voxels, "voxels", rate="voxels", visible=progress)
    windows = Windows(network, sliding, axes)
    layers = enumerate(zip(axes[0].starts, (*axes[0].starts[1:], padded[0]), strict=True))
    sums: Tensor | None = None  # (C, window z, Y, X): sections still being added to
    waiting: tuple[int, Callable[[], tuple[np.ndarray, float]]] | None = None

    def read_slab(z: int) -> Tensor:
        image = _read_padded(read, z, shape, sliding)
        require_finite(image, (z, 0, 0), where, IMAGE)
        voxels = torch.from_numpy(np.ascontiguousarray(image))
        # From there a GPU fetches without holding up the host.
        return voxels.pin_memory() if windows.device.type == "cuda" else voxels

    slabs_read = _ahead(read_slab, axes[0].starts)
    with shown, evaluating(network), closing(slabs_read):
        for layer, (start, end) in layers:
            sums = windows.add(sums, next(slabs_read), layer)
            sections = min(end, shape[0]) - start
            finished = to_host(sums[:, :sections, : shape[1], : shape[2]])
            sums = _advance(sums, end - start)
            if waiting is not None:
                yield _checked(*waiting, where, shown)
            waiting = start, finished
        if waiting is not None:
            yield _checked(*waiting, where, shown)


def _checked(
    start: int, finished: Callable[[], tuple[np.ndarray, float]], where: str, shown: Progress
) -> tuple[int, np.ndarray]:
    slab, total = finished()
    if not math.isfinite(total):
        require(np.isfinite(slab), slab, (start, 0, 0), where, NETWORK)
    shown.add(slab[0].size, work=slab[0].size)
    return start, slab


def _ahead(read: Callable[[int], Tensor], starts: Iterable[int]) -> Generator[Tensor]:
    """Read each slab while the one before it is predicted."""
    with ThreadPoolExecutor(1, "read") as reader:
        coming: Future[Tensor] | None = None
        for start in starts:
            ready, coming = coming, reader.submit(read, start)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()


def to_host(values: Tensor) -> Callable[[], tuple[np.ndarray, float]]:
    """Start to copy values, and their sum, from where they lie; what comes back waits for both.

    The sum is finite if all values are, unless they are as large as float32 can hold.
    """
    total = values.sum()
    pinned = values.device.type == "cuda"
    host, sum_on_host = (
        torch.empty(one.shape, dtype=one.dtype, pin_memory=pinned).copy_(one, non_blocking=pinned)
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


def require(
    legal: np.ndarray,
    values: np.ndarray,
    start: tuple[int, int, int],
    where: str,
    said: tuple[str, str],
) -> None:
    """Insist that all values of a part of a volume are legal.

    Args:
        legal: Whether each is, bool of the shape of `values`.
        values: (Z, Y, X) or (C, Z, Y, X).
        start: The first voxel (z, y, x) of the part.
        where: The volume.
        said: What is wrong, before the value, and the remedy.

    Raises:
        DataError: The first that is not, with its voxel and channel.
    """
    if legal.all():
        return
    place = np.unravel_index(int(np.argmin(legal)), legal.shape)
    *channel, z, y, x = (int(i) for i in place)
    of_channel = f", channel {channel[0]}" if channel else ""
    z, y, x = z + start[0], y + start[1], x + start[2]
    voxel = f"voxel ({z}, {y}, {x}) (z, y, x){of_channel}"
    raise DataError(where, f"{said[0]} {values[place]} at {voxel}.", said[1])


IMAGE = (
    "the image, as the network would see it, is",
    "Replace such voxels, for instance numpy.nan_to_num(image), and save it again.",
)
NETWORK = (
    "the network gives",
    "Its weights or activations overflow: use precision 32-true or another checkpoint.",
)


def require_finite(
    values: np.ndarray, start: tuple[int, int, int], where: str, said: tuple[str, str]
) -> None:
    """Insist that no value of a part of a volume is NaN or infinite; see `require`."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum(dtype=np.float32)  # one pass, and no array of booleans
    if not math.isfinite(total):
        require(np.isfinite(values), values, start, where, said)


def _read_padded(
    read: Callable[[int, int], np.ndarray], start: int, shape: tuple[int, ...], sliding: Sliding
) -> np.ndarray:
    """Read the sections under the windows at `start`, padded to at least a window."""
    stop = min(start + sliding.window_size[0], shape[0])
    image = np.asarray(read(start, stop), dtype=np.float32)
    missing = [max(0, w - n) for n, w in zip(image.shape, sliding.window_size, strict=True)]
    if not any(missing):
        return image
    return np.pad(image, [(0, n) for n in missing], mode=PADDING[sliding.padding_mode])


@torch.inference_mode()
def _advance(sums: Tensor, sections: int) -> Tensor:
    """Move sums along z; the sections that come in are zeros."""
    rest = sums.shape[1] - sections
    kept = sums[:, sections:]
    sums[:, :rest] = kept if rest <= sections else kept.clone()  # where they overlap
    sums[:, rest:] = 0
    return sums
