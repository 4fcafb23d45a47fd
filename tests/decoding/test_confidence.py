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

HALF = 0.5e6 / (30 * 8 * 8)  # voxels


def sided(n_pre, n_post, p_pre=1.0, p_post=1.0):
    side = np.array([[[1] * n_pre + [2] * n_post]])
    pre, post = np.where(side == 1, p_pre, 0), np.where(side == 2, p_post, 0)
    return listed(np.zeros_like(side), side, pre=pre, post=post)


def strength(size, p):
    """Of a side of which every voxel has the same p."""
    return size / (size + HALF) * np.sqrt(p)


def test_a_synapse_is_as_sure_as_its_weaker_side():
    found = confidence(sided(900, 500, 0.9, 0.6))
    assert found == pytest.approx([strength(500, 0.6)], rel=1e-6)
    found = confidence(sided(400, 900, 0.7, 0.9))
    assert found == pytest.approx([strength(400, 0.7)], rel=1e-6)


def test_what_fades_is_less_sure_than_what_is_even():
    side = np.repeat([[[1, 2]]], [100, 100], axis=2)
    p = np.concatenate([np.linspace(0.5, 0.9, 100), np.full(100, 0.7)]).reshape(1, 1, 200)
    fading = confidence(listed(np.zeros_like(side), side, pre=p, post=p))
    # The lower of the two values beside the 90th percentile: number 89 of 0 to 99.
    evenness = 0.7 / (0.5 + 0.4 * 89 / 99)
    assert fading == pytest.approx([strength(100, 0.7) * evenness], rel=1e-5)
    even = confidence(sided(100, 100, 0.7, 0.7))
    assert even == pytest.approx([strength(100, 0.7)])


def test_one_side_alone_is_worth_less_than_half():
    assert confidence(sided(1000, 0)) == pytest.approx([0.45 * strength(1000, 1)])
    # A token of the other side is worth no more.
    assert confidence(sided(1000, 1)) == pytest.approx(confidence(sided(1000, 0)))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_what_one_side_is_worth_can_be_set(share):
    found = confidence(sided(0, 1000, 1.0, 0.8), one_sided=share)
    assert found == pytest.approx([share * strength(1000, 0.8)])


def test_large_sure_synapses_are_certain_and_small_ones_are_not():
    assert confidence(sided(30_000, 30_000))[0] > 0.98
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
