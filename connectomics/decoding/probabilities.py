"""Probability volumes: what is accepted, on which scale, and how it becomes masks.

The scale is fixed by the dtype and never guessed from the values: bool is 0 or 1, uint8 is
p * 255, floating point is p.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectomics.decoding import kernels
from connectomics.decoding.bits import BitMask
from connectomics.errors import DataError
from connectomics.process.sections import map_sections

TOLERANCE = 1e-3
"""How far outside [0, 1] a floating-point value may lie: rounding, not a different scale."""

_DTYPES = tuple(np.dtype(t) for t in (np.bool_, np.uint8, np.float16, np.float32, np.float64))
_SLAB_BYTES = 2 * 2**20  # of one channel, what one thread reads (and copies, if it must) at a time


@dataclass(frozen=True)
class Probabilities:
    """A probability volume whose shape and dtype are as they should be.

    Attributes:
        volume: (C, Z, Y, X), or (Z, Y, X) for one channel: an array, or anything that is sliced
            like one (an HDF5 or Zarr dataset).
        channels: C.
        shape: (Z, Y, X).
        dtype: Its type, in native byte order.
        where: The function it was given to, for messages.
        start: Where its first voxel (z, y, x) lies in the volume that it is a block of, for
            messages.
    """

    volume: Any
    channels: int
    shape: tuple[int, int, int]
    dtype: np.dtype
    where: str
    start: tuple[int, int, int] = (0, 0, 0)

    @property
    def thickness(self) -> int:
        """Sections to read at a time: about `_SLAB_BYTES`, but of a dataset whole chunks.

        A chunk is decompressed as a whole; read in parts, it would be decompressed for each.
        """
        _, height, width = self.shape
        sections = _SLAB_BYTES // (height * width * self.dtype.itemsize)
        chunks = getattr(self.volume, "chunks", None)
        chunk = int(np.max(chunks[-3])) if chunks else 1
        return max(1, sections // chunk) * chunk

    def read_p(self, channel: int, begin: int, end: int) -> np.ndarray:
        """The same sections as float32 on the scale of p, within [0, 1]."""
        return as_p(self.read(channel, begin, end))

    def read(self, channel: int, begin: int, end: int) -> np.ndarray:
        """Sections begin <= z < end of one channel, in C order and native byte order.

        A view where the volume lies in memory like that, a copy where it does not.
        """
        sections = slice(begin, end)
        index = sections if len(self.volume.shape) == 3 else (channel, sections)
        return np.require(self.volume[index], self.dtype, ["C", "A"]).view(np.ndarray)


def as_p(values: np.ndarray) -> np.ndarray:
    """What a probability volume holds, as float32 on the scale of p, within [0, 1]."""
    if values.dtype.kind == "f":
        return np.clip(values, 0, 1).astype(np.float32, copy=False)
    return values.astype(np.float32) / (255 if values.dtype == np.uint8 else 1)


def check_probabilities(volume: Any, *, channels: int, where: str) -> Probabilities:
    """Check the shape and dtype of a volume; its values are checked as they are read.

    Raises:
        DataError: It is not (`channels`, Z, Y, X), is empty, or its dtype has no fixed scale.
    """
    probabilities = check_block(volume, channels=channels, where=where)
    if probabilities.dtype == np.uint8:
        _warn_of_mask(probabilities)
    return probabilities


def check_block(
    volume: Any, *, channels: int, where: str, start: tuple[int, int, int] = (0, 0, 0)
) -> Probabilities:
    """The same of a block of a volume, which may well be empty.

    Args:
        volume: The block.
        channels: How many it has to have.
        where: The function it was given to, for messages.
        start: Where its first voxel lies in the volume.

    Raises:
        DataError: As `check_probabilities`.
    """
    if not isinstance(getattr(volume, "dtype", None), np.dtype):
        volume = np.asarray(volume)
    shape, dtype = tuple(volume.shape), volume.dtype.newbyteorder("=")
    one_channel = channels == 1 and len(shape) == 3
    if not one_channel and (len(shape) != 4 or shape[0] != channels):
        raise DataError(where, f"the volume has the shape {shape}.", _shape_remedy(channels))
    if 0 in shape:
        raise DataError(where, f"the volume is empty: its shape is {shape}.", "Check its source.")
    if dtype not in _DTYPES:
        raise DataError(
            where,
            f"the volume is {volume.dtype}, which has no fixed scale for probabilities.",
            "Give uint8 (p * 255), float16, float32 or float64 (p), or bool (0 or 1).",
        )
    depth, height, width = (int(n) for n in shape[-3:])
    return Probabilities(volume, channels, (depth, height, width), dtype, where, start)


def threshold_masks(probabilities: Probabilities, thres: float | Sequence[float]) -> list[BitMask]:
    """One mask for each channel: the voxels with p > `thres`, or the threshold of the channel.

    A uint8 voxel v is set if v > 255 * `thres`. For floating point `thres` is rounded to the
    type of the volume, as numpy does, so that 0.3 is not above 0.3.

    Raises:
        DataError: A value is NaN, or outside [0, 1] by more than `TOLERANCE`.
    """
    masks = [BitMask.empty(probabilities.shape) for _ in range(probabilities.channels)]
    low, high = _legal_range(probabilities.dtype)
    thresholds = np.broadcast_to(thres, probabilities.channels)
    limits = [_stored(float(p), probabilities.dtype) for p in thresholds]

    def threshold(begin: int, end: int) -> bool:
        legal = True
        for channel, (mask, limit) in enumerate(zip(masks, limits, strict=True)):
            slab = _for_kernel(probabilities.read(channel, begin, end))
            legal &= kernels.bits.threshold_to_bits(slab, limit, low, high, mask.bits[begin:end])
        return legal

    _visit_sections(probabilities, threshold)
    return masks


def argmax_masks(probabilities: Probabilities) -> list[BitMask]:
    """The masks of channels 1 and 2 of three: where that channel is the greatest.

    Where channels are equal the first of them counts as the greatest.

    Raises:
        DataError: A value is NaN, or outside [0, 1] by more than `TOLERANCE`.
    """
    pre, post = BitMask.empty(probabilities.shape), BitMask.empty(probabilities.shape)
    low, high = _legal_range(probabilities.dtype)

    def compare(begin: int, end: int) -> bool:
        slabs = tuple(_for_kernel(probabilities.read(c, begin, end)) for c in range(3))
        sides = pre.bits[begin:end], post.bits[begin:end]
        return kernels.bits.argmax_to_bits(slabs, low, high, *sides)

    _visit_sections(probabilities, compare)
    return [pre, post]


def polarity_masks(
    probabilities: Probabilities, thres: float, exclusive: bool
) -> tuple[BitMask, BitMask, BitMask]:
    """The masks of pre, post and union, with pre and post inside the union: the baseline's.

    Args:
        probabilities: Three channels; see `polarity2instance`.
        thres: Probability above which a voxel is foreground.
        exclusive: Whether the channels are background, pre and post.
    """
    if exclusive:
        pre, post = argmax_masks(probabilities)
        return pre, post, BitMask(pre.bits | post.bits, pre.shape)
    pre, post, union = threshold_masks(probabilities, thres)
    np.bitwise_and(pre.bits, union.bits, out=pre.bits)
    np.bitwise_and(post.bits, union.bits, out=post.bits)
    return pre, post, union


def _for_kernel(slab: np.ndarray) -> np.ndarray:
    """The same memory as kernels take it: halves as int16, bools as uint8.

    Read-only, so that a kernel is not compiled once more for arrays that cannot be written.
    """
    storage = {np.dtype(np.bool_): np.uint8, np.dtype(np.float16): np.int16}
    slab = slab.view(storage.get(slab.dtype, slab.dtype))
    slab.flags.writeable = False
    return slab


def _stored(p: float, dtype: np.dtype) -> np.generic:
    """The number that stands for the probability p in what `_for_kernel` gives."""
    if dtype == np.float16:
        # On the scale of `kernels.bits.ordered`, where both zeros are 0.
        magnitude = np.float16(abs(p)).view(np.int16)
        return np.int16(-magnitude if p < 0 else magnitude)
    if dtype.kind == "f":
        return dtype.type(p)
    one = 255 if dtype == np.uint8 else 1
    return np.uint8(np.floor(p * one))


def _legal_range(dtype: np.dtype) -> tuple[np.generic, np.generic]:
    """The least and the greatest legal value, as stored."""
    if dtype.kind == "f":
        return _stored(-TOLERANCE, dtype), _stored(1 + TOLERANCE, dtype)
    return np.uint8(0), np.uint8(255)


def _visit_sections(probabilities: Probabilities, task: Callable[[int, int], bool]) -> None:
    """Run `task` over all sections; if it meets an illegal value, say which and where."""
    depth = probabilities.shape[0]
    if not all(map_sections(depth, task, thickness=probabilities.thickness)):
        raise _illegal_value(probabilities)


def _illegal_value(probabilities: Probabilities) -> DataError:
    """Describe the first value, by section, that is NaN or outside [0, 1]."""
    number = probabilities.dtype.type
    low, high = number(-TOLERANCE), number(1 + TOLERANCE)
    for z, c in np.ndindex(probabilities.shape[0], probabilities.channels):
        section = probabilities.read(c, z, z + 1)[0]
        illegal = np.argwhere(~((section >= low) & (section <= high)))
        if len(illegal):
            break
    y, x = illegal[0]
    at = tuple(int(a + b) for a, b in zip((z, y, x), probabilities.start, strict=True))
    place = f"channel {c}, (z, y, x) = {at}"
    if np.isnan(section[y, x]):
        return DataError(
            probabilities.where,
            f"the volume holds NaN, first at {place}.",
            "Look for NaN in the image and in the weights of the network that made it.",
        )
    return DataError(
        probabilities.where,
        f"the volume is {section[y, x]:.6g} at {place}, and reaches from {np.nanmin(section):.6g} "
        f"to {np.nanmax(section):.6g} in that section; probabilities lie in [0, 1].",
        "These look like logits: apply a sigmoid (to exclusive classes a softmax over the "
        "channels) first, in YAML with inference.model.channel_activations.",
    )


def _warn_of_mask(probabilities: Probabilities) -> None:
    """Warn of a uint8 volume of 0 and 1, which is read as p = 0 and p = 1/255."""
    largest, step = 0, probabilities.thickness
    for z in range(0, probabilities.shape[0], step):
        for c in range(probabilities.channels):
            largest = max(largest, int(probabilities.read(c, z, z + step).max()))
            if largest > 1:
                return
    if largest == 1:
        warn_of_mask(probabilities.where, stacklevel=5)


def warn_of_mask(where: str, *, stacklevel: int = 2) -> None:
    """Say that a uint8 volume holds nothing above 1."""
    warnings.warn(
        f"{where}: the largest value of this uint8 volume is 1, which stands for p = 1/255. If it "
        "is a mask of 0 and 1, give it as bool: volume.astype(bool).",
        stacklevel=stacklevel,
    )


def _shape_remedy(channels: int) -> str:
    if channels == 1:
        return "Give (Z, Y, X) or (1, Z, Y, X)."
    return (
        "Give (3, Z, Y, X): pre, post and their union, or with exclusive=True background, pre "
        "and post. binary2instance decodes one channel."
    )
