"""Faults of the schema in plain words, and what is saved of a config that has some."""

from __future__ import annotations

from typing import Any

import pytest

from connectomics.config.schema import Config
from connectomics.config.validation import validate_as


def faults(tree: dict[str, Any]) -> list[str]:
    return [str(fault) for fault in validate_as(Config, tree).faults]


def nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def test_nothing_wrong():
    found = validate_as(Config, {"model": {"out_channels": 3}})
    assert found.config.model.out_channels == 3
    assert (found.faults, found.lost, found.meant) == ([], [], {})


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("data.dataloader.patch_sise", [1, 2, 3], "no such key.\n  Did you mean 'patch_size'?"),
        ("data.batch_size", 2, "no such key.\n  There is data.dataloader.batch_size and "
         "inference.window.batch_size."),
        ("data.dataloader.zebra", 2, "no such key.\n  Choices: batch_size, cache_limit_gib, "
         "foreground_fraction, num_workers, patch_size, reject_sampling."),
        ("filters", [1, 2], "no such section.\n  There is model.rsunet.filters."),
        ("hydra", {}, "no such section.\n  Choices: data, decoding, description, evaluation, "
         "experiment_name, inference, model, monitor, optimization, save_path, system, tune."),
        ("data.dataloader.patch_size", [18, 256], "has to be a list of 3, not [18, 256].\n"
         "  One number for each axis, [z, y, x], such as [18, 256, 256]."),
        ("data.dataloader.patch_size", [1, 2, 3, 4], "has to be a list of 3, not [1, 2, 3, 4].\n"
         "  One number for each axis, [z, y, x], such as [18, 256, 256]."),
        ("system.block_size", [24, 128], "has to be a list of 3, not [24, 128].\n"
         "  One number for each axis, [z, y, x], such as [24, 128, 128]."),
        ("system.block_size", [24], "has to be a list of 3, not [24].\n"
         "  One number for each axis, [z, y, x], such as [16, 128, 128]."),
        ("data.test.resolution", [8], "has to be a list of 3, not [8].\n"
         "  One number for each axis, [z, y, x], nm per voxel, such as [30, 8, 8]."),
        ("data.test.y_range", [3], "has to be a list of 2, not [3].\n"
         "  The first and the one past the last, counted from 0, such as [0, 100]."),
        ("optimization.optimizer.betas", [0.9], "has to be a list of 2, not [0.9].\n"
         "  Such as [0.9, 0.999]."),
        ("data.dataloader.patch_size", 18, "has to be a list, not 18.\n"
         "  One number for each axis, [z, y, x]: [18, 18, 18]"),
        ("data.test.resolution", 10, "has to be a list, not 10.\n"
         "  One number for each axis, [z, y, x], nm per voxel: [10, 10, 10]"),
        ("data.test.z_range", 10, "has to be a list, not 10."),
        ("data.dataloader.batch_size", "four", "has to be a whole number, not 'four'."),
        ("data.dataloader.batch_size", 1.5, "has to be a whole number, not 1.5."),
        ("data.dataloader.batch_size", 0, "has to be more than 0, not 0."),
        ("data.dataloader.num_workers", -1, "has to be 0 or more, not -1."),
        ("data.val_fraction", 1.0, "has to be less than 1, not 1.0."),
        ("optimization.ema.decay", 1.5, "has to be less than 1, not 1.5."),
        ("optimization.optimizer.lr", "fast", "has to be a number, not 'fast'."),
        ("optimization.optimizer.lr", float("inf"), "has to be a finite number, not inf."),
        ("optimization.deterministic", "maybe", "has to be true or false, not 'maybe'."),
        ("optimization", None, "has to be settings, each as 'key: value', not empty."),
        ("optimization", "fast", "has to be settings, each as 'key: value', not 'fast'."),
        ("data.augmentation.flip", 3, "has to be settings, each as 'key: value', not 3."),
        ("model.rsunet.norm", "bach", "has to be 'batch', 'group' or 'instance', not 'bach'.\n"
         "  Did you mean 'batch'?"),
        ("model.rsunet.filters", [8], "has to be a list of at least 2, not [8].\n"
         "  Such as [32, 64, 96, 128, 160]."),
        ("model.in_channels", 2, "has to be 1, not 2."),
        ("system.num_gpus", "al", "has to be 'auto' or a whole number, not 'al'."),
        ("system.num_gpus", -1, "has to be 'auto' or 0 or more, not -1."),
        ("experiment_name", 5, "has to be text, not 5.\n  Put it in quotes: \"5\""),
        ("experiment_name", "a/b", "has to be a name without slashes, and not of dots alone, "
             "not 'a/b'."),
        ("data.train.image", [], "has to be a list of at least 1, not []."),
        ("data.train.image", "", "has to be text that is not empty, not ''."),
        ("decoding.steps", {"0": {}}, "has to be a list, not {'0': {}}."),
        ("inference.test_time_augmentation.flip_axes", "some", "has to be 'all' or a list, not "
         "'some'."),
    ],
)  # fmt: skip
def test_words(path: str, value: Any, message: str):
    assert faults(nested(path, value)) == [f"{path}: {message}"]


@pytest.mark.parametrize("channels", ["a", "0-3", "-1:", "1:2:3", -1, {}])
def test_channel_ranges(channels: Any):
    tree = {"inference": {"model": {"channel_activations": [{"channels": channels}]}}}
    first = faults(tree)[0]
    assert first.startswith("inference.model.channel_activations[0]")


def test_an_item_of_a_list_has_axes_too():
    assert faults({"model": {"rsunet": {"down_factors": [[1, 2, 2], [1, 2]]}}}) == [
        "model.rsunet.down_factors[1]: has to be a list of 3, not [1, 2].\n"
        "  One number for each axis, [z, y, x], such as [1, 2, 2]."
    ]


@pytest.mark.parametrize(
    ("key", "value", "example"),
    [
        ("model.rsunet.kernel_2d", [1, 2], "[1, 3, 3]"),  # [1, 2, 2] would be refused
        ("system.block_size", [0, 8], "[16, 128, 128]"),
        ("system.block_size", [1.5, 2], "[16, 128, 128]"),
        ("system.block_size", [24, 64], "[24, 64, 64]"),
    ],
)
def test_an_example_is_legal(key: str, value: Any, example: str):
    *sections, last = key.split(".")
    tree: dict[str, Any] = {last: value}
    for section in reversed(sections):
        tree = {section: tree}
    assert any(f"such as {example}." in fault for fault in faults(tree))


def test_an_item_without_its_name():
    assert faults({"model": {"loss": {"losses": [{"weight": 1.0}]}}}) == [
        "model.loss.losses[0]: lacks function.\n  Add function: ..."
    ]


def test_a_misspelt_name_is_not_missing_too():
    tree = {"decoding": {"steps": [{"nme": "polarity2instance", "kwargs": {"thres": 0.4}}]}}
    found = validate_as(Config, tree)
    assert [fault.where for fault in found.faults] == ["decoding.steps[0].nme"]
    assert found.config.decoding.steps[0].name == "polarity2instance"
    assert found.lost == []


def test_a_misspelt_key_gives_its_value_and_all_below_is_checked():
    found = validate_as(
        Config, {"modle": {"out_chanels": 3, "rsunet": {"norm": "x", "filters": [8, 16]}}}
    )
    assert [fault.where for fault in found.faults] == [
        "modle",
        "modle.rsunet.norm",
        "modle.out_chanels",
    ]
    assert found.config.model.out_channels == 3
    assert found.config.model.rsunet.filters == (8, 16)
    assert found.as_written(("model", "out_channels")) == ("modle", "out_chanels")
    assert found.as_written(("data", "val")) == ("data", "val")


def test_what_is_wrong_under_a_misspelt_key_is_found():
    tree = {"data": {"dataloader": {"patch_sise": [1, 2], "batch_size": 3}}}
    found = validate_as(Config, tree)
    assert [str(fault) for fault in found.faults] == [
        "data.dataloader.patch_sise: no such key.\n  Did you mean 'patch_size'?",
        "data.dataloader.patch_sise: has to be a list of 3, not [1, 2].\n"
        "  One number for each axis, [z, y, x], such as [18, 256, 256].",
    ]
    assert found.config.data.dataloader.batch_size == 3


def test_a_misspelt_key_is_meant_to_replace_an_inherited_one():
    found = validate_as(Config, {"model": {"out_channels": 1, "out_chanels": 5}})
    assert found.config.model.out_channels == 5
    assert len(found.faults) == 1


def test_a_misspelt_section_beside_the_right_one_is_left_out():
    found = validate_as(Config, {"model": {"out_channels": 3}, "modle": {"in_channels": 1}})
    assert found.config.model.out_channels == 3
    assert found.lost == [("modle",)]


def test_the_rest_is_saved():
    tree = {
        "experiment_name": 5,
        "model": {"out_channels": "x", "rsunet": {"stem": "stride2"}},
        "decoding": {"steps": [{"name": "a"}, {"kwargs": {}}]},
        "system": 3,
        "foo": 1,
    }
    found = validate_as(Config, tree)
    assert len(found.faults) == 5
    assert found.config.model.rsunet.stem == "stride2"
    assert set(found.lost) == {
        ("experiment_name",), ("model", "out_channels"), ("decoding", "steps"), ("system",),
        ("foo",),
    }  # fmt: skip
    assert tree["foo"] == 1


def test_a_list_keeps_the_numbers_of_its_items():
    """One bad item takes the list with it, so that no other item is spoken of by its number."""
    found = validate_as(Config, {"data": {"dataloader": {"patch_size": [1, "x", 3]}}})
    assert [fault.where for fault in found.faults] == ["data.dataloader.patch_size[1]"]
    assert found.lost == [("data", "dataloader", "patch_size")]
    assert found.config.data.dataloader.patch_size == (18, 256, 256)


def test_long_values_are_cut():
    (fault,) = faults({"model": {"out_channels": "x" * 500}})
    assert len(fault) < 150


@pytest.mark.parametrize("word", ["decoding.steps", "evaluation.metrics"])
def test_a_bare_name_stands_for_a_section(word: str):
    section, key = word.split(".")
    config = validate_as(Config, {section: {key: ["a", {"name": "b", "kwargs": {"c": 1}}]}}).config
    items = getattr(getattr(config, section), key)
    assert [(item.name, item.kwargs) for item in items] == [("a", {}), ("b", {"c": 1})]


def test_one_path_stands_for_a_list_of_one():
    config = validate_as(Config, {"data": {"test": {"image": "a.h5"}}}).config
    assert config.data.test is not None
    assert config.data.test.image == ("a.h5",)
