"""The range that a network's answers really span: from its background to its surest voxels.

A network that was trained briefly, or on rare objects, may answer 0.6 where another answers 0.99,
or 0.2 where there is nothing. A threshold of 0.5 means something else to each of them; half the
way from the background to the surest voxels means the same to all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from connectomics.decoding import kernels
from connectomics.decoding.probabilities import Probabilities
from connectomics.process.sections import map_sections

SUREST_NM3 = 0.05e6
"""The surest voxels are those that fill this volume: less than any synapse, more than noise."""

MOST_BACKGROUND, LEAST_RANGE, LEAST_PEAK = 0.4, 0.3, 0.4
"""What is believed of a network: beyond this, noise would pass for synapses."""


class Levels(NamedTuple):
    """What stands for nothing, and for certainty, in a volume.

    Attributes:
        background: Probability of the union where there is nothing.
        peak: Probability of the union at the surest voxels.
    """

    background: float = 0.0
    peak: float = 1.0

    def raw(self, share: float) -> float:
        """The probability at this share of the way from background to peak.

        >>> Levels(0.2, 0.6).raw(0.5)
        0.4
        """
        return self.background + share * (self.peak - self.background)

    def stretched(self, p: np.ndarray) -> np.ndarray:
        """Probabilities as shares of the way from background to peak, within [0, 1].

        >>> Levels(0.2, 0.6).stretched(np.array([0.0, 0.5, 0.9]))
        array([0.  , 0.75, 1.  ])
        """
        return np.clip((p - self.background) / (self.peak - self.background), 0, 1)

    def stretched_sides(self, pre: np.ndarray, post: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same of two sides that exclude each other: together they are their union, stretched.

        >>> Levels(0.2, 0.6).stretched_sides(np.array([0.3]), np.array([0.1]))
        (array([0.375]), array([0.125]))
        """
        union = pre + post
        scale = self.stretched(union) / np.maximum(union, 1e-12)
        return pre * scale, post * scale


AS_THEY_ARE = Levels()


def measure_levels(
    probabilities: Probabilities, resolution: tuple[float, float, float], *, exclusive: bool
) -> Levels:
    """Measure what a volume's union says of nothing, and of what it is surest of.

    The background is its median: synapses fill about one voxel in a hundred. The peak is what its
    surest 0.05e6 nm³ reach, so one sure synapse in a large volume is enough to set it.

    Args:
        probabilities: Three channels.
        resolution: nm per voxel (z, y, x).
        exclusive: Whether the channels are background, pre and post; the union is then what the
            background leaves.

    Returns:
        Background and peak, to 1/255.
    """
    return levels_of(count_values(probabilities, exclusive=exclusive), resolution, exclusive)


def count_values(probabilities: Probabilities, *, exclusive: bool) -> np.ndarray:
    """(256,) int64, how many voxels have which value; blocks of a volume add up.

    The values are p * 255, rounded, of the union, or of the background where classes exclude
    each other.
    """

    def count(begin: int, end: int) -> np.ndarray:
        counts = np.zeros(256, np.int64)
        sections = probabilities.read_p(0 if exclusive else 2, begin, end)
        kernels.voxels.count_levels(sections, counts)
        return counts

    counts = map_sections(probabilities.shape[0], count, thickness=probabilities.thickness)
    return np.sum(counts, axis=0)


def levels_of(
    counts: np.ndarray, resolution: tuple[float, float, float], exclusive: bool
) -> Levels:
    """The levels of a volume of which `count_values` counted the values."""
    below = np.cumsum(counts[::-1] if exclusive else counts)
    voxels = int(below[-1])
    surest = min(voxels, max(1, round(SUREST_NM3 / float(np.prod(resolution)))))
    background = min(float(np.searchsorted(below, (voxels + 1) // 2)) / 255, MOST_BACKGROUND)
    peak = float(np.searchsorted(below, voxels - surest, side="right")) / 255
    return Levels(background, max(peak, background + LEAST_RANGE, LEAST_PEAK))
