"""Synapses as points and connections, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.errors import DataError
from connectomics.evaluation import Sites, partner_score, point_score
from connectomics.evaluation.counts import Counts

NOWHERE = (np.nan, np.nan, np.nan)


def sites(*rows):
    """Rows of (pre x, post x, pre neuron, post neuron); an x of None is a missing side."""
    pre = [NOWHERE if row[0] is None else (0, 0, row[0]) for row in rows]
    post = [NOWHERE if row[1] is None else (0, 0, row[1]) for row in rows]
    known = [[x for x in row[:2] if x is not None] for row in rows]
    centre = [(0, 0, sum(x) / len(x)) for x in known]
    ids = np.array([row[2:] for row in rows], np.uint64).reshape(-1, 2)
    points = (np.array(p, float).reshape(-1, 3) for p in (pre, post, centre))
    return Sites(*points, neurons=ids)


TRUTH = sites((0, 10, 1, 2), (100, 110, 2, 3), (200, None, 4, 0))


def test_points_are_matched_by_the_site_asked_for():
    found = sites((4, 6, 1, 2), (130, 150, 2, 3), (206, None, 9, 0))
    score = point_score(TRUTH, found, radius_nm=36)
    assert score.counts == Counts(3, 0, 0)
    assert score.distance_nm == 0 + 35 + 6
    assert point_score(TRUTH, found, radius_nm=34).counts == Counts(2, 1, 1)
    assert point_score(TRUTH, found, radius_nm=5, site="post").counts == Counts(1, 1, 1)
    assert point_score(TRUTH, found, radius_nm=5, site="pre").counts == Counts(1, 2, 2)


def test_partners_need_the_right_neurons_in_the_right_order():
    found = sites((0, 10, 1, 2), (100, 110, 3, 2), (200, None, 4, 0))
    score = partner_score(TRUTH, found)
    assert score.counts == Counts(1, 1, 1)  # the one-sided ones connect nobody
    assert score.notes == ()
    assert partner_score(TRUTH, TRUTH).counts == Counts(2, 0, 0)
    far = sites((0, 10, 1, 2), (100, 211, 2, 3))
    assert partner_score(TRUTH, far, max_distance_nm=100).counts == Counts(1, 1, 1)


def test_the_modes_of_cremi():
    # Two matches at no distance cost less in all than three at the largest.
    truth = sites(*((x, x, 1, 2) for x in (0, 100, 200)))
    found = sites(*((x, x, 1, 2) for x in (100, 200, 300)))
    assert partner_score(truth, found, max_distance_nm=100).counts == Counts(2, 1, 1)
    most = partner_score(truth, found, max_distance_nm=100, mode="max_matches")
    assert (most.counts, most.distance_nm) == (Counts(3, 0, 0), 300)


def test_a_synapse_outside_all_neurons_is_wrong_and_it_is_said():
    truth, found = sites((0, 10, 1, 2), (50, 60, 0, 2)), sites((0, 10, 1, 2), (50, 60, 0, 2))
    score = partner_score(truth, found)
    assert score.counts == Counts(1, 1, 1)
    assert score.notes == (
        "Connections with an end in no neuron count as wrong: 1 true.",
        "Connections with an end in no neuron count as wrong: 1 predicted.",
    )


def test_no_neuron_known_at_all():
    unknown = sites((0, 10, 0, 0))
    with pytest.raises(DataError, match=r"1 true connections are not known[\s\S]*data.test.neuron"):
        partner_score(unknown, TRUTH)
    assert partner_score(sites(), unknown).counts == Counts(0, 1, 0)


def test_scores_add_up_and_print():
    near = point_score(sites((0, 10, 1, 2)), sites((4, 14, 1, 2)))
    missed = point_score(sites((0, 10, 1, 2)), sites())
    both = near + missed
    assert both.counts == Counts(1, 0, 1)
    (row,) = both.rows()
    assert row == {
        "precision": 1.0, "recall": 0.5, "f1": 2 / 3, "tp": 1, "fp": 0, "fn": 1, "mean_nm": 4.0
    }  # fmt: skip
    assert both.as_dict() == row
    assert np.isnan(missed.as_dict()["mean_nm"])


def test_selecting():
    kept = TRUTH.selected(np.array([False, True, True]))
    assert len(kept) == 2
    assert kept.paired.tolist() == [True, False]
    assert kept.points("pre")[:, 2].tolist() == [100, 200]
    assert kept.points("post")[:, 2].tolist() == [110]


def test_a_truth_without_connections_is_said_and_no_error():
    point, nowhere = np.zeros((1, 3)), np.zeros((0, 3))
    nobody, two = np.zeros((0, 2), np.uint64), np.array([[1, 2]], np.uint64)
    truth, found = Sites(nowhere, nowhere, nowhere, nobody), Sites(point, point, point, two)
    for score, kind in (
        (point_score(truth, found), "site"),
        (partner_score(truth, found), "connection"),
    ):
        assert score.counts == Counts(tp=0, fp=1, fn=0)
        assert score.notes == (f"The truth holds no {kind}: whatever is predicted is wrong.",)
