"""Which values of settings are legal."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.decoding import polarity2instance
from connectomics.errors import ConfigError
from connectomics.legal import illegal_settings, require_legal


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("thres", 0),
        ("thres", np.float32(0.5)),
        ("thres", 1.0),
        ("thres_small", 0),
        ("thres_small", np.int64(300)),
        ("dilate_sz", 4),
        ("scale_factors", [1, 0.5, np.float64(2)]),
        ("exclusive", True),
        ("semantic", np.bool_(False)),
        ("anything_else", object()),
    ],
)
def test_legal(name, value):
    assert illegal_settings(polarity2instance, {name: value}, "f") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("thres", 1.5),
        ("thres", -0.1),
        ("thres", float("nan")),
        ("thres", True),
        ("thres", "0.5"),
        ("thres", None),
        ("thres_small", -1),
        ("thres_small", 1.5),
        ("thres_small", False),
        ("dilate_sz", float("inf")),
        ("scale_factors", (1, 1)),
        ("scale_factors", (1, 1, 0)),
        ("scale_factors", (1, 1, float("inf"))),
        ("scale_factors", (1, 1, float("nan"))),
        ("scale_factors", 2.0),
        ("scale_factors", "111"),
        ("exclusive", "false"),
        ("semantic", 1),
    ],
)
def test_illegal(name, value):
    (fault,) = illegal_settings(polarity2instance, {name: value}, "polarity2instance")
    assert fault.where == f"polarity2instance.{name}"
    assert repr(value) in fault.problem


def test_all_faults_are_raised_at_once():
    with pytest.raises(ConfigError) as caught:
        require_legal(polarity2instance, thres=2, dilate_sz=-1, thres_small=3)
    assert [fault.where for fault in caught.value.faults] == [
        "polarity2instance.thres",
        "polarity2instance.dilate_sz",
    ]
