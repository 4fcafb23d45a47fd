"""One block of a volume is predicted as it would be with the whole volume.

Windows lie on the grid of the whole volume and have its weights. A block takes the windows that
touch it and keeps what they give inside it; so blocks fit together without a seam, and what is
needed of memory depends on the block, and not on the volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from connectomics.geometry import Box, Triple
from connectomics.inference.blending import AxisWindows, axis_windows
from connectomics.inference.checks import IMAGE, NETWORK, require_finite
from connectomics.inference.windows import PADDING, Network, Sliding, Windows, evaluating


@dataclass(frozen=True)
class BlockWindows:
    """The windows that touch a block.

    Attributes:
        box: The block.
        hull: What the windows see of the volume.
        axes: The windows along z, y and x, seen from the start of the hull.
    """

    box: Box
    hull: Box
    axes: tuple[AxisWindows, AxisWindows, AxisWindows]

    @property
    def count(self) -> int:
        """How many windows there are."""
        return int(np.prod([len(axis.starts) for axis in self.axes]))

    @property
    def padded(self) -> Triple:
        """Voxels (z, y, x) that the windows cover, those beyond the volume among them."""
        z, y, x = (axis.starts[-1] + axis.size for axis in self.axes)
        return z, y, x


def windows_of(box: Box, shape: tuple[int, ...], sliding: Sliding) -> BlockWindows:
    """Find the windows that touch a block.

    Args:
        box: The block, inside the volume.
        shape: (Z, Y, X) of the volume.
        sliding: How the network slides over it.

    >>> windows_of(Box((0, 8, 8), (4, 16, 16)), (4, 64, 64), Sliding((4, 8, 8))).hull
    Box(start=(0, 4, 4), stop=(4, 20, 20))
    """
    starts, stops, axes = [], [], []
    spans = zip(box.start, box.stop, shape, sliding.window_size, strict=True)
    for first, stop, length, size in spans:
        whole = axis_windows(max(length, size), size, sliding.overlap, sliding.blending)
        start, axis = whole.touching(first, stop)
        starts.append(start)
        stops.append(min(start + axis.starts[-1] + size, length))
        axes.append(axis)
    return BlockWindows(box, Box(tuple(starts), tuple(stops)), tuple(axes))  # pyright: ignore


def predict_block(
    network: Network,
    image: np.ndarray,
    windows: BlockWindows,
    sliding: Sliding,
    *,
    where: str = "predict_block",
) -> np.ndarray:
    """Predict one block.

    Args:
        network: As in `predict_volume`.
        image: The normalised voxels of the windows' hull, (z, y, x).
        windows: See `windows_of`.
        sliding: How the network slides over the volume.
        where: The volume, for messages.

    Returns:
        (C, z, y, x) float32 of the block's shape.

    Raises:
        DataError: The image, or what the network makes of it, is NaN or infinite somewhere.
    """
    hull, box = windows.hull, windows.box
    require_finite(image, hull.start, where, IMAGE)
    missing = [n - have for n, have in zip(windows.padded, hull.shape, strict=True)]
    if any(missing):
        image = np.pad(image, [(0, n) for n in missing], mode=PADDING[sliding.padding_mode])
    image = np.ascontiguousarray(image, np.float32)
    z, inside = windows.axes[0], box.shift([-n for n in hull.start])
    sections, rows, columns = inside.slices
    slabs = (torch.from_numpy(image[start : start + z.size]) for start in z.starts)
    block: Tensor | None = None
    with evaluating(network), torch.inference_mode():
        for start, part in Windows(network, sliding, windows.axes).finished(slabs):
            if block is None:
                block = part.new_zeros((len(part), *box.shape))
            first = max(start, sections.start)
            stop = max(first, min(start + part.shape[1], sections.stop))
            block[:, first - sections.start : stop - sections.start] = part[
                :, first - start : stop - start, rows, columns
            ]
    assert block is not None  # a window touches every voxel
    values = block.cpu().numpy()
    require_finite(values, box.start, where, NETWORK)
    return values
