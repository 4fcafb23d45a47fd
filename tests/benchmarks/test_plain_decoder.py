"""The decoder that benchmarks measure against does what ours does."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from connectomics.decoding import polarity2instance

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
decoding = pytest.importorskip("decoding")
plain_decoder = pytest.importorskip("baselines.plain_decoder")
same_synapses = decoding.ORACLE["same_synapses"]


@pytest.mark.parametrize("settings", [{}, {"exclusive": True}, {"semantic": True}])
@pytest.mark.parametrize("dilate_sz", [1, 3, 5])
def test_both_find_the_same_synapses(settings, dilate_sz):
    rng = np.random.default_rng(dilate_sz)
    coarse = rng.random((3, 6, 10, 12))
    volume = coarse.repeat(4, axis=2).repeat(4, axis=3).astype(np.float32)
    found = [
        decode(volume, thres_small=20, dilate_sz=dilate_sz, **settings)
        for decode in (plain_decoder.polarity2instance, polarity2instance)
    ]
    assert found[0].max() > 1
    assert same_synapses(*found)


def test_other_synapses_are_not_the_same():
    labels = np.array([1, 2, 0, 3, 4])
    assert same_synapses(labels, np.array([3, 4, 0, 1, 2]))
    assert not same_synapses(labels, np.array([3, 4, 0, 2, 1]))  # a side exchanged
    assert not same_synapses(labels, np.array([1, 2, 0, 1, 2]))  # two are one
    assert not same_synapses(labels, np.array([1, 2, 3, 3, 4]))  # a voxel more
