from __future__ import annotations

import math

import pytest
import torch
from small_checkpoints import checkpoint_of, saved

from connectomics.errors import CheckpointError
from connectomics.models import read_checkpoint


def test_a_checkpoint_says_what_it_is(tmp_path):
    checkpoint = read_checkpoint(saved(tmp_path / "a.ckpt", checkpoint_of()))
    assert checkpoint.facts.step == 7
    assert checkpoint.facts.channels == ("pre", "post", "union")
    assert checkpoint.facts.model.rsunet.filters == (4, 8)
    assert math.isnan(checkpoint.facts.metrics["val_dice"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"state_dict": {}, "pytorch-lightning_version": "2.0"}, "another program that uses Light"),
        ({"a": torch.zeros(1), "b": torch.zeros(1)}, r"a bare state dict of 2 tensors \(a, ...\)"),
        ({"model": {}, "optimizer": {}}, "holds model, optimizer, but not a checkpoint of this"),
        ({}, "holds nothing"),
        ({"connectomics": {}}, "state_dict is missing"),
        ({"connectomics": "x", "state_dict": {}}, "connectomics is a str"),
        ({"connectomics": {}, "state_dict": []}, "state_dict is a list"),
    ],
)
def test_files_of_other_programs(tmp_path, content, said):
    with pytest.raises(CheckpointError, match=said):
        read_checkpoint(saved(tmp_path / "a.ckpt", content))


@pytest.mark.parametrize(
    ("entry", "value", "said"),
    [
        ("step", -1, r"connectomics\.step is wrong: input should be greater than"),
        ("step", "7", r"connectomics\.step is wrong: input should be a valid integer"),
        ("step", 7.0, r"connectomics\.step"),
        ("step", None, r"connectomics\.step"),
        ("version", 3, r"connectomics\.version"),
        ("model", "rsunet", r"connectomics\.model"),
        ("model", {"out_channels": 0}, r"connectomics\.model\.out_channels"),
        ("model", {"colour": 1}, r"connectomics\.model\.colour"),
        ("targets", [1], r"connectomics\.targets\.0"),
        ("channels", "pre", r"connectomics\.channels"),
        ("channel_activations", [{"channels": "0:3"}], r"channel_activations\.0\.activation is"),
        ("resolution", [30, 8], r"connectomics\.resolution"),
        ("resolution", [30, 8, math.nan], r"connectomics\.resolution"),
        ("statistics", {"low": 0}, r"connectomics\.statistics\.high is missing"),
        ("metrics", {"val_loss": "low"}, r"connectomics\.metrics\.val_loss"),
        ("random_state", [], r"connectomics\.random_state"),
    ],
)  # fmt: skip
def test_entries_that_are_wrong(tmp_path, entry, value, said):
    content = checkpoint_of()
    content["connectomics"][entry] = value
    with pytest.raises(CheckpointError, match=said):
        read_checkpoint(saved(tmp_path / "a.ckpt", content))


def test_entries_that_are_missing_and_the_version_that_wrote_them(tmp_path):
    content = checkpoint_of()
    content["connectomics"]["version"] = "0.0.1"
    del content["connectomics"]["step"]
    with pytest.raises(CheckpointError, match=r"step is missing\. Version 0\.0\.1 wrote it, this"):
        read_checkpoint(saved(tmp_path / "a.ckpt", content))


def test_the_average_is_preferred_unless_told_otherwise(tmp_path):
    plain = checkpoint_of()
    names = [name.removeprefix("network.") for name in plain["state_dict"]]
    average = {n: torch.zeros_like(plain["state_dict"][f"network.{n}"]) for n in names}
    content = {**plain, "callbacks": {"AverageWeights": {"network": average}}}
    checkpoint = read_checkpoint(saved(tmp_path / "a.ckpt", content))
    assert all(not t.any() for t in checkpoint.weights().values())
    assert any(t.any() for t in checkpoint.weights(use_ema=False).values())
    assert list(checkpoint.weights()) == list(checkpoint.weights(use_ema=False)) == names


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (torch.tensor([1.0, math.nan, math.inf]), "2 of the 3 weights in network.x are NaN"),
        ("text", r"state_dict\.network\.x is no tensor"),
    ],
)
def test_weights_that_are_no_numbers(tmp_path, value, said):
    content = checkpoint_of()
    content["state_dict"]["network.x"] = value
    checkpoint = read_checkpoint(saved(tmp_path / "a.ckpt", content))
    with pytest.raises(CheckpointError, match=said):
        checkpoint.weights(use_ema=False)


def test_an_average_that_is_none(tmp_path):
    content = checkpoint_of(callbacks={"AverageWeights": {"network": [1]}})
    checkpoint = read_checkpoint(saved(tmp_path / "a.ckpt", content))
    with pytest.raises(CheckpointError, match="holds no weights"):
        checkpoint.weights()
