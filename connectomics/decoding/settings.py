"""The legal values of decoder settings, the same for a call from Python and for the config."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from connectomics.errors import ConfigError, Fault


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


def _is_flag(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def _are_factors(value: Any) -> bool:
    if not isinstance(value, tuple | list) or len(value) != 3:
        return False
    return all(_is_number(f) and 0 < f < float("inf") for f in value)


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
        _is_count,
        "a whole number of voxels, 0 or more",
        "It is the edge of the square by which the union is dilated; 0 and 1 leave it as it is.",
    ),
    "semantic": (_is_flag, "true or false", ""),
    "exclusive": (_is_flag, "true or false", ""),
    "scale_factors": (
        _are_factors,
        "three positive numbers",
        "Give one factor each for z, y and x, such as [1.0, 0.5, 0.5].",
    ),
}
