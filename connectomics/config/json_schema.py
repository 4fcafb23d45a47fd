"""The config as a JSON schema, for completion and checking in an editor."""

from __future__ import annotations

from typing import Any

from connectomics.config.levels import DEFAULT
from connectomics.config.schema import Config


def json_schema() -> dict[str, Any]:
    """Describe a config file: its defaults list, its sections, `default`, `train` and `test`.

    >>> sorted(set(json_schema()["properties"]) - set(Config.model_fields))
    ['default', 'defaults', 'test', 'train']
    """
    schema = Config.model_json_schema()
    definitions = schema.pop("$defs")
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
