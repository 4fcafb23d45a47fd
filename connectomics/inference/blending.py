"""How the predictions of overlapping windows become one volume.

Windows lie on a grid, so the weight of a voxel is a product over the axes, and so is the sum
of the weights of all windows over it. Each window's weights are divided by that sum before
anything is predicted: what is added up is a partition of unity from the first voxel to the
last, corners included, and no second volume of weights is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from connectomics.errors import DataError
from connectomics.geometry import window_starts

SMALLEST = 1e-3


def _bump(t: np.ndarray) -> np.ndarray:
    return np.exp(1.0 - 1.0 / (1.0 - t**2))


def _gaussian(t: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * (t / 0.5) ** 2)  # the edge lies two standard deviations out


def _constant(t: np.ndarray) -> np.ndarray:
    return np.ones_like(t)


BLENDINGS = {"bump": _bump, "gaussian": _gaussian, "constant": _constant}


def window_profile(size: int, blending: str) -> np.ndarray:
    """Weight a window along one axis, from the middle down to the edges.

    Args:
        size: Voxels of the window along the axis.
        blending: `bump` (smooth, flat in the middle, almost zero at the edge), `gaussian`
            (σ a quarter of the window) or `constant`.

    Returns:
        (size,) float64 weights in [0.001, 1].

    Raises:
        DataError: There is no such blending.

    >>> window_profile(3, "constant")
    array([1., 1., 1.])
    """
    if blending not in BLENDINGS:
        raise DataError("blending", f"{blending!r} is none.", f"Choices: {', '.join(BLENDINGS)}.")
    centres = (np.arange(size) + 0.5) / size * 2 - 1  # -1 and 1 are the window's faces
    return np.maximum(BLENDINGS[blending](centres), SMALLEST)


@dataclass(frozen=True)
class AxisWindows:
    """The windows along one axis.

    Attributes:
        size: Voxels of a window.
        starts: First voxel of each window, ascending.
        weights: (windows, size) float32; over every voxel they add up to one.
    """

    size: int
    starts: tuple[int, ...]
    weights: np.ndarray

    def touching(self, first: int, stop: int) -> tuple[int, AxisWindows]:
        """The windows that share a voxel with a stretch of the axis.

        Returns:
            Where the first of them starts, and the windows, seen from there.

        >>> axis_windows(8, 4, 0.5, "constant").touching(5, 6)[1].starts
        (0, 2)
        """
        found = [i for i, a in enumerate(self.starts) if a < stop and a + self.size > first]
        origin = self.starts[found[0]]
        starts = tuple(self.starts[i] - origin for i in found)
        return origin, AxisWindows(self.size, starts, self.weights[found])


def axis_windows(length: int, size: int, overlap: float, blending: str) -> AxisWindows:
    """Lay windows along one axis and share each voxel out among those that cover it.

    >>> axis_windows(4, 2, 0.5, "constant").weights.tolist()
    [[1.0, 0.5], [0.5, 0.5], [0.5, 1.0]]
    """
    starts = tuple(window_starts(length, size, overlap))
    profile = window_profile(size, blending)
    total = np.zeros(length)
    for start in starts:
        total[start : start + size] += profile
    weights = np.stack([profile / total[start : start + size] for start in starts])
    return AxisWindows(size, starts, weights.astype(np.float32))


def flip_combinations(flip_axes: str | Sequence[Sequence[int]] | None) -> list[tuple[int, ...]]:
    """List the flips of test-time augmentation; the unflipped image comes first.

    Args:
        flip_axes: None for no flips, `all` for the eight combinations of the axes 0 (z),
            1 (y) and 2 (x), or the combinations themselves.

    >>> flip_combinations([[2], [1, 2]])
    [(), (2,), (1, 2)]
    """
    if flip_axes is None:
        return [()]
    if flip_axes == "all":
        return [tuple(axis for axis in range(3) if bits >> axis & 1) for bits in range(8)]
    combinations = {tuple(sorted(set(axes))) for axes in flip_axes if not isinstance(axes, str)}
    if any(not set(axes) <= {0, 1, 2} for axes in combinations):
        raise DataError("flip_axes", f"{flip_axes!r}: axes are 0 (z), 1 (y) and 2 (x).")
    return [(), *sorted(combinations - {()}, key=lambda axes: (len(axes), axes))]
