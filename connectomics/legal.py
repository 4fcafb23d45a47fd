"""Which values a setting may have, said in the type of the argument and nowhere else.

A call from Python, a config and the JSON schema all go by it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from numbers import Integral, Real
from typing import Any, get_args, get_type_hints

from connectomics.errors import ConfigError, Fault


@dataclass(frozen=True, eq=False)
class Legal:
    """What a value has to be: `Annotated[float, Legal(...)]` is the type of such an argument.

    Attributes:
        test: Tells it of any value.
        wanted: What it has to be, as in "it is not ...".
        remedy: What to do, where that is not plain.
        schema: The same as JSON schema says it, as far as that can.
    """

    test: Callable[[Any], bool]
    wanted: str
    remedy: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)

    def __get_pydantic_json_schema__(self, core: Any, handler: Callable[[Any], Any]) -> Any:
        return {**handler(core), **self.schema}


def number(
    low: float, high: float, wanted: str = "", remedy: str = "", *, whole: bool = False
) -> Legal:
    """Numbers from `low` to `high`; without end where that is infinite.

    >>> number(0, 1).test(0.5), number(0, 1).test(True), number(0, 9, whole=True).test(0.5)
    (True, False, False)
    """

    def test(value: Any) -> bool:
        return is_number(value) and low <= value <= high and (not whole or is_whole(value))

    ends = {"minimum": low, "maximum": high}
    schema = {name: end for name, end in ends.items() if abs(end) < sys.float_info.max}
    kind = "a whole number" if whole else "a number"
    ends_said = f"from {low:g} to {high:g}" if "maximum" in schema else f"from {low:g} up"
    return Legal(test, wanted or f"{kind} {ends_said}", remedy, schema)


def is_number(value: Any) -> bool:
    """Whether it is a number, of Python or of numpy, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Whether it is a whole number, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


@cache
def rules_of(function: Callable[..., Any]) -> dict[str, Legal]:
    """What the arguments of a function have to be, by name; those without a rule are left out."""
    hints = get_type_hints(function, include_extras=True)
    return {
        name: part for name, hint in hints.items() for part in get_args(hint)[1:]
        if isinstance(part, Legal)
    }  # fmt: skip


def illegal_settings(
    function: Callable[..., Any], settings: Mapping[str, Any], where: str
) -> list[Fault]:
    """Find the settings of a function whose value cannot work.

    Args:
        function: It says in the types of its arguments what these have to be.
        settings: By name.
        where: What stands before the name of a setting in messages.
    """
    rules = rules_of(function)
    return [
        Fault(f"{where}.{name}", f"{value!r} is not {rules[name].wanted}.", rules[name].remedy)
        for name, value in settings.items()
        if name in rules and not rules[name].test(value)
    ]


def require_legal(function: Callable[..., Any], **settings: Any) -> None:
    """Refuse a call whose settings cannot work.

    Raises:
        ConfigError: All of them are named.
    """
    if faults := illegal_settings(function, settings, function.__name__):
        raise ConfigError.of(faults)
