"""What counts as a calibration, wherever it comes from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import yaml

from connectomics.decoding import decode_synapses, fit_calibration
from connectomics.decoding.calibration import is_calibration
from connectomics.errors import ConfigError
from connectomics.legal import illegal_settings

PLATT = {"method": "platt", "slope": 1.5, "intercept": 0}
ISOTONIC = {"method": "isotonic", "confidence": [0.2, 0.5], "share": [0.0, 1.0]}


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_what_is_fitted_is_one_also_from_yaml(method):
    fitted = fit_calibration([0.2, 0.4, 0.6, 0.8], [False, True, False, True], method=method)
    assert is_calibration(fitted)
    assert is_calibration(yaml.safe_load(yaml.safe_dump(fitted)))


def test_written_by_hand():
    assert is_calibration(PLATT)
    assert is_calibration(ISOTONIC)
    assert is_calibration(PLATT | {"slope": np.float32(2)})


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "platt",
        {"method": []},
        {"method": "plat", "slope": 1, "intercept": 0},
        {"method": "platt", "slope": 1},
        PLATT | {"slope": None},
        PLATT | {"slope": "1"},
        PLATT | {"slope": True},
        PLATT | {"intercept": math.nan},
        PLATT | {"scale": 2},
        ISOTONIC | {"confidence": []},
        {"method": "isotonic", "confidence": [], "share": []},
        ISOTONIC | {"share": [0.0]},
        ISOTONIC | {"share": [0.0, 1.5]},
        ISOTONIC | {"share": "01"},
        ISOTONIC | {"confidence": [0.5, 0.2]},
        ISOTONIC | {"confidence": [0.2, None]},
    ],
)
def test_what_is_none_is_a_fault_of_the_setting(value: Any):
    assert not is_calibration(value)
    faults = illegal_settings(decode_synapses, {"calibration": value}, "f")
    assert len(faults) == (value is not None)


def test_no_such_method():
    method: Any = "plat"
    with pytest.raises(ConfigError, match=r"no method 'plat'.\n  Did you mean 'platt'"):
        fit_calibration([0.5], [True], method=method)
