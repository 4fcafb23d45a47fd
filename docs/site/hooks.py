"""What the documentation site makes itself: the page of settings, from the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from connectomics.config.schema import Config

MARK = "<!-- settings: written by the site's hook from the schema -->"


WORDS = {
    "integer": "whole number",
    "string": "text",
    "boolean": "`true` or `false`",
    "null": "`null`",
}


def on_page_markdown(markdown: str, *, files: Any, **_: Any) -> str:
    """Called by MkDocs for each page."""
    titles = {file.src_uri: file.page.title for file in files.documentation_pages()}
    return titled(markdown, titles).replace(MARK, "\n".join(settings()))


def titled(markdown: str, titles: Mapping[str, str]) -> str:
    """Call pages by their titles where a link calls them by their files.

    >>> titled("[memory.md](memory.md#gpu), [there](memory.md)", {"memory.md": "Memory"})
    '[Memory](memory.md#gpu), [there](memory.md)'
    """
    return re.sub(
        r"\[([\w/]+\.md)\](?=\()", lambda link: f"[{titles.get(link[1], link[1])}]", markdown
    )


def settings() -> Iterator[str]:
    """A section for each group of keys, a row for each key."""
    schema = Config.model_json_schema()
    yield from _group("", schema, schema["$defs"])


def _group(prefix: str, section: dict[str, Any], known: dict[str, Any]) -> Iterator[str]:
    groups = []
    yield f"## `{prefix.rstrip('.')}`" if prefix else "## Top level"
    yield ""
    if prefix and section.get("description"):
        yield " ".join(section["description"].split())
        yield ""
    yield "| key | holds | default |"
    yield "|---|---|---|"
    for name, entry in section["properties"].items():
        key = f"{prefix}{name}"
        inner = _section_of(entry, known)
        if inner is not None and entry.get("type") != "array":
            groups.append((f"{key}.", inner))
            continue
        default = f"`{_written(entry['default'])}`" if "default" in entry else "required"
        yield f"| `{key}` | {_holds(entry, known)} | {default} |"
    yield ""
    for key, inner in groups:
        yield from _group(key, inner, known)


def _section_of(entry: dict[str, Any], known: dict[str, Any]) -> dict[str, Any] | None:
    """The section that an entry is, or may be beside null; None for a value."""
    choices = [entry, *entry.get("anyOf", []), *entry.get("allOf", [])]
    for choice in choices:
        found = known.get(choice.get("$ref", "").rpartition("/")[2])
        if found and "properties" in found:
            return found
    return None


def _holds(entry: dict[str, Any], known: dict[str, Any]) -> str:
    """In words, what a key may hold."""
    if "$ref" in entry:
        return _holds(known[entry["$ref"].rpartition("/")[2]], known)
    if "enum" in entry:
        return " or ".join(f"`{_written(value)}`" for value in entry["enum"])
    if "const" in entry:
        return f"`{_written(entry['const'])}`"
    if "anyOf" in entry:
        return " or ".join(dict.fromkeys(_holds(choice, known) for choice in entry["anyOf"]))
    kind = str(entry.get("type", "anything"))
    if kind == "object":
        names = ", ".join(f"`{name}`" for name in entry.get("properties", {}))
        return f"section of {names}" if names else "keys and values"
    if kind == "array":
        if "prefixItems" in entry:
            return "[" + ", ".join(_holds(item, known) for item in entry["prefixItems"]) + "]"
        return f"list of {_holds(entry.get('items', {}), known)}"
    return WORDS.get(kind, kind) + _bounds(entry)


def _bounds(entry: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    said = [f"{sign} {_number(entry[key])}" for key, sign in signs.items() if key in entry]
    return f" {', '.join(said)}" if said else ""


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
