"""A network slides over a volume: windows, blending, flips.

The volume is worked off in slabs along z. When the windows move on, the sections behind them
are finished and leave; so the memory needed is that of one slab, whatever the volume's depth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from connectomics.errors import DataError
from connectomics.inference.blending import axis_windows
from connectomics.inference.checks import IMAGE, NETWORK, require, require_finite
from connectomics.inference.sums import NewSections
from connectomics.inference.transfer import ahead, to_be_fetched, to_host
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
    return predict_at_once(network, lambda z0, z1: image[z0:z1], image.shape, sliding)


def predict_at_once(
    network: Network,
    read: Callable[[int, int], np.ndarray],
    shape: tuple[int, ...],
    sliding: Sliding,
    **said: Any,
) -> np.ndarray:
    """Predict a volume into one array (C, Z, Y, X) float32.

    Args: as in `predict_slabs`.
    """
    whole: np.ndarray | None = None

    def sections(channels: int, first: int, stop: int) -> Tensor:
        nonlocal whole
        if whole is None:
            whole = np.zeros((channels, *shape), np.float32)
        return torch.from_numpy(whole[:, first:stop])

    for z, slab in predict_slabs(network, read, shape, sliding, new=sections, **said):
        if whole is None:  # added up elsewhere
            whole = np.empty((len(slab), *shape), slab.dtype)
        _put(slab, whole, z)
    assert whole is not None
    return whole


def in_one(slabs: Iterator[tuple[int, np.ndarray]], shape: tuple[int, ...]) -> np.ndarray:
    """Put slabs, such as those of `predict_slabs`, into one array (C, Z, Y, X)."""
    first = next(slabs)
    volume = np.empty((len(first[1]), *shape), first[1].dtype)
    for z, slab in chain([first], slabs):
        _put(slab, volume, z)
    return volume


def _put(slab: np.ndarray, volume: np.ndarray, z: int) -> None:
    there = volume[:, z : z + slab.shape[1]]
    if not np.may_share_memory(there, slab):
        # PyTorch copies on all CPUs.
        torch.from_numpy(there).copy_(torch.from_numpy(slab))


def predict_slabs(
    network: Network,
    read: Callable[[int, int], np.ndarray],
    shape: tuple[int, ...],
    sliding: Sliding,
    *,
    progress: bool = False,
    where: str = "predict_volume",
    new: NewSections | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Predict a volume slab by slab, for volumes larger than memory.

    Args:
        network: As in `predict_volume`.
        read: Gives the normalised sections z0 to z1 as (z1 - z0, Y, X).
        shape: (Z, Y, X) of the volume.
        sliding: How to slide.
        progress: Say how far it is.
        where: The volume, for messages.
        new: Makes the sections to add to, where that is done in the memory of the machine and no
            window exceeds the volume; slabs are these, then.

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
    shown = Progress("infer", math.prod(shape), "voxels", rate="voxels", visible=progress)
    windows = Windows(network, sliding, (z, y, x))
    waiting: tuple[int, Callable[[], tuple[np.ndarray, float]]] | None = None

    def read_slab(start: int) -> Tensor:
        image = _read_padded(read, start, shape, sliding)
        require_finite(image, (start, 0, 0), where, IMAGE)
        return to_be_fetched(image, windows.device)

    slabs_read = ahead(read_slab, z.starts)
    in_place = windows.device.type == "cpu" and padded == tuple(shape)
    sums = windows.finished(slabs_read, new if in_place else None)
    with shown, evaluating(network), closing(slabs_read):
        for start, part in sums:
            finished = to_host(part[:, : shape[0] - start, : shape[1], : shape[2]])
            del part  # its memory serves the windows to come
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
