"""The settings of what a config names, as they are printed and as an editor completes them."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from main import main

from connectomics.config import Config
from connectomics.config.defaults_list import TUTORIALS
from connectomics.decoding import DECODERS, decode_synapses
from connectomics.phantom import make_phantom
from connectomics.pipeline.components import (
    AUGMENTERS,
    LISTS,
    TERMS,
    config_schema,
    read_config,
    with_settings,
)

GIVEN = {"probabilities", "resolution", "neurons", "offset_nm"}


def entries(place: str) -> dict[str, Any]:
    """The schemas of what a list may name, and of their settings."""
    schema = config_schema()
    section: Any = schema["$defs"]["Config"]
    for name in place.split("."):
        section = section["properties"][name]
        if "$ref" in section:
            section = schema["$defs"][section["$ref"].rpartition("/")[2]]
    alone, *named = section["items"]["anyOf"]
    found = {one["properties"]["name"]["const"]: one["properties"]["kwargs"] for one in named}
    assert alone == {"enum": list(found)}
    return found


@pytest.mark.parametrize("place", LISTS)
def test_an_editor_knows_the_settings_of_all_that_can_be_named(place):
    for name, schema in entries(place).items():
        assert list(schema["properties"]) == list(LISTS[place][name].defaults)
        assert not schema["additionalProperties"]
        for setting, described in schema["properties"].items():
            assert described.get("description"), f"{name}.{setting}"


def test_the_settings_of_synapses():
    schema = entries("decoding.steps")["synapses"]["properties"]
    assert schema.keys() == inspect.signature(decode_synapses).parameters.keys() - GIVEN
    assert schema["vote"]["type"] == "boolean"
    assert schema["vote"]["default"] is True
    assert schema["hysteresis"]["default"] == (0.3, 0.5)
    assert {"type": "null"} in schema["hysteresis"]["anyOf"]


@pytest.mark.parametrize("tutorial", ["demo", "syn_em_r50", "syn_cremi"])
def test_the_printed_config_shows_all_settings_and_means_the_same(tutorial, tmp_path, capsys):
    file = TUTORIALS / f"{tutorial}.yaml"
    assert main(["--config", str(file), "--mode", "test", "--print-config"]) == 0
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out)
    there = read_config(file, mode="test", torch=False).config
    again = read_config(printed, mode="test", torch=False).config
    assert (
        again.decoding.steps[0].kwargs.keys()
        >= DECODERS[again.decoding.steps[0].name].settings.keys()
    )
    assert with_settings(again) == again
    assert with_settings(there).model_dump(mode="json") == again.model_dump(mode="json")


def test_the_settings_of_phantoms():
    schema = config_schema()["$defs"]["PhantomSection"]["properties"]["kwargs"]
    names = inspect.signature(make_phantom).parameters.keys() - {"shape", "seed"}
    assert schema["properties"].keys() == names
    assert schema["properties"]["noise"]["maximum"] == 1000
    assert all(one.get("description") for one in schema["properties"].values())
    config = with_settings(read_config(TUTORIALS / "demo.yaml", torch=False).config)
    assert config.data.train is not None
    assert config.data.train.phantom is not None
    kwargs = config.data.train.phantom.kwargs
    assert kwargs.keys() == names
    assert (kwargs["synapse_density_um3"], kwargs["noise"]) == (1.5, 10.0)


def test_the_schema_can_be_written_and_read(tmp_path):
    assert main(["--json-schema", str(tmp_path / "schema.json")]) == 0
    schema = json.loads((tmp_path / "schema.json").read_text())
    assert schema == json.loads(json.dumps(config_schema()))


def test_an_editor_knows_the_settings_of_losses_and_augmentations():
    schema: Any = config_schema()
    terms = schema["$defs"]["LossTermSection"]["anyOf"]
    by_name = {term["properties"]["function"].get("const"): term["properties"] for term in terms}
    assert by_name.keys() == {*TERMS, None}
    assert by_name["DiceLoss"]["kwargs"]["properties"]["batch"]["default"] is False
    switched = schema["$defs"]["DataSection"]["properties"]["augmentation"]["properties"]
    assert switched.keys() == AUGMENTERS.keys()
    settings, off = switched["flip"]["anyOf"]
    assert off == {"type": "null"}
    assert settings["properties"].keys() == {"enabled", *AUGMENTERS["flip"].defaults}


@pytest.mark.parametrize("named", [TERMS, AUGMENTERS], ids=["losses", "augmentations"])
def test_each_setting_is_described(named):
    for name, component in named.items():
        for setting, described in component.schema["properties"].items():
            assert described.get("description"), f"{name}.{setting}"


def test_losses_and_augmentations_show_their_settings():
    config = Config.model_validate(
        {
            "model": {"loss": {"losses": [{"function": "DiceLoss", "kwargs": {"batch": True}}]}},
            "data": {"augmentation": {"flip": {"prob": 1.0}, "noise": None, "RandFlip": {}}},
        }
    )
    shown = with_settings(config)
    (term,) = shown.model.loss.losses
    assert term.kwargs.keys() == TERMS["DiceLoss"].defaults.keys()
    assert term.kwargs["batch"] is True
    assert shown.data.augmentation["flip"] == {**AUGMENTERS["flip"].defaults, "prob": 1.0}
    assert shown.data.augmentation["noise"] is None
    assert shown.data.augmentation["RandFlip"] == {}
