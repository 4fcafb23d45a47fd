"""What is searched: for each decoder the settings that matter, and between which values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from connectomics.decoding import DECODERS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

DIGITS = 3
"""Significant digits of a number that is tried: more would only look precise."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`.

    Attributes:
        low: The smallest.
        high: The largest.
        log: Search orders of magnitude evenly.
        whole: Whole numbers only.

    >>> Range(0.1, 0.9).setting(0.123456), Range(16, 4096, log=True, whole=True).setting(1234)
    (0.123, 1234)
    >>> Range(0.1, 0.9).nearest(0.95)
    0.9
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def distribution(self) -> BaseDistribution:
        """As Optuna writes it."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def setting(self, parameter: Any) -> float | int:
        """The value that the decoder gets for what the sampler chose."""
        if self.whole:
            return int(parameter)
        return min(max(float(f"{parameter:.{DIGITS}g}"), self.low), self.high)

    def nearest(self, value: Any) -> float | int:
        """What stands for a value in the search, also for one that is not in the range."""
        clipped = min(max(value, self.low), self.high)
        return int(clipped) if self.whole else float(clipped)

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that are legal only if all in between are."""
        return self.nearest(self.low), self.nearest(self.high)

    def __str__(self) -> str:
        kind = ", by orders of magnitude" if self.log else ""
        return f"{self.low:g} to {self.high:g}{kind}"


@dataclass(frozen=True)
class Choices:
    """Some values of any kind; to Optuna, which keeps plain values only, they are JSON text.

    >>> hysteresis = Choices((None, (0.3, 0.5)))
    >>> hysteresis.nearest((0.3, 0.5)), hysteresis.setting("[0.3, 0.5]")
    ('[0.3, 0.5]', [0.3, 0.5])
    """

    values: tuple[Any, ...]

    def distribution(self) -> BaseDistribution:
        """As Optuna writes it."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution([json.dumps(value) for value in self.values])

    def setting(self, parameter: Any) -> Any:
        """The value that the decoder gets for what the sampler chose."""
        return json.loads(parameter)

    def nearest(self, value: Any) -> str:
        """What stands for a value in the search: the first where it is none of the choices."""
        texts = [json.dumps(choice) for choice in self.values]
        text = json.dumps(value)
        return text if text in texts else texts[0]

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that are legal only if all are."""
        return self.values

    def __str__(self) -> str:
        return " or ".join(json.dumps(value) for value in self.values)


Dimension = Range | Choices
Space = Mapping[str, Dimension]
Settings = dict[str, Any]


def settings_of(decoder: str, kwargs: Mapping[str, Any]) -> Settings:
    """All settings of a decoder: as given, and its defaults for the rest.

    >>> settings_of("binary2instance", {"thres": 0.4})
    {'thres': 0.4, 'thres_small': 128, 'dilate_sz': 0}
    """
    return DECODERS[decoder].settings | dict(kwargs)


def split_name(name: str) -> tuple[str, int | None]:
    """Take the name of a dimension apart.

    >>> split_name("hysteresis[1]"), split_name("thres")
    (('hysteresis', 1), ('thres', None))
    """
    found = re.fullmatch(r"(.+)\[(\d+)\]", name)
    return (found[1], int(found[2])) if found else (name, None)


def value_of(settings: Mapping[str, Any], name: str) -> Any:
    """The value of one dimension.

    Raises:
        LookupError: There is no such setting, or it has no such item.
    """
    setting, item = split_name(name)
    value = settings[setting]
    if item is None:
        return value
    if not isinstance(value, Sequence):
        raise LookupError(name)
    return value[item]


def changed(settings: Mapping[str, Any], values: Mapping[str, Any]) -> Settings:
    """Settings in which dimensions have other values.

    >>> changed({"hysteresis": (0.3, 0.5), "vote": True}, {"hysteresis[0]": 0.2})
    {'hysteresis': [0.2, 0.5], 'vote': True}
    """
    result = dict(settings)
    for name, value in values.items():
        setting, item = split_name(name)
        if item is None:
            result[setting] = value
        else:
            items = list(result[setting])
            items[item] = value
            result[setting] = items
    return result


def default_space(decoder: str, configured: Mapping[str, Any]) -> dict[str, Dimension]:
    """The space that a decoder brings along, without what is of no use with its other settings.

    What is switched off (null) stays off, and classes that exclude each other need no threshold.

    Args:
        decoder: Its name.
        configured: All of its settings.
    """
    space = {}
    for name, values in DECODERS[decoder].space.items():
        dimension = read_dimension(values, decoder, name)
        try:
            value = value_of(configured, name)
        except LookupError:
            continue
        idle = name == "thres" and configured.get("exclusive")
        if not idle and (isinstance(dimension, Choices) or is_number(value)):
            space[name] = dimension
    return space


def read_dimension(values: Sequence[Any], decoder: str, name: str) -> Dimension:
    """Read two numbers as a range and everything else as choices.

    >>> str(read_dimension([0.3, 0.7], "synapses", "thres"))
    '0.3 to 0.7'
    >>> str(read_dimension([1e5, 1e6], "synapses", "min_side_nm3"))
    '100000 to 1e+06, by orders of magnitude'
    >>> str(read_dimension([None, 0.8], "synapses", "split_saddle"))
    'null or 0.8'
    """
    if len(values) == 2 and all(map(is_number, values)):
        low, high = values
        log = (name.endswith("_nm3") or name == "thres_small") and low > 0
        return Range(low, high, log, is_whole(decoder, name))
    return Choices(tuple(values))


def is_whole(decoder: str, name: str) -> bool:
    """Whether a setting takes whole numbers only."""
    return get_type_hints(DECODERS[decoder].function).get(name) is int


def is_number(value: Any) -> bool:
    """Whether a value can be the end of a range.

    >>> is_number(0.5), is_number(True), is_number(None), is_number(math.inf)
    (True, False, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
