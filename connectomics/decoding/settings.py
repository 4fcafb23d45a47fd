"""The legal values of decoder settings, the same for a call from Python and for the config."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from connectomics.decoding.calibration import CALIBRATION_REMEDY, is_calibration
from connectomics.errors import ConfigError, Fault

LARGEST_EDGE = 1000
LARGEST_DISTANCE = 20_000
LARGEST_FACTOR = 32
LARGEST_GAP = 250
"""In nm, between pieces of one side. All voxels within it are looked at, so it costs its square."""


def setting_faults(where: str, **settings: Any) -> list[Fault]:
    """Find the decoder settings whose value cannot work.

    Args:
        where: What stands before the name of the setting in a message: the function, or the
            place in the config.
        **settings: Settings by name. Names without a rule are not looked at.

    >>> print(*setting_faults("polarity2instance", thres=127, dilate_sz=5))
    polarity2instance.thres: 127 is not a number in [0, 1].
      The threshold is a probability, whatever the dtype of the volume: 127 of 255 is 0.5.
    """
    faults = []
    for name, value in settings.items():
        legal, wanted, remedy = _RULES.get(name, _NO_RULE)
        if not legal(value):
            faults.append(Fault(f"{where}.{name}", f"{value!r} is not {wanted}.", remedy))
    return faults


def check_settings(where: str, **settings: Any) -> None:
    """Refuse the settings in which `setting_faults` finds a fault.

    Raises:
        ConfigError: At least one value cannot work; all of them are named.
    """
    faults = setting_faults(where, **settings)
    if faults:
        raise ConfigError.of(faults)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _is_probability(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_count(value: Any) -> bool:
    return _is_number(value) and isinstance(value, int | np.integer) and int(value) >= 0


def _is_edge(value: Any) -> bool:
    return _is_count(value) and value <= LARGEST_EDGE


def _is_flag(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def _is_distance(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= LARGEST_DISTANCE


def _is_gap(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= LARGEST_GAP


def _is_amount(value: Any) -> bool:
    return _is_number(value) and 0 <= value < float("inf")


def _are_thresholds(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    return all(_is_probability(p) for p in value) and value[0] <= value[1]


def _is_probability_or_none(value: Any) -> bool:
    return value is None or _is_probability(value)


def _are_factors(value: Any) -> bool:
    if not isinstance(value, tuple | list) or len(value) != 3:
        return False
    return all(_is_number(f) and 1 / LARGEST_FACTOR <= f <= LARGEST_FACTOR for f in value)


_Rule = tuple[Callable[[Any], bool], str, str]

_NO_RULE: _Rule = (lambda value: True, "", "")

_RULES: dict[str, _Rule] = {
    "thres": (
        _is_probability,
        "a number in [0, 1]",
        "The threshold is a probability, whatever the dtype of the volume: 127 of 255 is 0.5.",
    ),
    "thres_small": (
        _is_count,
        "a whole number of voxels, 0 or more",
        "Pieces of fewer voxels are dropped; 0 keeps all.",
    ),
    "dilate_sz": (
        _is_edge,
        f"a whole number of voxels, 0 to {LARGEST_EDGE}",
        "It is the edge of the square by which the union is dilated; 0 and 1 leave it as it is.",
    ),
    "semantic": (_is_flag, "true or false", ""),
    "exclusive": (_is_flag, "true or false", ""),
    "adapt": (_is_flag, "true or false", ""),
    "vote": (_is_flag, "true or false", ""),
    "polyadic": (_is_flag, "true or false", ""),
    "hysteresis": (
        _are_thresholds,
        "two numbers 0 <= low <= high <= 1, or None",
        "Give the low and the high threshold of the union, such as [0.3, 0.5]; null is off.",
    ),
    "split_saddle": (
        _is_probability_or_none,
        "a number in [0, 1] or None",
        "It is the share of the weaker peak below which synapses are split; null is off.",
    ),
    "calibration": (
        lambda value: value is None or is_calibration(value),
        "a calibration",
        CALIBRATION_REMEDY,
    ),
    "mend_sections": (_is_edge, f"a whole number of sections, 0 to {LARGEST_EDGE}", "0 is off."),
    **dict.fromkeys(
        ("trim", "stray_share", "mend_overlap", "partner_share", "one_sided"),
        (_is_probability, "a share in [0, 1]", ""),
    ),
    **dict.fromkeys(
        ("pair_evidence", "min_confidence"), (_is_probability, "a number in [0, 1]", "")
    ),
    **dict.fromkeys(
        ("bridge_nm", "split_sigma_nm", "split_radius_nm", "pair_nm", "duplicate_nm"),
        (_is_distance, f"a distance in nm, 0 to {LARGEST_DISTANCE}", ""),
    ),
    "apart_nm": (_is_gap, f"a distance in nm, 0 to {LARGEST_GAP}", ""),
    **dict.fromkeys(
        ("min_piece_nm3", "core_nm3", "part_nm3", "min_side_nm3", "min_synapse_nm3"),
        (_is_amount, "a volume in nm³, 0 or more", "A voxel of 30 by 8 by 8 nm has 1920 nm³."),
    ),
    "scale_factors": (
        _are_factors,
        f"three numbers from {1 / LARGEST_FACTOR} to {LARGEST_FACTOR}",
        "Give one factor each for z, y and x, such as [1.0, 0.5, 0.5].",
    ),
}
