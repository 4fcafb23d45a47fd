"""Calibration: turning a decoder's confidence into the share of such synapses that are real.

A calibration is fitted on validation data, kept as plain numbers (it goes into YAML and JSON),
and given to the decoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from connectomics.errors import ConfigError, DataError, did_you_mean

METHODS = ("platt", "isotonic")

CALIBRATION_REMEDY = "Give what fit_calibration returned: {method: platt, slope: 1, intercept: 0}."

_LEAST = 1e-6  # confidences are kept this far from 0 and 1, whose logits are infinite


def fit_calibration(
    confidence: Sequence[float] | np.ndarray,
    is_real: Sequence[bool] | np.ndarray,
    *,
    method: Literal["platt", "isotonic"] = "platt",
) -> dict[str, Any]:
    """Fit what confidence means from synapses of which it is known whether they are real.

    "platt" fits p = 1 / (1 + exp(-(slope · logit(confidence) + intercept))) with Platt's
    targets, which keep it from certainty (Platt 1999, Advances in Large Margin Classifiers);
    two numbers, so some twenty synapses will do. "isotonic" fits the best non-decreasing steps
    by pooling adjacent violators (Zadrozny and Elkan 2002); it wants hundreds.

    Args:
        confidence: (S,) uncalibrated confidences in [0, 1].
        is_real: (S,) whether each is a true synapse.
        method: What to fit.

    Returns:
        A calibration for `calibrate` and the `calibration` of `decode_synapses`.

    Raises:
        DataError: There is no synapse, or a confidence is not in [0, 1].
        ConfigError: There is no such method.

    >>> fit_calibration([0.2, 0.4, 0.6, 0.8], [False, True, False, True], method="isotonic")
    {'method': 'isotonic', 'confidence': [0.2, 0.5, 0.8], 'share': [0.0, 0.5, 1.0]}
    """
    if method not in METHODS:
        hint = did_you_mean(method, METHODS)
        raise ConfigError("fit_calibration", f"there is no method {method!r}.", hint)
    x, y = np.asarray(confidence, float), np.asarray(is_real, bool)
    if x.shape != y.shape or x.ndim != 1 or x.size == 0:
        raise DataError(
            "fit_calibration",
            f"there are {x.shape} confidences and {y.shape} answers.",
            "Give one of each for every synapse, and at least one synapse.",
        )
    if not ((x >= 0) & (x <= 1)).all():
        raise DataError("fit_calibration", "a confidence is not in [0, 1].", "Check the table.")
    if method == "isotonic":
        return _fit_isotonic(x, y)
    slope, intercept = _fit_logistic(_logit(x), y)
    return {"method": "platt", "slope": slope, "intercept": intercept}


def calibrate(confidence: np.ndarray, calibration: Mapping[str, Any]) -> np.ndarray:
    """Apply a calibration to confidences.

    Args:
        confidence: (S,) in [0, 1].
        calibration: What `fit_calibration` returned.

    Returns:
        (S,) in [0, 1].

    Raises:
        ConfigError: The calibration is none.

    >>> calibrate(np.array([0.5]), {"method": "platt", "slope": 1.0, "intercept": 0.0})
    array([0.5])
    """
    if not is_calibration(calibration):
        raise ConfigError("calibration", f"{calibration!r} is no calibration.", CALIBRATION_REMEDY)
    if calibration["method"] == "isotonic":
        return np.interp(confidence, calibration["confidence"], calibration["share"])
    z = calibration["slope"] * _logit(np.asarray(confidence, float)) + calibration["intercept"]
    return 1 / (1 + np.exp(-z))


def is_calibration(value: Any) -> bool:
    """Whether a value is what `fit_calibration` returns, also as YAML or JSON bring it back."""
    match value:
        case {"method": "platt", "slope": slope, "intercept": intercept, **rest}:
            return not rest and _are_numbers([slope, intercept])
        case {"method": "isotonic", "confidence": [_, *_] as at, "share": [_, *_] as share, **rest}:
            if rest or len(at) != len(share) or not _are_numbers([*at, *share]):
                return False
            return bool(np.all(np.diff(at) > 0)) and all(0 <= p <= 1 for p in share)
    return False


def _are_numbers(values: Sequence[Any]) -> bool:
    real = (float, int, np.number)
    return all(isinstance(v, real) and not isinstance(v, bool) and np.isfinite(v) for v in values)


def _logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, _LEAST, 1 - _LEAST)
    return np.log(p / (1 - p))


def _fit_logistic(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and intercept by Newton's method, with a faint pull of the slope towards 1."""
    real = int(y.sum())
    fake = y.size - real
    target = np.where(y, (real + 1) / (real + 2), 1 / (fake + 2))
    design = np.column_stack([x, np.ones_like(x)])
    pull = np.diag([1e-2, 1e-6])
    weights, prior = np.array([1.0, 0.0]), np.array([1.0, 0.0])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (p - target) + pull @ (weights - prior)
        curvature = (design * (p * (1 - p))[:, None]).T @ design + pull
        step = np.linalg.solve(curvature, gradient)
        weights -= step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-10:
            break
    return float(weights[0]), float(weights[1])


def _fit_isotonic(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Blocks of equal share, by pooling adjacent violators; each at its mean confidence."""
    values, group = np.unique(x, return_inverse=True)
    sizes, real = np.bincount(group), np.bincount(group, y)
    blocks: list[list[float]] = []  # sum of confidence, synapses, real ones
    for value, size, hits in zip(values, sizes, real, strict=True):
        blocks.append([float(value * size), float(size), float(hits)])
        while len(blocks) > 1 and _falls(blocks[-2], blocks[-1]):
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    return {
        "method": "isotonic",
        "confidence": [total / size for total, size, _ in blocks],
        "share": [hits / size for _, size, hits in blocks],
    }


def _falls(before: list[float], after: list[float]) -> bool:
    """Whether the share of real synapses falls from one block to the next."""
    return before[2] * after[1] > after[2] * before[1]
