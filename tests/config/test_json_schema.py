"""The JSON schema that an editor checks a config with."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from connectomics.config import json_schema
from connectomics.config.defaults_list import TUTORIALS


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """As much of JSON schema's meaning as ours uses."""
    if "$ref" in schema:
        definition = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        return fits(value, definition, root)
    if "anyOf" in schema:
        return any(fits(value, option, root) for option in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    if "const" in schema:
        return value == schema["const"]
    kinds = {
        "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
        "integer": int, "number": (int, float),
    }  # fmt: skip
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return False
    if isinstance(value, dict):
        known, more = schema.get("properties", {}), schema.get("additionalProperties", True)
        return set(schema.get("required", ())) <= set(value) and all(
            fits(item, known[key], root) if key in known else _more(item, more, root)
            for key, item in value.items()
        )
    if isinstance(value, list):
        slots = schema.get("prefixItems")
        if slots is not None:
            pairs = zip(value, slots, strict=False)
            return len(value) == len(slots) and all(fits(v, s, root) for v, s in pairs)
        return all(fits(item, schema.get("items", {}), root) for item in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value >= schema.get("minimum", value) and value > schema.get(
            "exclusiveMinimum", value - 1
        )
    return True


def _more(item: Any, more: Any, root: dict[str, Any]) -> bool:
    return more if isinstance(more, bool) else fits(item, more, root)


@pytest.mark.parametrize("file", sorted(TUTORIALS.glob("*.yaml")), ids=lambda file: file.stem)
def test_tutorials_fit(file):
    from omegaconf import OmegaConf

    content = OmegaConf.to_container(OmegaConf.load(file))
    schema = json_schema()
    assert fits(content, schema, schema)


@pytest.mark.parametrize(
    "text",
    [
        "modle: {}",
        "default: {modle: {}}",
        "model: {out_channels: 0}",
        "model: {rsunet: {norm: bach}}",
        "data: {dataloader: {patch_size: [1, 2]}}",
        "data: {train: {image: 3}}",
        "test: {decoding: {steps: [{kwargs: {}}]}}",
        "defaults: syn_cremi",
    ],
)
def test_mistakes_do_not(text: str):
    schema = json_schema()
    assert not fits(yaml.safe_load(text), schema, schema)


@pytest.mark.parametrize(
    "text",
    [
        "data: {train: {image: a.h5, label: [b.h5]}}",
        "decoding: {steps: [polarity2instance, {name: x, kwargs: {a: 1}}]}",
        "model: {loss: {losses: [{function: DiceLoss, pred_slice: '0:3', target_slice: [0, 3]}]}}",
        "train: {optimization: {max_steps: 3}}",
        "data: {augmentation: {flip: null}}",
    ],
)
def test_short_forms_do(text: str):
    schema = json_schema()
    assert fits(yaml.safe_load(text), schema, schema)


def test_it_is_json():
    assert json.loads(json.dumps(json_schema())) == json_schema()
