"""What the passes read of a block after it was looked at once: its candidates, and what is near.

So probabilities need not be kept. When a block is predicted, all else in it is cleared, and what is
left compresses to little. The passes give what they give on all probabilities, to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectomics.decoding.bits import BitMask, dilate_in_plane
from connectomics.decoding.foreground import count_foreground
from connectomics.decoding.levels import AS_THEY_ARE, Levels, count_values, levels_of
from connectomics.decoding.probabilities import Probabilities, check_block
from connectomics.geometry import Box, Triple

DOUBT = 0.04
"""So much lower than those of a block the levels of the volume are allowed to be."""

MOST_CLEARED = 0.5
"""A block of which more is needed is left as it is: what is said of such a network stays true."""


@dataclass(frozen=True)
class Needed:
    """Which voxels of a block the passes of a decoder read: all, unless a subclass knows better.

    Attributes:
        decoder: Its name.
        channels: Of the probabilities.
        settings: All of its settings.
        shape: (Z, Y, X) of the volume.
        resolution: nm per voxel (z, y, x), where it is known.
    """

    decoder: str
    channels: int
    settings: Mapping[str, Any]
    shape: Triple
    resolution: tuple[float, float, float] | None

    @property
    def adapts(self) -> bool:
        """Whether thresholds follow from the volume: the first pass then leaves "counts"."""
        return False

    @property
    def reach(self) -> tuple[int, int]:
        """Sections, and voxels in a section, from a candidate to what is read because of it."""
        return 0, 0

    def bound(self, levels: Levels) -> float:
        """The probability up to which a voxel is no candidate between levels."""
        return 0.0

    def candidates(self, block: Probabilities, levels: Levels) -> BitMask | None:
        """The voxels from which on the passes look around; None is all of them."""
        return None

    @property
    def exclusive(self) -> bool:
        """Whether the channels are background, pre and post."""
        return self.settings.get("exclusive", False)

    def levels_of_block(self, counts: np.ndarray) -> Levels:
        """Levels that those of the volume hardly fall below, from the counts of one block."""
        assert self.resolution is not None
        own = levels_of(counts, self.resolution, self.exclusive)
        return Levels(own.background - DOUBT, own.peak - DOUBT)

    def foreground(self, block: np.ndarray) -> int:
        """How many voxels of a block are likelier synapse than not."""
        return count_foreground(self._checked(block), exclusive=self.exclusive)

    def clear_by_itself(self, block: np.ndarray, box: Box) -> int:
        """`clear` a block of which no other is known."""
        levels = AS_THEY_ARE
        if self.adapts:
            checked = self._checked(block, box.start)
            levels = self.levels_of_block(count_values(checked, exclusive=self.exclusive))
        return self.clear(block, box, levels)

    def clear(self, block: np.ndarray, box: Box, levels: Levels = AS_THEY_ARE) -> int:
        """Let a block hold nothing where no pass reads it, in place.

        Args:
            block: (C, z, y, x) probabilities.
            box: Where they lie in the volume.
            levels: Where `adapts`, such that their `bound` is not above that of the volume's.

        Returns:
            How many voxels are left.

        Raises:
            DataError: They are no probabilities.
        """
        found = self.candidates(self._checked(block, box.start), levels)
        kept = None if found is None else self._around(found, box)
        if kept is None or kept.mean() > MOST_CLEARED:
            return box.size
        for channel, values in enumerate(block):
            full = self.exclusive and channel == 0
            values[~kept] = np.array(255 if block.dtype == np.uint8 else 1) if full else 0
        return int(np.count_nonzero(kept))

    def _checked(self, block: np.ndarray, start: Triple = (0, 0, 0)) -> Probabilities:
        return check_block(block, channels=self.channels, where=self.decoder, start=start)

    def _around(self, mask: BitMask, box: Box) -> np.ndarray:
        """The voxels of a mask, what is in reach of them, and what others may have in reach."""
        sections, voxels = self.reach
        dilate_in_plane(mask, 2 * voxels + 1)
        bits = mask.bits.copy()
        for step in range(1, min(sections, len(bits) - 1) + 1):
            bits[step:] |= mask.bits[:-step]
            bits[:-step] |= mask.bits[step:]
        kept = BitMask(bits, mask.shape).unpack()
        for axis, margin in enumerate((sections, voxels, voxels)):
            along = np.moveaxis(kept, axis, 0)
            if box.start[axis] > 0:
                along[:margin] = True
            if box.stop[axis] < self.shape[axis]:
                along[max(0, len(along) - margin) :] = True
        return kept
