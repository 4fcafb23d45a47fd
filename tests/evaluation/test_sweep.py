"""Several thresholds from one count."""

from __future__ import annotations

import math

import numpy as np
import pytest

from connectomics.errors import DataError
from connectomics.evaluation import (
    MEAN_THRESHOLDS,
    contingency_table,
    detection_sweep,
    polarity_scores,
    polarity_sweep,
    pool,
    sides,
)

TRUTH = np.array([[[1] * 10 + [2] * 10 + [0] * 2 + [3] * 4 + [4] * 4]])
PREDICTION = np.array([[[1] * 10 + [2] * 7 + [0] * 5 + [3] * 4 + [4] * 4]])


def test_each_threshold_is_what_scoring_at_it_gives():
    sweep = polarity_sweep(TRUTH, PREDICTION)
    assert [score.iou_threshold for score in sweep.scores] == [0.3, 0.5, 0.75]
    for score in sweep.scores + sweep.strict:
        assert score == polarity_scores(TRUTH, PREDICTION, iou_threshold=score.iou_threshold)
    assert sweep.at(0.5) is sweep.scores[1]
    with pytest.raises(DataError, match=r"no score at 0\.4"):
        sweep.at(0.4)


def test_the_mean_by_hand():
    assert MEAN_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    mean = polarity_sweep(TRUTH, PREDICTION).mean
    # Synapse 1 has IoU 1 (pre), 0.7 (post) and 0.85 (union); synapse 2 fits exactly.
    assert mean["f1_post"] == pytest.approx((5 * 1 + 5 * 0.5) / 10)
    assert mean["f1_pol"] == pytest.approx((5 * 1 + 5 * 0.5) / 10)
    assert mean["f1_det"] == pytest.approx((8 * 1 + 2 * 0.5) / 10)
    assert mean["f1_pre"] == mean["side_accuracy"] == 1


def test_the_mean_leaves_out_thresholds_where_nothing_is_matched():
    prediction = np.where(PREDICTION > 2, 0, PREDICTION)
    assert polarity_sweep(TRUTH, prediction).mean["side_accuracy"] == 1
    nothing = np.zeros_like(TRUTH)
    assert math.isnan(polarity_sweep(nothing, nothing).mean["f1_pol"])


def test_no_threshold_but_those_of_the_mean():
    sweep = polarity_sweep(TRUTH, PREDICTION, iou_thresholds=())
    assert [row["IoU"] for row in sweep.rows()] == ["mean"]
    assert sweep.as_dict()["truth_encoding"] == "polarity"
    assert sweep.notes == ()


def test_voxels_are_counted_once(monkeypatch):
    calls = []

    def counting(*args, **kwargs):
        calls.append(args)
        return contingency_table(*args, **kwargs)

    monkeypatch.setattr(sides, "contingency_table", counting)
    polarity_sweep(TRUTH, PREDICTION, iou_thresholds=(0.1, 0.2, 0.3))
    assert len(calls) == 1


def test_curves_come_with_confidence():
    sweep = polarity_sweep(TRUTH, PREDICTION, confidence={1: 0.9, 2: 0.5})
    at = sweep.as_dict()["at"]
    assert at["0.5"]["average_precision"] == 1
    assert at["0.75"]["average_precision"] == pytest.approx(0.25)
    assert at["0.75"]["best_f1_pol"] == {"f1": 0.5, "confidence": 0.5}
    assert sweep.rows()[0]["AP_pol"] == 1
    pooled = pool([sweep, sweep])
    assert pooled.curves[2].n_truth == 4
    assert pool([sweep, polarity_sweep(TRUTH, PREDICTION)]).curves == ()


def test_what_a_report_shows():
    sweep = polarity_sweep(TRUTH, PREDICTION)
    rows = sweep.rows()
    assert [row["IoU"] for row in rows] == ["0.3", "0.5", "0.75", "mean"]
    assert rows[2]["pol"] == "1/1/1"
    assert rows[0]["95% F1_pol"] == "-"  # all fared alike
    assert rows[2]["95% F1_pol"] == "0.00..1.00"
    at = sweep.as_dict()["at"]["0.75"]
    assert set(at["interval_95"]) == {"f1_det", "side_accuracy", "f1_pol", "f1_pre", "f1_post"}
    assert sum(share["polarity"]["fn"] for share in at["by_size"]) == 1
    assert [share["name"] for share in at["by_border"]] == ["inside", "border"]
    assert [row["iou_threshold"] for row in sweep.match_rows()] == [0.3, 0.3, 0.5, 0.5, 0.75, 0.75]
    nothing = np.zeros_like(TRUTH)
    assert polarity_sweep(nothing, nothing).rows()[0]["95% F1_pol"] == "-"


def test_sides_that_are_the_other_way_round_are_doubted():
    """Odd is post in some people's labels."""
    swapped = np.where(TRUTH > 0, TRUTH - 1 + 2 * (TRUTH % 2), 0)
    (said,) = polarity_sweep(TRUTH, swapped).notes
    assert said.startswith("2 matched synapses are flipped and 0 are not: are pre and post odd")
    half = np.where(TRUTH > 2, swapped, TRUTH)
    assert polarity_sweep(TRUTH, half).notes == ()


def test_detection():
    sweep = detection_sweep(TRUTH > 0, PREDICTION > 0, iou_thresholds=(0.5, 0.9))
    assert [score.f1_det for score in sweep.scores] == [1, 0.5]
    assert [row["TP/FP/FN"] for row in sweep.rows()[:2]] == ["2/0/0", "1/1/1"]
    assert sweep.as_dict()["mean"]["f1_det"] == pytest.approx(0.9)
    assert pool([sweep, sweep]).at(0.9).detection.tp == 2
    assert len(sweep.notes) == 2
