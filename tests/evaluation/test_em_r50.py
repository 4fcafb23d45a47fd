"""The two older scorings of EM-R50, against boolean masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from connectomics.errors import DataError
from connectomics.evaluation import em_r50_pair, em_r50_union, pool


def iou(first, second):
    return np.sum(first & second) / np.sum(first | second)


def union_slowly(truth, prediction, crop_z, min_size, threshold):
    """The published procedure, object by object."""
    truth, prediction = truth.copy(), prediction.copy()
    for labels in (truth, prediction):
        labels[:crop_z] = labels[len(labels) - crop_z :] = 0
    components, n = ndimage.label(ndimage.binary_dilation(prediction > 0), np.ones((3, 3, 3)))
    found = [components == i for i in range(1, n + 1) if np.sum(components == i) >= min_size]
    known = [(truth + 1) // 2 == i for i in np.unique((truth + 1) // 2) if i]
    right = sum(max((iou(p, t) for t in known), default=0) > threshold for p in found)
    hit = sum(max((iou(p, t) for p in found), default=0) > threshold for t in known)
    return right, len(found) - right, hit, len(known) - hit


def random_synapses(rng, shape, count):
    labels = np.zeros(shape, int)
    for n in range(1, count + 1):
        z, y, x = (rng.integers(0, s - 4) for s in shape)
        labels[z : z + 3, y : y + 4, x : x + 2] = 2 * n - 1
        labels[z : z + 3, y : y + 4, x + 2 : x + 4] = 2 * n
    return labels


@pytest.mark.parametrize("seed", range(8))
def test_union_agrees_with_a_slow_version(seed):
    rng = np.random.default_rng(seed)
    truth = random_synapses(rng, (14, 30, 40), 12)
    prediction = np.roll(truth, (0, 1, 1), (0, 1, 2)) * (truth < 20)
    prediction[rng.random(truth.shape) < 0.002] = 2
    scores = em_r50_union(truth, prediction, crop_z=2, min_size=40, truth_encoding="polarity")
    counts = scores.true_predictions, scores.fp, scores.found, scores.fn
    assert counts == union_slowly(truth, prediction, 2, 40, 0.2)
    assert scores.found > 0


def test_union_is_not_one_to_one():
    truth = np.zeros((3, 12, 60), int)
    truth[1, 2:10, 5:45] = 1
    prediction = np.zeros_like(truth)
    prediction[1, 3:9, 6:22] = prediction[1, 3:9, 28:44] = 1
    scores = em_r50_union(truth, prediction, crop_z=0)
    assert (scores.true_predictions, scores.fp, scores.found, scores.fn) == (2, 0, 1, 0)
    assert (scores.precision, scores.recall, scores.f1) == (1, 1, 1)


def test_small_components_and_blanked_sections_do_not_count():
    truth = np.zeros((40, 20, 20), int)
    truth[5, 5:15, 5:15] = 1
    prediction = np.zeros_like(truth)
    prediction[20, 5:8, 5:8] = 1
    scores = em_r50_union(truth, prediction)
    assert (scores.fp, scores.fn) == (0, 0)
    assert math.isnan(scores.f1)


def test_union_of_semantic_truth_under_a_mask():
    truth = np.zeros((1, 10, 40), np.uint8)
    truth[0, 1:9, 2:8], truth[0, 1:9, 8:14] = 1, 2
    truth[0, 1:9, 30:34], truth[0, 1:9, 34:38] = 2, 1
    mask = np.ones_like(truth)
    mask[..., 20:] = 0
    scores = em_r50_union(truth, truth, crop_z=0, min_size=10, mask=mask, truth_encoding="semantic")
    assert (scores.true_predictions, scores.fp, scores.found, scores.fn) == (1, 0, 1, 0)
    assert "grouped" in scores.notes[0]


def test_too_few_sections_to_blank():
    thin = np.zeros((28, 2, 2), int)
    with pytest.raises(DataError, match="28 sections and 14 are blanked"):
        em_r50_union(thin, thin)


def line(*values):
    return np.array(values).reshape(1, 1, -1)


def test_pair_needs_both_sides_of_one_prediction():
    truth = line(1, 1, 2, 2, 0, 3, 3, 4, 4, 0, 5, 5, 6, 6, 0, 0)
    prediction = line(1, 0, 2, 0, 0, 3, 3, 6, 6, 0, 10, 10, 9, 9, 0, 7)
    # 1: IoU 1/2 on both sides. 2: its sides are found by two synapses. 3: flipped. 7: alone.
    scores = em_r50_pair(truth, prediction)
    assert (scores.found, scores.fn, scores.fp) == (1, 2, 1)
    assert (scores.precision, scores.recall) == (1 / 2, 1 / 3)
    assert scores.f1 == pytest.approx(0.4)


def test_pair_wants_more_than_the_threshold():
    truth, prediction = line(1, 1, 2, 2), line(1, 0, 2, 0)
    assert em_r50_pair(truth, prediction, iou_threshold=0.5).found == 0
    assert em_r50_pair(truth, prediction, iou_threshold=0.49).found == 1


def test_pooling_and_empty_volumes():
    nothing, one = line(0, 0), line(1, 2)
    assert em_r50_pair(one, nothing).f1 == em_r50_pair(nothing, one).f1 == 0
    pooled = pool([em_r50_pair(one, one), em_r50_pair(one, nothing)])
    assert (pooled.found, pooled.fn, pooled.recall) == (1, 1, 0.5)
    assert pooled.as_dict()["recall"] == 0.5
