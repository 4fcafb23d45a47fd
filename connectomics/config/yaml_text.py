"""YAML as text: read with a message a person can use, written so that it reads back equal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from connectomics.config.dotted import DottedPath, format_path
from connectomics.config.yaml_limits import CONTROL, LARGEST, limit_fault
from connectomics.errors import ConfigError, Fault

ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\0\0\xfe\xff": "UTF-32"}

REMEDIES = {
    "unknown escape character": "In double quotes a backslash begins a special character; use "
    "single quotes, or /.",
    "another document": "A file is one config: take the line out.",
    "'\\t'": "Indent with spaces; YAML allows no tabs.",
    "duplicate key": "Keep one of the two.",
    "mapping values are not allowed": "Check the indentation, and put text that holds ': ' in "
    "quotes.",
    "expected <block end>": "Check the indentation of this line and the one above.",
    "could not find expected ':'": "Write 'key: value', with a space after the colon.",
    "expected ',' or": "Close the bracket of this list or map.",
}


def read_yaml(file: Path, shown: str) -> dict[str, Any]:
    """Read a YAML file that holds a map.

    Args:
        file: Where it lies.
        shown: How messages name it.

    Raises:
        ConfigError: It cannot be read, is no YAML, holds something else, or more than a config
            can.
    """
    text = _read_text(file, shown)
    if beyond := limit_fault(text, shown):
        raise ConfigError.of([beyond])
    try:
        content = yaml.load(text, Loader=_loader())
    except yaml.YAMLError as error:
        raise ConfigError.of([syntax_fault(error, text, shown)]) from None
    if not isinstance(content, dict | None):
        kind = "a list" if isinstance(content, list) else f"{shorten(content)} alone"
        raise ConfigError(shown, f"holds {kind}.", "A config is a map: 'section: ...' lines.")
    sections = {key: value for key, value in (content or {}).items() if key != "defaults"}
    if faults := list(_key_faults(sections, shown, ())):
        raise ConfigError.of(faults)
    return content or {}


def _read_text(file: Path, shown: str) -> str:
    """The text of a file, or what is wrong with it."""
    try:
        size = file.stat().st_size
        if size > LARGEST:
            problem = f"has {size:,} bytes, and a config is a page of text."
            raise ConfigError(shown, problem, f"It may have {LARGEST:,}. Is it the right file?")
        raw = file.read_bytes()
    except OSError as error:
        raise ConfigError(shown, f"cannot be read: {error.strerror or error}.") from None
    remedy = "A config is a YAML file in UTF-8."
    for mark, encoding in ENCODINGS.items():
        if raw.startswith(mark):
            raise ConfigError(shown, f"is {encoding} text.", f"{remedy} Save it as such.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = f"is not text in UTF-8: line {line} holds the byte 0x{raw[error.start]:02x}."
        raise ConfigError(shown, problem, remedy) from None


@cache
def _loader() -> type[yaml.SafeLoader]:
    """Hydra's loader: it refuses keys that stand twice, and takes 1e-3 for a number."""
    from omegaconf._utils import get_yaml_loader

    return get_yaml_loader()


SPACE = ("tune", "space")


def _key_faults(content: Any, shown: str, path: DottedPath) -> Iterator[Fault]:
    """Keys that no config has, and interpolations that cannot be read."""
    if isinstance(content, dict):
        for key, value in content.items():
            # The space of a search has places for keys: `steps[0].kwargs.thres`.
            problem, remedy = ("", "") if path[-2:] == SPACE else _key_problem(key, value)
            if problem:
                at = f"{format_path(path)}: " if path else ""
                yield Fault(shown, f"{at}{problem}.", remedy)
            else:
                yield from _key_faults(value, shown, (*path, key))
    elif isinstance(content, list):
        for index, item in enumerate(content):
            yield from _key_faults(item, shown, (*path, index))
    elif isinstance(content, str) and CONTROL.search(content):
        problem = f"{content[:40]!a} holds a character that cannot be seen."
        yield Fault(f"{shown}: {format_path(path)}", problem, "Type the line anew.")
    elif isinstance(content, str) and "${" in content and not _can_be_read(content):
        problem = f"{shorten(content)} is no interpolation that can be read."
        yield Fault(f"{shown}: {format_path(path)}", problem, "Write ${section.key}, or a value.")


def _key_problem(key: Any, value: Any) -> tuple[str, str]:
    """What is wrong with a key, and the likely slip."""
    if key == "":
        return "a key is empty", "Write 'key: value'."
    if not isinstance(key, str) or key.replace("_", "").isdecimal():
        numeric = not isinstance(key, bool) and isinstance(key, int | float)
        comma = value is None and (numeric or isinstance(key, str))
        remedy = "Is it part of a number? Numbers have no commas: 20000." if comma else ""
        return f"{key!r} stands where a key should", remedy or "Keys are words."
    if "=" in key and value is None:
        name, _, rest = key.partition("=")
        return f"{key!r} is no key", f"Write '{name.strip()}: {rest.strip()}'."
    if ":" in key:
        name, _, rest = key.partition(":")
        return f"{key!r} is no key", f"Write '{name}: {rest}...', with a space after the colon."
    if "/" in key:
        remedy = (
            f"A preset is picked in the defaults list:\n    defaults: [..., {key}: ..., _self_]"
        )
        return f"{key!r} is no key", remedy
    if "." in key or "[" in key:
        name, _, rest = key.partition(".")
        return f"{key!r} is no key", f"Write '{name}: {{{rest}: ...}}', one level at a time."
    return "", ""


def _can_be_read(text: str) -> bool:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if text.count("${") > 20:
        return False
    try:
        OmegaConf.create({"text": text})
    except (OmegaConfBaseException, RecursionError):
        return False
    return True


def shorten(value: Any) -> str:
    """A value as messages show it.

    >>> shorten("a" * 200)[-5:]
    'aa...'
    """
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def syntax_fault(error: yaml.YAMLError, text: str, shown: str) -> Fault:
    """Say where YAML goes wrong, with the line itself."""
    if isinstance(error, yaml.reader.ReaderError):
        line, sign = text.count("\n", 0, error.position) + 1, f"U+{int(error.character):04X}"
        problem = f"is not YAML: line {line} holds a character that cannot be seen, {sign}."
        return Fault(shown, problem, "Type the line anew.")
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Fault(shown, f"is not YAML: {str(error).splitlines()[0]}.")
    problem, mark = str(error.problem), error.problem_mark
    if "expected ':'" in problem and error.context_mark is not None:
        mark = error.context_mark  # where the key stands; the problem shows a line later
    remedy = next((words for sign, words in REMEDIES.items() if sign in problem), "")
    lines = text.splitlines()
    if mark.line < len(lines) and re.search(r"[^\"']\$\{", lines[mark.line]):
        remedy = "${...} names a key of the config, not a variable; write the value, or quote it."
    line = lines[mark.line].strip() if mark.line < len(lines) else "the end of the file"
    line = line if len(line) <= 100 else f"{line[:97]}..."
    return Fault(shown, f"line {mark.line + 1}: {problem}.", f"{line}\n  {remedy}".rstrip())


def write_yaml(tree: dict[str, Any]) -> str:
    """Write nested dicts, lists and plain values; lists of values stay on one line.

    >>> print(write_yaml({"dataloader": {"patch_size": (18, 256, 256), "batch_size": 2}}), end="")
    dataloader:
      patch_size: [18, 256, 256]
      batch_size: 2
    """
    return yaml.dump(
        tree, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True
    )


class _Dumper(yaml.SafeDumper):
    """Quotes what another reader would misread, and keeps short lists on one line."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


LINE_ENDS = set("\x85\u2028\u2029")
"""What YAML takes for ends of lines beside those of ASCII, and folds to a space."""


def _style(text: str) -> str | None:
    if not LINE_ENDS.isdisjoint(text):
        return '"'  # which escapes them
    # Readers of YAML 1.2, Hydra's among them, take 1e-3 for a number; PyYAML would not quote it.
    try:
        float(text)
    except ValueError:
        return None
    return "'"


def _represent_list(dumper: yaml.SafeDumper, items: list[Any] | tuple[Any, ...]) -> yaml.Node:
    on_one_line = not any(isinstance(item, dict) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=on_one_line)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(tuple, _represent_list)
