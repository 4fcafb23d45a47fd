"""The config as a JSON schema, for completion and checking in an editor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectomics.config.levels import DEFAULT
from connectomics.config.schema import Config

Settings = Mapping[str, dict[str, Any]]
"""By the name of what they are settings of, the schema of each."""


def json_schema(
    components: Mapping[str, Settings] | None = None,
    *,
    losses: Settings | None = None,
    augmentations: Settings | None = None,
    phantom: dict[str, Any] | None = None,
    config: type[Config] = Config,
) -> dict[str, Any]:
    """Describe a config file: its defaults list, its sections, `default`, `train` and `test`.

    Args:
        components: For lists such as `decoding.steps`, what may be named in them, each with the
            schema of its settings.
        losses: What may be named in `model.loss.losses` and is known here.
        augmentations: The keys of `data.augmentation` that are known here.
        phantom: The settings of a phantom.
        config: The schema of its sections.

    >>> sorted(set(json_schema()["properties"]) - set(Config.model_fields))
    ['default', 'defaults', 'test', 'train']
    """
    schema = config.model_json_schema()
    definitions = schema.pop("$defs")
    for place, named in (components or {}).items():
        _property(schema, definitions, place)["items"] = _any_of(named)
    if losses:
        definitions["LossTermSection"] = _terms(definitions["LossTermSection"], losses)
    if augmentations:
        switched = {name: _switched(settings) for name, settings in augmentations.items()}
        _property(schema, definitions, "data.augmentation")["properties"] = switched
    if phantom:
        definitions["PhantomSection"]["properties"]["kwargs"] = phantom
    definitions["Config"] = schema
    sections = {"$ref": "#/$defs/Config"}
    stages = {
        DEFAULT: "Sections for every mode; the same as at the top level.",
        "train": "What is different in training.",
        "test": "What is different in infer, decode, evaluate, test and tune.",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A config of connectomics",
        "type": "object",
        "additionalProperties": False,
        "$defs": definitions,
        "properties": {
            "defaults": {
                "type": "array",
                "description": "Configs and presets to start from; _self_ is this file.",
            },
            **{stage: {**sections, "description": text} for stage, text in stages.items()},
            **schema["properties"],
        },
    }


def _property(
    section: dict[str, Any], definitions: Mapping[str, dict[str, Any]], place: str
) -> dict[str, Any]:
    """The schema of a key: `a.b` is `b` in the section that `a` refers to."""
    name, _, below = place.partition(".")
    found = section["properties"][name]
    if not below:
        return found
    return _property(definitions[found["$ref"].rpartition("/")[2]], definitions, below)


def _terms(term: dict[str, Any], losses: Settings) -> dict[str, Any]:
    """A term with the settings of its loss, or with any where the loss is not known."""

    def of(function: dict[str, Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        properties = {**term["properties"], "function": function, "kwargs": kwargs}
        return {**term, "properties": properties}

    known = [of({"const": name}, settings) for name, settings in losses.items()]
    others = {"type": "string", "not": {"enum": list(losses)}}
    return {"anyOf": [*known, of(others, term["properties"]["kwargs"])]}


def _switched(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that a null, or `enabled: false` among them, switches off."""
    properties = {"enabled": {"type": "boolean", "default": True}, **settings["properties"]}
    return {"anyOf": [{**settings, "properties": properties}, {"type": "null"}]}


def _any_of(named: Settings) -> dict[str, Any]:
    """A name alone, or one with its settings."""
    with_settings = [
        {
            "type": "object",
            "properties": {"name": {"const": name}, "kwargs": settings},
            "required": ["name"],
            "additionalProperties": False,
        }
        for name, settings in named.items()
    ]
    return {"anyOf": [{"enum": list(named)}, *with_settings]}
