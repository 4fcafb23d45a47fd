"""Objects without sides."""

from __future__ import annotations

import math

import numpy as np
import pytest

from connectomics.errors import DataError
from connectomics.evaluation import Counts, detection_scores, pool


def line(*values):
    return np.array(values).reshape(1, 1, -1)


def test_objects_by_hand():
    truth = line(1, 1, 1, 0, 2, 2, 0, 3)
    prediction = line(4, 4, 0, 0, 5, 5, 0, 0)
    scores = detection_scores(truth, prediction, iou_threshold=0.6)
    assert scores.detection == Counts(2, 0, 1)
    assert scores.f1_det == scores.numbers()["f1_det"] == 4 / 5
    assert scores.pq == pytest.approx((2 / 3 + 1) / 2.5)
    assert scores.as_dict()["counts"]["detection"]["tp"] == 2
    assert scores.matches.outcome.tolist() == ["matched", "matched", "missed"]


def test_a_pair_that_overlaps_too_little_knows_of_one_another():
    # 1-4 share 1 of 4, 1-5 share 1 of 3, 2 and 6 nothing; 3-7 is a match.
    truth = line(1, 1, 1, 0, 2, 0, 0, 3, 3)
    prediction = line(0, 5, 4, 4, 0, 6, 0, 7, 7)
    matches = detection_scores(truth, prediction).matches
    told = {
        (true, found): (near, None if math.isnan(iou) else iou)
        for true, found, near, iou in zip(
            matches.truth_id.tolist(),
            matches.prediction_id.tolist(),
            matches.near_id.tolist(),
            matches.near_iou.tolist(),
            strict=True,
        )
    }
    assert told == {
        (3, 7): (0, None),
        (1, 0): (5, 1 / 3),
        (0, 5): (1, 1 / 3),
        (2, 0): (0, None),
        (0, 4): (0, None),
        (0, 6): (0, None),
    }


def test_binary_truth_is_grouped():
    truth, prediction = line(1, 1, 0, 1), line(3, 3, 0, 7)
    scores = detection_scores(truth, prediction)
    assert scores.detection == Counts(2, 0, 0)
    assert "Binary truth was grouped" in scores.notes[0]
    assert detection_scores(truth, prediction, truth_encoding="instance").detection.tp == 1


def test_sides_count_as_one_synapse():
    truth, prediction = line(1, 2, 0, 3, 4), line(1, 1, 0, 2, 2)
    encodings = {"truth_encoding": "polarity", "prediction_encoding": "instance"}
    assert detection_scores(truth, prediction, **encodings).detection == Counts(2, 0, 0)
    # Once one volume has sides, the other is expected to have them too.
    assert detection_scores(truth, truth, truth_encoding="polarity").detection.tp == 2
    assert detection_scores(truth, truth).detection.tp == 4


def test_with_a_sided_prediction_semantic_truth_is_recognised():
    truth = line(1, 2, 0, 0, 0, 0, 0, 1, 2)
    prediction = line(1, 2, 0, 0, 0, 0, 0, 3, 4)
    scores = detection_scores(truth, prediction, prediction_encoding="polarity")
    assert scores.detection == Counts(2, 0, 0)
    assert "Semantic truth" in scores.notes[0]


def test_mask_and_border():
    truth = np.zeros((3, 3, 9), int)
    truth[1, 1, 1:3], truth[1, 1, 6:9] = 1, 2
    nothing = np.zeros_like(truth)
    assert detection_scores(truth, nothing, ignore_border=True).detection == Counts(0, 0, 1)
    mask = np.ones_like(truth)
    mask[..., 4:] = 0
    assert detection_scores(truth, nothing, mask=mask).detection == Counts(0, 0, 1)


def test_pooling():
    nothing = detection_scores(line(0), line(0))
    assert math.isnan(nothing.f1_det)
    pooled = pool([nothing, detection_scores(line(1), line(1)), detection_scores(line(1), line(0))])
    assert pooled.detection == Counts(1, 0, 1)
    assert len(pooled.matches) == 2
    with pytest.raises(DataError, match="do not add up"):
        pool([nothing, detection_scores(line(0), line(0), iou_threshold=0.3)])
