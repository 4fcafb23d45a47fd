"""What a search leaves."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from connectomics.pipeline.components import read_config
from connectomics.tuning import (
    Choices,
    Outcome,
    Range,
    Search,
    Trial,
    ValidationVolume,
    command_to_test,
    write_outcome,
)

STEPS = [{"name": "synapses", "kwargs": {"thres": 0.41, "hysteresis": [0.2, 0.5]}}]


@pytest.fixture
def outcome(hill) -> Outcome:
    space = {"thres": Range(0.1, 0.9), "size": Range(1, 9, log=True), "vote": Choices((True, None))}
    search = Search(
        space, {}, hill(0).objective(), score="F1_pol (at IoU 0.5)", on="val", objects=50
    )

    def trial(number, state, score, thres, vote):
        settings = {"thres": thres, "size": number + 1, "vote": vote}
        return Trial(number, state, score, settings, 0.5)

    trials = [
        trial(0, "complete", 0.5, 0.5, True),
        trial(1, "pruned", 0.9, 0.3, None),
        trial(2, "complete", 0.75, 0.41, None),
        trial(3, "complete", 0.75, 0.42, True),
        trial(4, "pruned", None, 0.2, True),
    ]
    return Outcome(search, trials)


def test_the_best_is_the_first_of_the_complete_ones(outcome):
    assert outcome.best.number == 2
    assert outcome.baseline.number == 0


def test_the_summary(outcome):
    assert outcome.summary() == (
        "F1_pol (at IoU 0.5) on val\n"
        "5 trials (2 pruned), best: 2\n"
        "       configured  tuned\n"
        "score       0.500  0.750\n"
        "thres         0.5   0.41\n"
        "size            1      3\n"
        "vote         true   null"
    )
    few = replace(outcome.search, objects=8)
    assert (
        Outcome(few, outcome.trials)
        .summary()
        .endswith("one is worth about 0.12: a small gain may be chance.")
    )
    nothing = [trial._replace(score=0.0) for trial in outcome.trials]
    assert "No setting scores above 0: nothing is tuned." in Outcome(few, nothing).summary()
    assert outcome.has_found
    assert not Outcome(few, nothing).has_found
    alone = Outcome(outcome.search, outcome.trials[:2])
    assert "2 trials (1 pruned), nothing beats what is configured" in alone.summary()


@pytest.mark.parametrize(
    ("inside", "mask", "said", "remedy"),
    [
        (102, None, "0.40 on average where synapses are labelled and 0.20 elsewhere, but", "test"),
        (52, None, "0.20 on average where synapses are labelled and 0.20 elsewhere: it", "longer"),
        (102, 0, "0.00 on average where synapses are labelled and 0.20 elsewhere: it", "longer"),
    ],
)
def test_why_nothing_scores(outcome, inside, mask, said, remedy):
    truth = np.zeros((1, 2, 4), np.uint8)
    truth[0, 0, :2] = 1
    p = np.where(truth > 0, inside, 51).astype(np.uint8)
    counts = None if mask is None else np.where(truth > 0, mask, 1)
    volume = ValidationVolume("val", np.stack([p * 0, p]), truth, mask=counts)
    objective = replace(outcome.search.objective, volumes=[volume])
    search = replace(outcome.search, objective=objective)
    text = Outcome(search, [outcome.trials[0]._replace(score=0.0)]).summary()
    assert said in text
    assert remedy in text.rpartition("\n")[2]


@pytest.mark.parametrize(("dtype", "one"), [(np.uint8, 255), (np.float32, 1)])
def test_where_classes_exclude_each_other_a_synapse_is_what_is_no_background(outcome, dtype, one):
    truth = np.array([[[1, 2, 0, 0]]], np.uint8)
    pre, post = truth == 1, truth == 2
    channels = (np.stack([truth == 0, pre, post]) * one).astype(dtype)
    objective = replace(
        outcome.search.objective, volumes=[ValidationVolume("val", channels, truth)]
    )
    search = replace(outcome.search, objective=objective, exclusive=True)
    text = Outcome(search, [outcome.trials[0]._replace(score=0.0)]).summary()
    assert "1.00 on average where synapses are labelled and 0.00 elsewhere, but" in text


def test_the_table_holds_every_trial(outcome, tmp_path):
    _, table = write_outcome(outcome, STEPS, tmp_path)
    assert table == tmp_path / "trials.csv"
    rows = list(csv.DictReader(table.open()))
    assert list(rows[0]) == ["trial", "state", "score", "seconds", "thres", "size", "vote"]
    assert [row["score"] for row in rows] == ["0.5", "0.9", "0.75", "0.75", ""]
    assert json.loads(rows[2]["vote"]) is None
    assert json.loads(rows[2]["thres"]) == 0.41


def test_the_preset_is_one_that_a_config_can_name(outcome, tmp_path):
    preset, _ = write_outcome(outcome, STEPS, tmp_path)
    assert preset == tmp_path / "decoding" / "tuned.yaml"
    text = preset.read_text()
    assert text.startswith("# @package test.decoding\n")
    assert "trial 2 of 5" in text
    assert "0.750, with the configured settings 0.500" in text
    assert yaml.safe_load(text) == {"steps": STEPS}

    # Beside a config, it beats also what that says of decoding in its own `test` section.
    (tmp_path / "my.yaml").write_text(
        "defaults: [demo, {decoding: tuned}, _self_]\nexperiment_name: mine\n"
    )
    (tmp_path / "base.yaml").write_text(
        "defaults: [demo, _self_]\ntest: {decoding: {steps: [polarity2instance]}}\n"
    )
    for file, overrides in (("my.yaml", []), ("base.yaml", ["decoding=tuned"])):
        config = read_config(tmp_path / file, mode="test", overrides=overrides).config
        assert [step.model_dump() for step in config.decoding.steps] == STEPS
    assert read_config(tmp_path / "my.yaml").config.decoding.steps[0].name == "synapses"


def test_a_preset_with_other_steps_is_kept(outcome, tmp_path, capsys):
    preset, _ = write_outcome(outcome, STEPS, tmp_path)
    first = preset.read_text()
    write_outcome(Outcome(outcome.search, outcome.trials[:4]), STEPS, tmp_path)  # the same steps
    assert not (preset.parent / "earlier").exists()
    preset.write_text(first.replace("0.41", "0.43"))  # by hand
    write_outcome(outcome, STEPS, tmp_path)
    assert preset.read_text() == first
    (kept,) = (preset.parent / "earlier").glob("*/tuned.yaml")
    assert "0.43" in kept.read_text()
    assert "the earlier tuned.yaml is kept as" in capsys.readouterr().out
    preset.write_text("not: [yaml")
    write_outcome(outcome, STEPS, tmp_path)
    assert preset.read_text() == first


def test_what_is_drawn(outcome):
    data = outcome.figure_data()
    assert data["log"] == ["size"]
    assert data["pruned"] == [False, True, False, False, True]
    assert data["settings"]["vote"] == [True, None, None, True, True]
    assert data["title"] == "F1_pol (at IoU 0.5) on val"
    assert data["score"] == "F1_pol"


def test_the_command_to_go_on_with(tmp_path):
    command = command_to_test(
        tmp_path / "my config.yaml",
        None,
        ["tune.trials=9", "decoding.steps[0].kwargs.thres=0.4", "test.decoding.steps=[synapses]",
         "+tune.metric=PQ", "data.test.z_range=[0, 9]", "system.num_gpus=0", "decoding=other",
         "decoding.exports=[cave]"],
    )  # fmt: skip
    assert command == (
        f"python scripts/main.py --config '{tmp_path}/my config.yaml' --mode test "
        "--checkpoint CKPT 'data.test.z_range=[0, 9]' system.num_gpus=0 "
        "'decoding.exports=[cave]' decoding=tuned"
    )
