"""Decoding by block, beside decoding the whole."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd

from connectomics.decoding import decode
from connectomics.decoding.blockwise import decode_blocks

NM = (30.0, 8.0, 8.0)


def step(name, **kwargs):
    return SimpleNamespace(name=name, kwargs=kwargs)


def few_blocks(shape, block_size):
    """A block size that gives at most 64 blocks."""
    return tuple(max(b, -(-n // 4)) for n, b in zip(shape, block_size, strict=True))


def require_same(volume, steps, block_size, **kwargs):
    with warnings.catch_warnings(record=True) as expected_warnings:
        warnings.simplefilter("always")
        expected = decode(volume, steps, **kwargs)
    with warnings.catch_warnings(record=True) as found_warnings:
        warnings.simplefilter("always")
        found = decode_blocks(volume, steps, block_size=block_size, batch=50, **kwargs)
    assert found.labels.dtype == expected.labels.dtype
    assert np.array_equal(found.labels, expected.labels)
    for ours, theirs in ((found.table, expected.table), (found.partners, expected.partners)):
        if theirs is None:
            assert ours is None
        else:
            pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    assert said(found_warnings) == said(expected_warnings)
    return found


def said(caught):
    """What a user is told; not what Python says of files that earlier tests left open."""
    return [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
