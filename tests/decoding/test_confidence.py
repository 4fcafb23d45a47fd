"""Confidence, margin and calibration."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synapse_volumes import listed

from connectomics.decoding.calibration import calibrate, fit_calibration
from connectomics.decoding.confidence import confidence, polarity_margin
from connectomics.errors import ConfigError, DataError

HALF = 0.25e6 / (30 * 8 * 8)  # voxels


def sided(n_pre, n_post, p_pre=1.0, p_post=1.0):
    side = np.array([[[1] * n_pre + [2] * n_post]])
    pre, post = np.where(side == 1, p_pre, 0), np.where(side == 2, p_post, 0)
    return listed(np.zeros_like(side), side, pre=pre, post=post)


def test_confidence_by_hand():
    found = confidence(sided(100, 50, 0.9, 0.6))
    expected = np.sqrt(90 / (100 + HALF) * 30 / (50 + HALF))
    assert found == pytest.approx([expected], rel=1e-6)


def test_one_side_alone_is_worth_half():
    assert confidence(sided(1000, 0)) == pytest.approx([0.5 * 1000 / (1000 + HALF)])


def test_large_sure_synapses_are_certain_and_small_ones_are_not():
    assert confidence(sided(9000, 9000))[0] > 0.98
    assert confidence(sided(5, 5))[0] < 0.05


def test_margin_by_hand():
    voxels = listed(
        [[[0, 0, 0, 1]]],
        [[[1, 1, 2, 0]]],
        pre=[[[0.9, 0.4, 0.2, 1.0]]],
        post=[[[0.1, 0.6, 0.8, 0.0]]],
    )
    assert polarity_margin(voxels) == pytest.approx([(0.8 - 0.2 + 0.6) / 3, 0])


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_calibration_learns_the_shares_and_survives_json(method):
    rng = np.random.default_rng(0)
    raw = rng.random(4000)
    real = rng.random(4000) < raw**2  # the decoder is too sure of itself
    calibration = json.loads(json.dumps(fit_calibration(raw, real, method=method)))
    asked = np.array([0.3, 0.5, 0.7, 0.9])
    assert calibrate(asked, calibration) == pytest.approx(asked**2, abs=0.08)


def test_platt_recovers_its_own_model():
    rng = np.random.default_rng(1)
    raw = rng.uniform(0.02, 0.98, 20_000)
    z = 2.0 * np.log(raw / (1 - raw)) - 1.0
    fitted = fit_calibration(raw, rng.random(raw.size) < 1 / (1 + np.exp(-z)))
    assert (fitted["slope"], fitted["intercept"]) == pytest.approx((2, -1), abs=0.1)


def test_few_or_one_sided_answers_do_not_make_it_certain():
    fitted = fit_calibration([0.4, 0.6, 0.8], [True, True, True])
    assert 0.5 < calibrate(np.array([0.8]), fitted)[0] < 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=30))
def test_isotonic_never_falls_and_keeps_the_mean(pairs):
    raw, real = np.array([p[0] / 9 for p in pairs]), np.array([p[1] for p in pairs])
    fitted = fit_calibration(raw, real, method="isotonic")
    assert np.all(np.diff(fitted["share"]) >= 0)
    assert np.all(np.diff(fitted["confidence"]) > 0)
    grid = calibrate(np.linspace(0, 1, 50), fitted)
    assert np.all(np.diff(grid) >= -1e-12)
    assert 0 <= grid.min() <= grid.max() <= 1


def test_faults_are_named():
    with pytest.raises(DataError, match=r"\(2,\) confidences and \(1,\) answers"):
        fit_calibration([0.1, 0.2], [True])
    with pytest.raises(DataError, match=r"not in \[0, 1\]"):
        fit_calibration([1.2], [True])
    with pytest.raises(ConfigError, match="is no calibration"):
        calibrate(np.array([0.5]), {"method": "platt", "slope": 1})
