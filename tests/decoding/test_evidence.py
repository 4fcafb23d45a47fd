"""What is refused before its voxels are listed, and what softmax and sigmoid have in common."""

from __future__ import annotations

import numpy as np
import pytest
from synapse_volumes import NM, draw, empty

from connectomics.decoding import decode_synapses
from connectomics.decoding.foreground import TooMuchForegroundError

LARGE = (24, 192, 192)  # 1.7e9 nm³


@pytest.mark.parametrize("adapt", [True, False])
@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("value", [1.0, 0.99, 0.5, "noise"])
def test_a_network_that_says_yes_everywhere_is_refused(value, exclusive, adapt):
    if value == "noise":
        p = np.random.default_rng(0).random((3, *LARGE), np.float32)
        p = p / p.sum(axis=0) if exclusive else p
    else:
        p = np.full((3, *LARGE), value, np.float16)
        if exclusive:
            p[0], p[1:] = 1 - value, value / 2
    with pytest.raises(TooMuchForegroundError, match=r"of the volume would be synapse .* mean"):
        decode_synapses(p, resolution=NM, exclusive=exclusive, adapt=adapt)


def test_a_crop_around_a_synapse_is_not():
    p = empty((8, 40, 40))
    draw(p, (1, 7), (2, 38), (2, 38))
    assert decode_synapses(p, resolution=NM, adapt=False).labels.max() == 2


@pytest.mark.parametrize(("low", "high"), [(0.02, 0.95), (0.1, 0.6), (0.3, 0.75)])
def test_softmax_is_read_as_sigmoid_is(low, high):
    """Two sides that exclude each other, of a network that is sure, faint or noisy."""
    sure = empty((12, 64, 64)) * 0
    draw(sure, (2, 8), (8, 24), (8, 24), p=1.0)
    draw(sure, (4, 10), (36, 56), (30, 50), p=1.0)
    sigmoid = low + (high - low) * sure
    sides = low / 2 + (high - low / 2) * sure[:2]
    sides *= sigmoid[2] / np.maximum(sides.sum(axis=0), 1e-6)
    softmax = np.stack([1 - sigmoid[2], *sides])
    found = decode_synapses(sigmoid, resolution=NM).labels
    assert found.max() == 4
    np.testing.assert_array_equal(
        decode_synapses(softmax, resolution=NM, exclusive=True).labels, found
    )
