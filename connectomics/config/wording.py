"""Pydantic's findings in words for a person who writes YAML."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import ErrorDetails

from connectomics.config.dotted import DottedPath, format_path
from connectomics.config.schema import Config
from connectomics.config.schema.base import CHANNELS_PATTERN, FILE_NAME_PATTERN, SLIP
from connectomics.config.schema.system import (
    ADDRESS_PATTERN,
    LINE_PATTERN,
    MEMORY_PATTERN,
    SHARD_PATTERN,
    WALLTIME_PATTERN,
)
from connectomics.config.schema_keys import Schema, keys_at, places_of
from connectomics.config.slips import likely_slip
from connectomics.config.yaml_text import shorten
from connectomics.errors import Fault, did_you_mean

EXPECTED = {
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
    "literal_error": "{expected}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of {max_length}",
    "string_too_long": "text of {max_length} characters at most",
    "finite_number": "a finite number",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "tuple": "a list",
    "dict": "settings, each as 'key: value'",
    "model": "settings, each as 'key: value'",
}

OPTION_KEYS = ("mode", "checkpoint", "config")

FILE_KEYS = ("truth", "prediction", "table", "labels", "output")
"""What only modes that work on files without a config have."""

PATTERNS = {
    CHANNELS_PATTERN: "a channel or a range such as '0:3'",
    FILE_NAME_PATTERN: "a name without slashes, and not of dots alone",
    SHARD_PATTERN: "a share such as 3/64, the fourth of 64",
    LINE_PATTERN: "one line of text",
    MEMORY_PATTERN: "a size such as 16GB",
    WALLTIME_PATTERN: "a time such as 12:00:00",
    ADDRESS_PATTERN: "an address such as tcp://10.0.0.1:8786",
}


def fault_of(
    path: DottedPath, details: list[ErrorDetails], value: Any, schema: Schema = Config
) -> Fault:
    """Say in one fault what pydantic finds at one path.

    Args:
        path: The place in the config.
        details: The findings: several where no member of a union fits.
        value: What stands there.
        schema: What it was held against.
    """
    first, where = details[0], format_path(path)
    if first["type"] == "extra_forbidden":
        kind = "section" if len(path) == 1 and issubclass(schema, Config) else "key"
        return Fault(where, f"no such {kind}.", _where_it_belongs(path, schema))
    if first["type"] == "missing" and isinstance(value, dict):
        names = [str(detail["loc"][-1]) for detail in details]
        strange = [key for key in value if key not in keys_at(path, schema)]
        remedy = f"Add {names[0]}: ..."
        if len(strange) == 1 and value[strange[0]] in (None, {}):  # written as its key
            remedy = f"Write {names[0]}: {strange[0]}"
        return Fault(where, f"lacks {' and '.join(names)}.", remedy)
    missing = sum(detail["type"] == "missing" for detail in details)  # items of a tuple
    words = {f"a list of {len(value) + missing}": None} if missing else {}
    words |= {_expectation(detail): None for detail in details if detail["type"] != "missing"}
    expected = " or ".join(words)
    if first["type"] == SLIP:
        return Fault(where, first["msg"], str(first.get("ctx", {}).get("remedy", "")))
    choices = re.findall("'([^']*)'", expected) if isinstance(value, str) else []
    remedy = likely_slip(path, value, expected, schema) or _nearest(value, choices)
    shown = "empty" if value is None else shorten(value)
    return Fault(where, f"has to be {expected}, not {shown}.", remedy)


def _nearest(value: Any, choices: list[str]) -> str:
    """The choice that a word was meant to be, whatever its case, or the beginning of one."""
    word = str(value).lower()
    same = [one for one in choices if one.lower() == word]
    longer = [one for one in choices if word and one.lower().startswith(word)]
    near = same or (longer if len(longer) == 1 else [])
    hint = f"Did you mean '{near[0]}'?" if near else did_you_mean(str(value), choices)
    return hint if hint.startswith("Did") else ""


def _expectation(detail: ErrorDetails) -> str:
    """What would have fitted."""
    context = {
        name: int(bound) if isinstance(bound, float) and bound.is_integer() else bound
        for name, bound in detail.get("ctx", {}).items()
    }
    if detail["type"] == "string_pattern_mismatch":
        return PATTERNS[str(context["pattern"])]
    if detail["type"] == "too_long" and context["max_length"] > 3:
        return f"a list of {context['max_length']} at most"
    for kind, words in EXPECTED.items():
        if detail["type"].startswith(kind):
            return words.format(**context)
    return detail["msg"]


def _where_it_belongs(path: DottedPath, schema: Schema) -> str:
    key, keys = str(path[-1]), keys_at(path[:-1], schema)
    hint = did_you_mean(key, keys)
    elsewhere = places_of(key, schema)
    if issubclass(schema, Config) and len(path) == 1 and key in OPTION_KEYS:
        return f"It is an option: --{key} ..."
    if issubclass(schema, Config) and len(path) == 1 and key in FILE_KEYS:
        return f"{key}=... is for --mode evaluate and --mode decode without --config."
    if hint.startswith("Did"):
        return hint
    if "kwargs" in keys:
        return f"Settings go to kwargs: {{{key}: ...}}. {hint}"
    if not 0 < len(elsewhere) <= 3:
        return hint
    return f"There is {' and '.join(format_path(place) for place in elsewhere)}."


def meant_key(path: DottedPath, detail: ErrorDetails, schema: Schema = Config) -> str | None:
    """The key that a misspelt one was meant to be, if that is clear."""
    if detail["type"] != "extra_forbidden":
        return None
    hint = did_you_mean(str(path[-1]), keys_at(path[:-1], schema))
    return hint.split("'")[1] if hint.startswith("Did") else None
