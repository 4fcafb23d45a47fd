from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from connectomics.decoding.sides import drop_one_sided
from connectomics.errors import DataError


def oracle(labels: np.ndarray) -> np.ndarray:
    result, number = np.zeros(labels.shape, int), 0
    for n in range(1, int(labels.max(initial=0)) // 2 + 2):
        pre, post = labels == 2 * n - 1, labels == 2 * n
        if pre.any() and post.any():
            number += 1
            result[pre], result[post] = 2 * number - 1, 2 * number
    return result


@given(arrays(np.uint16, st.tuples(*[st.integers(0, 4)] * 3), elements=st.integers(0, 12)))
def test_as_the_slow_way(labels):
    np.testing.assert_array_equal(drop_one_sided(labels), oracle(labels))


def test_a_lone_last_side_and_nothing_at_all():
    assert drop_one_sided(np.array([[[1, 2, 3]]], np.uint8)).tolist() == [[[1, 2, 0]]]
    assert drop_one_sided(np.array([[[0, 4]]], np.uint8)).tolist() == [[[0, 0]]]
    assert drop_one_sided(np.zeros((2, 2, 2), np.uint8)).sum() == 0


def test_many_ids_do_not_wrap():
    labels = np.arange(1, 140_001, dtype=np.uint32).reshape(1, 1, -1)
    np.testing.assert_array_equal(drop_one_sided(labels), labels)
    fewer = drop_one_sided(labels[..., 2:])
    assert fewer.max() == 139_998


def test_signed_labels_are_refused():
    with pytest.raises(DataError, match="int64"):
        drop_one_sided(np.zeros((1, 1, 1), np.int64))
