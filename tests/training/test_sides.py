from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from connectomics.pipeline.components import read_config
from connectomics.training import fit
from connectomics.training.module import SynapseModule
from connectomics.training.scores import Sides
from connectomics.training.sides import WatchSides, collapse, remedy

GOOD = Sides(0.95, 0.1, 0.9, 1.1)
EQUAL = Sides(0.5, 0.97, 0.9, 0.9)
EMPTY = Sides(0.6, 0.0, 0.0, 0.8)


@pytest.mark.parametrize(
    ("sides", "problem"),
    [
        (GOOD, None),
        (EQUAL, "fire together: they share 97 %"),
        (EMPTY, "next to nothing that is pre"),
        (Sides(0.5, float("nan"), 0.0, 0.0), "next to nothing that is pre or post"),
        (Sides(*[float("nan")] * 4), None),
    ],
)
def test_what_is_wrong(sides, problem):
    found = collapse(sides)
    assert (found is None) if problem is None else (problem in (found or ""))


def said(
    capsys: pytest.CaptureFixture[str], course: list[Sides], steps: list[int], most: int = 1000
) -> str:
    watch, module = WatchSides("Train longer."), SynapseModule.__new__(SynapseModule)
    for sides, step in zip(course, steps, strict=True):
        object.__setattr__(module, "told_apart", sides)
        trainer: Any = SimpleNamespace(global_step=step, max_steps=most, is_global_zero=True)
        watch.on_validation_end(cast("Any", trainer), module)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("course", "steps", "times"),
    [
        ([EQUAL] * 3, [50, 100, 150], 0),  # too early to say
        ([EQUAL] * 5, [100, 200, 300, 400, 500], 1),  # and only once
        ([EQUAL, EQUAL, GOOD, EQUAL, EQUAL], [100, 300, 500, 600, 700], 0),  # they part
        ([GOOD, EMPTY, EMPTY], [400, 800, 1000], 1),
        ([GOOD, GOOD, EMPTY], [400, 800, 1000], 0),
    ],
)
def test_when_it_is_said(capsys, course, steps, times):
    text = said(capsys, course, steps)
    assert text.count("train: warning: after") == times
    assert text.count("Train longer.") == times


def test_a_long_training_does_not_wait_for_a_quarter_of_its_steps(capsys):
    course = [1000, 2000, 3000, 4000]
    assert said(capsys, [EQUAL] * 2, course[:2], most=50_000) == ""
    text = said(capsys, [EQUAL] * 4, course, most=50_000)
    assert text.count("after 3,000 of 50,000 steps pre and post fire together") == 1


@pytest.mark.parametrize(
    ("name", "steps", "first"), [("demo", 2000, 750), ("machine=cpu", 4000, 1000)]
)
def test_a_short_training_is_warned_by_a_third_of_its_steps(capsys, name, steps, first):
    change = ["machine=cpu"] if name == "machine=cpu" else []
    file = Path(__file__).parents[2] / "tutorials" / "demo.yaml"
    optimization = read_config(file, overrides=change).config.optimization
    assert optimization.max_steps == steps
    every = optimization.n_steps_per_epoch
    text = said(capsys, [EQUAL] * 8, [every * (1 + k) for k in range(8)], most=steps)
    assert text.startswith(f"train: warning: after {first:,} of {steps:,} steps")


def test_the_remedy_names_what_the_config_does_not_do_yet(make_config):
    ways = remedy(make_config(data={"dataloader": {"foreground_fraction": 0.6}}))
    assert "train longer (optimization.max_steps), compare them with each other" in ways
    assert "or give foreground more weight (WeightedBCEWithLogitsLoss" in ways
    assert "foreground_fraction" not in ways

    bce = {"function": "WeightedBCEWithLogitsLoss", "kwargs": {"pos_weight": 2.0}}
    losses = {"losses": [bce, {"function": "SideLoss"}]}
    ways = remedy(make_config(model={"loss": losses}))
    assert ways.endswith(
        "or let more patches lie on synapses (data.dataloader.foreground_fraction=0.6)."
    )
    assert "SideLoss" not in ways
    assert "pos_weight" not in ways

    exclusive = {"name": "polarity", "kwargs": {"exclusive": True}}
    softmax = make_config(
        model={"loss": {"losses": [{"function": "WeightedCE"}]}},
        data={"label_transform": {"targets": [exclusive]}},
    )
    assert "class_weights: [1, 10, 10]" in remedy(softmax)
    assert "SideLoss" not in remedy(softmax)


def test_scores_of_each_channel_are_logged(make_config, tmp_path, capsys):
    result = fit(make_config(), tmp_path)
    names = {"val_dice_pre", "val_dice_post", "val_dice_union", "val_side_accuracy"}
    assert names <= result.metrics.keys()
    assert "val_side_accuracy 0." in capsys.readouterr().err


def test_classes_that_exclude_each_other_have_a_union_too(make_config, tmp_path):
    target = {"name": "polarity", "kwargs": {"exclusive": True}}
    config = make_config(
        model={"loss": {"losses": [{"function": "WeightedCE"}]}},
        data={"label_transform": {"targets": [target]}},
        optimization={"max_steps": 40, "n_steps_per_epoch": 40, "optimizer": {"lr": 0.02}},
    )
    metrics = fit(config, tmp_path).metrics
    assert metrics["val_dice"] == pytest.approx(
        (metrics["val_dice_pre"] + metrics["val_dice_post"]) / 2
    )
    assert metrics["val_dice_union"] > 0.2
    assert metrics["val_side_accuracy"] >= 0.5
