"""Labels of synapses that lie anywhere."""

from __future__ import annotations

import numpy as np


def synapses(rng: np.random.Generator, shape: tuple[int, int, int], count: int) -> np.ndarray:
    """Synapses of two sides, some cut by the border or by one another."""
    made = np.zeros(shape, np.uint16)
    for n in range(1, count + 1):
        z, y, x = (int(rng.integers(0, n - 2)) for n in shape)
        made[z : z + 3, y : y + 3, x : x + 7] = 2 * n - 1
        made[z : z + 3, y + 3 : y + 6, x : x + 7] = 2 * n
    return made
