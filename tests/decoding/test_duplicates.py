"""Duplicates against every pair."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from synapse_volumes import listed_labels

from connectomics.decoding.duplicates import centres_nm, duplicate_pairs
from connectomics.decoding.partners import Partners


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 30.0, 80.0]))
def test_duplicates_against_every_pair(seed, distance):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 12))
    centres = rng.integers(0, 10, (count, 3)) * 10.0
    pre, post = rng.integers(0, 3, (2, count)).astype(np.uint64)
    partners = Partners(pre, post, np.ones(count), np.ones(count))
    expected = {
        (a, b)
        for b in range(count)
        for a in range(b)
        if pre[a] == pre[b] > 0
        and post[a] == post[b] > 0
        and np.linalg.norm(centres[a] - centres[b]) <= distance
    }
    found = duplicate_pairs(centres, partners, distance_nm=distance)
    assert {tuple(pair) for pair in found.tolist()} == expected
    assert len(found) == len(expected)


def test_centres_are_means_of_both_sides():
    labels = np.zeros((2, 1, 9), int)
    labels[0, 0, :4] = [1, 1, 2, 2]
    labels[1, 0, 8] = 4
    assert centres_nm(listed_labels(labels)).tolist() == [[0, 0, 12], [30, 0, 64]]
