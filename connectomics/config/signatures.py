"""Keyword arguments from a config, checked against the function that will take them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from connectomics.config.dotted import format_path, leaves
from connectomics.config.yaml_text import shorten
from connectomics.errors import Fault, did_you_mean


def check_kwargs(
    where: str,
    function: Callable[..., Any],
    kwargs: Mapping[str, Any],
    *,
    skip: Collection[str] = (),
    called: str = "",
) -> list[Fault]:
    """Find the keyword arguments that `function` would not take.

    Args:
        where: The place of `kwargs` in the config, such as `decoding.steps[0].kwargs`.
        function: A function or class whose signature names the settings.
        kwargs: What the config gives.
        skip: Parameters that are not settings (the arrays the function works on).
        called: What the config calls it; the name of the function unless given.

    Returns:
        One fault per unknown name, per value of the wrong type and per setting that is
        missing and has no default.

    >>> def decode(volume, *, thres: float = 0.5): ...
    >>> print(check_kwargs("kwargs", decode, {"tres": 0.3}, skip=("volume",))[0])
    kwargs.tres: decode has no such setting.
      Did you mean 'thres'? Settings: thres.
    """
    taken = inspect.signature(function).parameters.values()
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken)
    settings, hints = _settings(function, skip), _type_hints(function)
    called = called or function.__name__
    faults = []
    for name, value in kwargs.items():
        if name in settings:
            faults += _check_value(f"{where}.{name}", value, hints.get(name, Any))
        elif not takes_any:
            listed = f"Settings: {', '.join(sorted(settings)) or 'none'}."
            hint = did_you_mean(name, settings)
            remedy = f"{hint} {listed}" if hint.startswith("Did") else listed
            faults.append(Fault(f"{where}.{name}", f"{called} has no such setting.", remedy))
    for name, parameter in settings.items():
        if parameter.default is parameter.empty and name not in kwargs:
            faults.append(Fault(where, f"{called} needs {name!r}.", f"Add {name}: ..."))
    return faults


def default_settings(function: Callable[..., Any], *, skip: Collection[str] = ()) -> dict[str, Any]:
    """The settings of a function that have a default, with it.

    >>> def decode(volume, *, thres: float = 0.5, edge: int): ...
    >>> default_settings(decode, skip=("volume",))
    {'thres': 0.5}
    """
    settings = _settings(function, skip).values()
    return {p.name: p.default for p in settings if p.default is not p.empty}


def settings_schema(function: Callable[..., Any], *, skip: Collection[str] = ()) -> dict[str, Any]:
    """A JSON schema of the settings of a function, which its docstring describes."""
    hints, texts = _type_hints(function), _descriptions(inspect.getdoc(function) or "")
    properties, defaults = {}, default_settings(function, skip=skip)
    for name in _settings(function, skip):
        config = None if _has_config(hints[name]) else _ARBITRARY
        properties[name] = TypeAdapter(hints[name], config=config).json_schema()
        if name in texts:
            properties[name]["description"] = texts[name]
        if name in defaults:
            properties[name]["default"] = defaults[name]
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _settings(function: Callable[..., Any], skip: Collection[str]) -> dict[str, inspect.Parameter]:
    return {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in skip
        and name != "self"
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def _descriptions(docstring: str) -> dict[str, str]:
    """What the section `Args` or `Attributes` of a docstring says of each setting.

    >>> def cut(at: int, *, by: float):
    ...     '''Cut.
    ...
    ...     Args:
    ...         at: Where,
    ...             in voxels.
    ...         by: How.
    ...     '''
    >>> _descriptions(inspect.getdoc(cut))
    {'at': 'Where, in voxels.', 'by': 'How.'}
    """
    *_, rest = re.split(r"^(?:Args|Attributes):\n", docstring, maxsplit=1, flags=re.MULTILINE)
    section = re.split(r"\n\s*\n", rest, maxsplit=1)[0]
    found = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _type_hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function.__init__ if inspect.isclass(function) else function
    try:
        return get_type_hints(target, include_extras=True)
    except (NameError, TypeError):  # annotations that exist for the type checker only
        return {}


LARGEST = 1e15
"""No setting counts or measures more, in whatever unit."""


def _check_value(where: str, value: Any, hint: Any) -> list[Fault]:
    for path, number in leaves(value):
        if isinstance(number, int | float) and not abs(number) <= LARGEST:
            at = f"{where}{format_path(path)}"
            return [Fault(at, f"{shorten(number)} is no number that it could use.")]
    if hint is Any:
        return []
    adapter = TypeAdapter(hint, config=None if _has_config(hint) else _ARBITRARY)
    try:
        # The function gets the value as it is, so "0.5" is no number; yet a list is a tuple.
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        return [Fault(where, f"{shorten(value)} does not fit: {error.errors()[0]['msg']}.")]
    return []


_ARBITRARY = ConfigDict(arbitrary_types_allowed=True)


def _has_config(hint: Any) -> bool:
    return hasattr(hint, "model_config") or hasattr(hint, "__pydantic_config__")
