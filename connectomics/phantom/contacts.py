"""Where neurites touch: the places that a synapse may have."""

from __future__ import annotations

import numpy as np

from .synapses import Size

_SAMPLED = 0.15


class Contacts:
    """A sample of the points where two neurites touch within a section.

    Args:
        neurons: (Z, Y, X) uint32.
        resolution: (3,) nm per voxel.
        margin: (2,) pixels at the edges along y and x to leave out.
        rng: Source of randomness.

    Attributes:
        voxel: (K, 3) a voxel beside the border.
        pair: (K, 2) the two neurons.
        point_nm: (K, 3) position.
    """

    def __init__(
        self,
        neurons: np.ndarray,
        resolution: np.ndarray,
        margin: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        from scipy.spatial import KDTree

        _, rows, columns = neurons.shape
        inner = neurons[:, margin[0] : rows - margin[0], margin[1] : columns - margin[1]]
        steps = [(inner[:, :-1], inner[:, 1:]), (inner[:, :, :-1], inner[:, :, 1:])]
        table = np.concatenate([_touching(here, there, rng) for here, there in steps])
        table = table[rng.permutation(len(table))]
        self.voxel = table[:, :3] + (0, margin[0], margin[1])
        self.pair = table[:, 3:]
        self.point_nm = self.voxel * resolution
        # With the pair as far-apart coordinates, neighbours in the tree are of the same pair.
        low, high = self.pair.min(1), self.pair.max(1)
        self._key = np.column_stack([self.point_nm, 1e4 * low, 1e4 * high])
        self._tree = KDTree(self._key)
        self._per_nm2 = _SAMPLED * (4 / np.pi) / (resolution[0] * resolution[1:].mean())

    def support(self, chosen: np.ndarray, size: Size) -> np.ndarray:
        """How much border of the same two neurites lies around contacts; 1 = enough for `size`."""
        long = max(size.half_length_nm, size.half_height_nm)
        around = self._tree.query_ball_point(self._key[chosen], long, return_length=True)
        asked = 4.0 * size.half_length_nm * size.half_height_nm * self._per_nm2
        return np.asarray(around) / asked


def _touching(here: np.ndarray, there: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(K, 5) rows z, y, x, neuron, neighbour: a sample of the places where two arrays differ."""
    at = np.nonzero((here != there) & (here > 0) & (there > 0))
    chosen = rng.random(len(at[0])) < _SAMPLED
    at = tuple(index[chosen] for index in at)
    return np.column_stack([*at, here[at], there[at]]).astype(np.int64)
