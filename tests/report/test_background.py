"""What a report says of a run besides its scores."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import yaml
from torch.utils.tensorboard import SummaryWriter

from connectomics.pipeline.components import read_config
from connectomics.report.background import (
    background_of,
    changed_settings,
    training_curves,
    whole_training,
)
from connectomics.runs import RunFolder

TUTORIALS = Path(__file__).parents[2] / "tutorials"


def test_curves_of_a_training(tmp_path):
    assert training_curves(tmp_path / "nowhere") == {}
    with SummaryWriter(str(tmp_path)) as writer:
        for step in (10, 20):
            writer.add_scalar("train_loss", 1 / step, step)
            writer.add_scalar("lr", 0.1, step)
        writer.add_scalar("val_dice", 0.5, 20)
    curves = training_curves(tmp_path)
    assert list(curves) == ["train_loss", "val_dice"]
    assert curves["val_dice"] == ([20], [0.5])
    assert curves["train_loss"][0] == [10, 20]


def test_a_resumed_training_is_shown_from_its_beginning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [RunFolder(Path(name)) for name in ("first", "second", "third")]
    for number, run in enumerate(runs):
        (run.path / "checkpoints").mkdir(parents=True)
        (run.path / "config.yaml").touch()
        with SummaryWriter(str(run.tensorboard)) as writer:
            for step in range(20 * number + 10, 20 * number + 50, 10):  # goes on from 20 and 40
                writer.add_scalar("train_loss", number, step)
            writer.add_scalar("val_loss", number, 20 * number + 20)
    for earlier, later in pairwise(runs):
        named = {"resumed_from": f"{earlier.path}/checkpoints/last.ckpt"}
        (later.path / "provenance.yaml").write_text(yaml.safe_dump(named))
    curves = whole_training(runs[2])
    assert curves["train_loss"] == ([*range(10, 90, 10)], [0, 0, 1, 1, 2, 2, 2, 2])
    assert curves["val_loss"] == ([20, 40, 60], [0, 1, 2])
    assert list(curves) == ["train_loss", "val_loss"]
    with monkeypatch.context() as elsewhere:
        elsewhere.chdir("/")
        assert whole_training(RunFolder(tmp_path / "third")) == curves
    (runs[0].path / "provenance.yaml").write_text("resumed_from: first/checkpoints/last.ckpt")
    assert whole_training(runs[0]) == training_curves(runs[0].tensorboard)
    shutil.rmtree("second")
    assert whole_training(runs[2])["train_loss"][0] == [50, 60, 70, 80]


def test_what_differs_from_the_tutorial(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "defaults: [demo, _self_]\nexperiment_name: mine\noptimization: {max_steps: 7}\n"
        "decoding: {steps: [{name: polarity2instance}]}\n"
    )
    told = background_of(read_config(file, mode="test"), RunFolder(tmp_path))
    assert told.title == "mine"
    assert told.tutorial == "demo.yaml"
    rows = {key: (old, new) for key, old, new in told.changes}
    assert rows["optimization.max_steps"] == ("2000", "7")
    assert "polarity2instance" in rows["decoding.steps"][1]
    assert "experiment_name" not in rows
    assert told.provenance == {}
    assert told.notes == []
    file.write_text("defaults: [demo, _self_]\ninference: {save_probabilities: false}\n")
    (note,) = background_of(read_config(file, mode="test"), RunFolder(tmp_path)).notes
    assert "No probabilities were kept (inference.save_probabilities: false)" in note


def test_the_training_is_that_of_the_run_and_not_of_the_command_that_tests(tmp_path):
    config = read_config(
        TUTORIALS / "demo.yaml", mode="train", overrides=["optimization.max_steps=7"]
    )
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    test = read_config(TUTORIALS / "demo.yaml", mode="test")
    told = background_of(test, RunFolder(tmp_path))
    assert ("optimization.max_steps", "2000", "7") in told.changes
    (tmp_path / "config.yaml").write_text("optimization: {nothing: 1}")
    assert background_of(test, RunFolder(tmp_path)).changes == []


def test_a_test_says_how_it_tested_and_its_run_how_it_was_trained(tmp_path):
    trained = read_config(
        TUTORIALS / "demo.yaml",
        mode="train",
        overrides=["optimization.max_steps=7", "inference.window.overlap=0.25",
                   "data.augmentation.flip=null"],
    )  # fmt: skip
    (tmp_path / "config.yaml").write_text(trained.to_yaml())
    asked = ["inference.window.overlap=0.75", "optimization.max_steps=9"]
    test = read_config(TUTORIALS / "demo.yaml", mode="test", overrides=asked)
    changes = background_of(test, RunFolder(tmp_path)).changes
    keys = [key for key, *_ in changes]
    assert len(set(keys)) == len(keys)
    assert ("optimization.max_steps", "2000", "7") in changes
    assert ("inference.window.overlap", "0.125", "0.75") in changes
    assert ("data.augmentation.flip", "{prob: 0.5}", "-") in changes


def test_nothing_differs_from_itself():
    config = read_config(TUTORIALS / "demo.yaml", mode="test")
    assert list(changed_settings(config, config)) == []


def test_provenance_of_the_training(tmp_path):
    config = read_config(TUTORIALS / "demo.yaml", mode="test")
    (tmp_path / "provenance.yaml").write_text("seed: 3\n")
    assert background_of(config, RunFolder(tmp_path)).provenance == {"seed": 3}
    (tmp_path / "provenance.yaml").write_text(": [")
    assert background_of(config, RunFolder(tmp_path)).provenance == {}
