"""What YAML a config may hold, found from the text before anything is made of it.

YAML can say more than a config needs: a value that stands for itself, one that stands for a
thousand million others, types of Python. Reading such a file takes for ever, or ends deep in a
parser; here it is looked through once, and refused at the first line that goes beyond a config.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from connectomics.errors import Fault

LARGEST = 256 * 1024
"""Bytes of a file."""
DEEPEST = 40
"""Maps and lists within one another."""
MOST = 10_000
"""Keys and values, each alias counted as all that it stands for."""
LONGEST = 100
"""Characters of a number or a key."""

TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")}
OCTAL = re.compile(r"[-+]?0[0-7_]*[1-7][0-7_]*")
SEXAGESIMAL = re.compile(r"[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
SPACES = re.compile("[\x09\x0a\xa0\xad\u200b-\u200f\u2028-\u202f\u2060\ufeff]")
QUOTED = re.compile("[\u201c-\u201e].*[\u201c-\u201e]|[\u2018-\u201a].*[\u2018-\u201a]", re.DOTALL)

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def limit_fault(text: str, shown: str) -> Fault | None:
    r"""Find the first thing that goes beyond what a config can be.

    What is no YAML at all is left to the reader that comes after.

    Args:
        text: The content of a file.
        shown: How messages name it.

    >>> print(limit_fault("data: &a\n  train: *a\n", "my.yaml"))
    my.yaml: line 2: *a stands within what it stands for, without end.
      Write the value out.
    """
    try:
        return next(_faults(yaml.parse(text, Loader=_LOADER), shown), None)
    except yaml.YAMLError:
        return None


@dataclass
class _Open:
    """A map or list that has begun, and how much it holds so far."""

    is_map: bool
    anchor: str | None
    size: int = 1
    items: int = 0

    @property
    def at_key(self) -> bool:
        return self.is_map and self.items % 2 == 0


def _faults(events: Iterator[yaml.Event], shown: str) -> Iterator[Fault]:
    sizes: dict[str, int] = {}
    around: list[_Open] = []
    for event in events:
        line = event.start_mark.line + 1
        problem, remedy = _problem(event, around)
        if problem:
            yield Fault(shown, f"line {line}: {problem}.", remedy)
        if isinstance(event, yaml.CollectionStartEvent):
            around.append(_Open(isinstance(event, yaml.MappingStartEvent), event.anchor))
            continue
        size = 1
        if isinstance(event, yaml.AliasEvent):
            size = sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = around.pop()
            size = ended.size
            if ended.anchor:
                sizes[ended.anchor] = size
        elif not isinstance(event, yaml.ScalarEvent):
            continue
        if around:
            around[-1].size += size
            around[-1].items += 1
            if around[-1].size > MOST:
                problem = f"holds more than {MOST:,} keys and values up to here"
                yield Fault(shown, f"line {line}: {problem}.", "A config is a page of text.")


def _problem(event: yaml.Event, around: list[_Open]) -> tuple[str, str]:
    """What is wrong with one event, and the remedy; empty where nothing is."""
    if isinstance(event, yaml.CollectionStartEvent):
        if around and around[-1].at_key:
            return "a map or list stands where a key should", "Put text with brackets in quotes."
        if len(around) >= DEEPEST:
            return (
                f"maps and lists lie more than {DEEPEST} deep in one another",
                "A config has ten levels.",
            )
    if isinstance(event, yaml.AliasEvent):
        if any(one.anchor == event.anchor for one in around):
            return f"*{event.anchor} stands within what it stands for, without end", WRITE_OUT
        return "", ""
    if isinstance(event, yaml.NodeEvent):
        tag = getattr(event, "tag", None)
        if tag and tag not in TAGS:
            short = tag.replace("tag:yaml.org,2002:", "!!")
            return (
                f"{short} is a type that a config does not have",
                "Take it out; texts, numbers, lists and maps need none.",
            )
    if isinstance(event, yaml.ScalarEvent):
        return _scalar_problem(event, at_key=bool(around) and around[-1].at_key)
    return "", ""


WRITE_OUT = "Write the value out."


def _scalar_problem(event: yaml.ScalarEvent, *, at_key: bool) -> tuple[str, str]:
    text, plain = event.value, event.style is None or event.style == ""
    short = text if len(text) <= 40 else f"{text[:37]}..."
    invisible = CONTROL.search(text) or (at_key and SPACES.search(text))
    if invisible:
        kind = "key" if at_key else "text"
        point = f"U+{ord(invisible[0]):04X}"
        remedy = "Type the line anew; in double quotes a backslash begins such a character."
        return f"the {kind} {short!a} holds a character that cannot be seen, {point}", remedy
    if plain and QUOTED.fullmatch(text):
        return f"{short} stands in typographic quotes", "Use plain ones: \" or '."
    if at_key and len(text) > LONGEST:
        return f"the key {short} is longer than any", "Check the quotes and the colons."
    if at_key and plain and text in ("", "~", "null"):
        return "a key is empty", "Write 'key: value'."
    if plain and SEXAGESIMAL.fullmatch(text):
        return f"YAML takes {short} for a time and makes a number of it", f"Write '{short}'."
    if plain and OCTAL.fullmatch(text):
        remedy = f"Write {text.lstrip('+-0')}, or '{text}' if it is text."
        return f"YAML takes {short} for an octal number", remedy
    if plain and len(text) > LONGEST and re.fullmatch(r"[-+]?[0-9][0-9a-fxob_.]*", text):
        return f"the number {short} has {len(text)} digits", "Put it in quotes if it is text."
    return "", ""
