"""What was likely meant by words of the command line that are no overrides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from connectomics.config.dotted import DottedPath, format_path
from connectomics.config.levels import MODES
from connectomics.config.schema_keys import has_axes, keys_at, usual_at
from connectomics.errors import Fault

PRESETS = Path(__file__).parent / "presets"
OVERRIDE = re.compile(r"[~+]{0,2}[A-Za-z_][\w.\[\]/@-]*=")
BRACKETS = {"[": "]", "{": "}", "(": ")"}


def split_by_shell(texts: Sequence[str]) -> tuple[list[Fault], list[str]]:
    """Find overrides that the shell took apart at spaces, and give the others.

    >>> faults, rest = split_by_shell(["a=[8,", "64]", "b", "=", "3", "c=1"])
    >>> for fault in faults:
    ...     print(fault)
    command line: a=[8, 64]: was taken apart by the shell at its spaces.
      Put it in quotes: 'a=[8, 64]'
    command line: b = 3: has spaces around =.
      Write it without: b=3
    >>> rest
    ['c=1']
    """
    faults: list[Fault] = []
    rest: list[str] = []
    waiting = list(texts)
    while waiting:
        text = waiting.pop(0)
        following = waiting[0] if waiting else ""
        if _is_open(text) and any(map(_closes, waiting)):
            while _is_open(text) and waiting:
                text = f"{text} {waiting.pop(0)}"
            problem = "was taken apart by the shell at its spaces."
            faults.append(Fault(place_of(text), problem, f"Put it in quotes: '{text}'"))
        elif _parted(text, following):
            parts = [text, waiting.pop(0)]
            if parts[1] == "=" and waiting:
                parts.append(waiting.pop(0))
            key, _, value = "".join(parts).partition("=")
            problem, remedy = "has spaces around =.", f"Write it without: {key}={value}"
            faults.append(Fault(place_of(" ".join(parts)), problem, remedy))
        else:
            rest.append(text)
    return faults, rest


DEEPEST = 40
"""Brackets within one another, and keys of one path."""
MOST_LETTERS = 10_000


def beyond_an_override(text: str) -> Fault | None:
    """Find what goes beyond what an override can be, and Hydra would read without end.

    >>> print(beyond_an_override("a=" + "[" * 50 + "]" * 50).problem)
    lists and maps lie more than 40 deep in one another.
    """
    where = place_of(text.encode("ascii", "backslashreplace").decode() if _odd(text) else text)
    if _odd(text):
        problem = "holds bytes that are not text in UTF-8."
        return Fault(where, problem, "Rename the file, or use a terminal with UTF-8.")
    if len(text) > MOST_LETTERS:
        problem = f"has {len(text):,} characters; it may have {MOST_LETTERS:,}."
        return Fault(where, problem, "Write it in the config file.")
    key, _, value = text.partition("=")
    if key.count(".") + key.count("[") > DEEPEST:
        return Fault(where, "names no key.", "Write section.key=value.")
    depth = deepest = 0
    for sign in _unquoted(value):
        depth += (sign in BRACKETS) - (sign in BRACKETS.values())
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        return Fault(where, f"lists and maps lie more than {DEEPEST} deep in one another.")
    return None


def _odd(text: str) -> bool:
    return any("\ud800" <= sign <= "\udfff" for sign in text)


def no_override(text: str) -> Fault:
    """What to say of a word without an equals sign."""
    where, problem = place_of(text), "is no override."
    bare = text.strip()[:100]
    if bare in MODES:
        return Fault(where, problem, f"Did you mean --mode {bare}?")
    if bare.endswith((".yaml", ".yml")):
        return Fault(where, problem, f"Did you mean --config {bare}? It takes one.")
    if bare.endswith(".ckpt"):
        return Fault(where, problem, f"Did you mean --checkpoint {bare}?")
    key, colon, value = bare.partition(":")
    if colon and key and not re.search(r"\s", key):
        return Fault(where, problem, f"Write it with =: {key}={value.strip()}")
    return Fault(where, problem, "Write key=value, or ~key to take a key out.")


def sweep_remedy(key: str, value: str) -> str:
    """What was meant by values with commas outside brackets.

    >>> sweep_remedy("steps", "20,000")
    'Numbers have no commas: steps=20000'
    """
    if len(key) + len(value) > 100:
        return "For a list write key=[a,b]."
    if re.fullmatch(r"[-+]?[1-9]\d{0,2}(,\d{3})+", value):
        return f"Numbers have no commas: {key}={value.replace(',', '')}"
    if re.fullmatch(r"[-+]?\d+,\d+(e[-+]?\d+)?", value):
        return f"Write a point: {key}={value.replace(',', '.')}. For a list: '{key}=[{value}]'"
    if re.fullmatch(r"[\w.,'\"/-]+", value):
        return f"For a list write '{key}=[{value}]'."
    return "For a list write key=[a,b]."


def grammar_remedy(key: str, value: str) -> str:
    """What was meant by an override that Hydra's grammar does not have."""
    if len(key) + len(value) > 100:
        return ""
    if key != key.strip() or value != value.strip():
        return f"Write it without spaces around =: {key.strip()}={value.strip()}"
    if value.startswith("="):
        return f"Write one =: {key}={value.lstrip('=')}"
    if re.search(r"\[\s*-", key):
        return "Items count from 0, from the front."
    bare = _unquoted(value)
    if any(bare.count(left) != bare.count(right) for left, right in BRACKETS.items()):
        return f"Brackets come in pairs; put all of it in quotes: '{key}=[1,2]'"
    if value.count("'") % 2 and not re.search(r'["$`\\]', value):
        return f'Put the value in quotes: "{key}=\\"{value}\\""'
    if value.startswith("(") and value.endswith(")"):
        return f"A list stands in brackets: '{key}=[{value[1:-1]}]'"
    if re.search(r"[^A-Za-z0-9_./*\[\]{}\"'-]|^[^\[{].*[\[{]", value):
        return f"Put the value in quotes: '{key}=\"{value}\"'"
    return ""


LONGEST = 100
"""Letters of a value that may be a slip; a remedy repeats it."""


def likely_slip(path: DottedPath, value: Any, expected: str, schema: type[BaseModel]) -> str:
    """What was meant by a value of the wrong kind; empty where it is not known.

    Args:
        path: Where it stands.
        value: What stands there.
        expected: In words, what should.
        schema: The schema of the config.

    >>> from connectomics.config.schema import Config
    >>> likely_slip(("optimization", "max_steps"), "20,000", "a whole number", Config)
    'Write 20000.'
    """
    if expected.startswith("a list") and (item := _item(path, value, schema)):
        return f"Write it in brackets: [{item}]"
    if value is True and "settings" in expected:
        return "Write {} for its usual settings, null to leave it out."
    if isinstance(value, list | tuple) and expected.startswith("a list of "):
        return _other_length(path, value, schema)
    if not isinstance(value, str):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and expected == "a list" and has_axes(path, schema):
            return f"{_for_each_axis(path)}: [{value}, {value}, {value}]"
        return f'Put it in quotes: "{value}"' if is_number and expected == "text" else ""
    if len(value) > LONGEST:
        return ""
    if "settings" in expected:
        return _section_slip(path, value, schema)
    if "number" in expected:
        if re.fullmatch(r"[1-9]\d{0,2}(,\d{3})+", value):
            return f"Write {value.replace(',', '')}."
        if re.fullmatch(r"[1-9]\d{0,2}( \d{3})+", value) and not isinstance(path[-1], int):
            return f"Write {value.replace(' ', '')}."
        if re.fullmatch(r"[\d.]+( +[\d.]+)+", value):
            return f"Put commas between numbers: {', '.join(value.split())}"
        if re.fullmatch(r"[-+]?\d*,\d+", value):
            return f"Write {value.replace(',', '.')}."
        if thousands := re.fullmatch(r"(\d+)\s*[kK]", value):
            return f"Write {thousands[1]}000."
        if value.startswith("$"):
            return "Variables are not replaced in a config; on the command line, $NAME is."
    if "a list" in expected and re.fullmatch(r"[(\s]*[\w.]+(\s*[,x]\s*[\w.]+)+[)\s]*", value):
        items = [item.strip() for item in re.split(r"[,x]", value.strip("() "))]
        return f"Write it in brackets: [{', '.join(items)}]"
    return ""


def _for_each_axis(path: DottedPath) -> str:
    unit = ", nm per voxel" if path[-1] == "resolution" else ""
    return f"One number for each axis, [z, y, x]{unit}"


def _other_length(path: DottedPath, value: Sequence[Any], schema: type[BaseModel]) -> str:
    """What a list holds that has too few items, or too many."""
    usual = usual_at(path, schema)
    if any(isinstance(item, str) for item in value):  # of each of these it is said already
        return ""
    if has_axes(path, schema):
        likely = (30, 8, 8) if path[-1] == "resolution" else (16, 128, 128)
        if not usual and len(value) == 2 and all(map(_is_size, value)):
            likely = (*value, value[1])
        example = list(usual or likely)
        return f"{_for_each_axis(path)}, such as {example}."
    if str(path[-1]).endswith("_range"):
        return "The first and the one past the last, counted from 0, such as [0, 100]."
    numbers = isinstance(usual, tuple) and all(isinstance(one, int | float) for one in usual)
    return f"Such as {list(usual)}." if usual and numbers else ""


def _is_size(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number > 0


def _item(path: DottedPath, value: Any, schema: type[BaseModel]) -> str:
    """One item of a list of sections as a config writes it; empty where it is not known."""
    keys = keys_at(path, schema)
    if isinstance(value, dict):
        text = f"{{{', '.join(f'{key}: {inner}' for key, inner in value.items())}}}"
        return text if not value.keys().isdisjoint(keys) and len(text) <= LONGEST else ""
    if not isinstance(value, str) or not re.fullmatch(r"\w{1,100}", value):
        return ""
    return value if "name" in keys else f"{{function: {value}}}" if "function" in keys else ""


def _section_slip(path: DottedPath, value: str, schema: type[BaseModel]) -> str:
    """A name or preset in place of settings."""
    group, dotted = "/".join(map(str, path)), format_path(path)
    names = ", ".join(sorted(file.stem for file in (PRESETS / group).glob("*.yaml")))
    if names and re.fullmatch(r"\w+", value):
        return (
            f"A preset is picked as {group}={value}, in a file as\n"
            f"    defaults: [..., {group}: {value}, _self_]\n  Presets: {names}."
        )
    for key in ("name", "type", "function", "image"):
        if key in keys_at(path, schema):
            return f"Write {dotted}: {{{key}: {value}}}."
    if re.match(r"\w+:", value):
        problem = "YAML wants a space after the colon, and the shell takes braces apart"
        return f"{problem}: put all of it in quotes."
    return ""


def place_of(text: str) -> str:
    """How messages name an override."""
    return f"command line: {text if len(text) <= 100 else f'{text[:97]}...'}"


def _is_open(text: str) -> bool:
    """Whether an override has brackets that are not closed, quotes aside."""
    if not OVERRIDE.match(text):
        return False
    bare = _unquoted(text)
    return any(bare.count(left) > bare.count(right) for left, right in BRACKETS.items())


def _unquoted(text: str) -> str:
    return re.sub(r"'[^']*'|\"[^\"]*\"", "", text)


def _closes(text: str) -> bool:
    return text.endswith(tuple(BRACKETS.values()))


def _parted(text: str, following: str) -> bool:
    """Whether these two are the parts of one override with spaces around its equals sign."""
    if not following:
        return False
    if OVERRIDE.fullmatch(text) and "=" not in following and not following.startswith("-"):
        return True
    is_key = re.fullmatch(r"[\w.\[\]/@-]+", text) is not None
    return is_key and following.startswith("=")
