"""Values that follow from others."""

from __future__ import annotations

from typing import Any

import pytest

from connectomics.config.activations import as_ranges, trained_activations
from connectomics.config.derived import derive
from connectomics.config.schema import Config, ModelSection
from connectomics.pipeline.components import KNOWN

BCE = {"function": "WeightedBCEWithLogitsLoss"}
CE = {"function": "WeightedCE"}
POLARITY = {"name": "polarity"}


def derived(*, losses: list[dict] = [BCE], channels: int = 3, target: Any = POLARITY, **sections):  # noqa: B006
    model = {"out_channels": channels, "loss": {"losses": losses}}
    data = {"label_transform": {"targets": [target]}}
    return derive(Config.model_validate({"model": model, "data": data, **sections}), KNOWN)


def activations(config: Config) -> list[tuple[Any, str]] | None:
    given = config.inference.model.channel_activations
    return None if given is None else [(item.channels, item.activation) for item in given]


def test_paths_window_and_schedule():
    config = derive(
        Config.model_validate(
            {
                "experiment_name": "mine",
                "data": {"dataloader": {"patch_size": [8, 64, 32]}},
                "optimization": {"max_steps": 77},
            }
        ),
        KNOWN,
    )
    assert config.save_path == "outputs/mine"
    assert config.inference.window.window_size == (8, 64, 32)
    assert config.optimization.scheduler.t_max == 77


def test_what_is_given_stays():
    config = derive(
        Config.model_validate(
            {
                "save_path": "here",
                "inference": {"window": {"window_size": [4, 5, 6]}},
                "optimization": {"scheduler": {"t_max": 5}},
            }
        ),
        KNOWN,
    )
    assert config.save_path == "here"
    assert config.inference.window.window_size == (4, 5, 6)
    assert config.optimization.scheduler.t_max == 5


def test_slices_are_all_channels_unless_given():
    (term,) = derived(losses=[BCE]).model.loss.losses
    assert (term.pred_slice, term.target_slice) == ((0, 3), (0, 3))
    (term,) = derived(losses=[CE], target={"name": "polarity", "kwargs": {"exclusive": True}})\
        .model.loss.losses  # fmt: skip
    assert (term.pred_slice, term.target_slice) == ((0, 3), (0, 1))
    (term,) = derived(losses=[{**BCE, "pred_slice": "0:2", "target_slice": 1}]).model.loss.losses
    assert (term.pred_slice, term.target_slice) == ("0:2", 1)


def test_slices_of_unknown_targets_stay_open():
    (term,) = derived(target="zebra").model.loss.losses
    assert (term.pred_slice, term.target_slice) == ((0, 3), None)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([BCE], [((0, 3), "sigmoid")]),
        ([BCE, {"function": "DiceLoss"}], [((0, 3), "sigmoid")]),
        ([{**BCE, "pred_slice": "0:1"}, {**BCE, "pred_slice": "1:3"}], [((0, 3), "sigmoid")]),
        ([{**BCE, "pred_slice": 2}, {**BCE, "pred_slice": 0}],
         [((0, 1), "sigmoid"), ((2, 3), "sigmoid")]),
        ([CE], [((0, 3), "softmax")]),
        ([CE, {"function": "DiceLoss", "kwargs": {"softmax": True}}], [((0, 3), "softmax")]),
        ([{**CE, "pred_slice": "0:2"}, {**BCE, "pred_slice": 2}],
         [((0, 2), "softmax"), ((2, 3), "sigmoid")]),
        ([{"function": "TverskyLoss", "kwargs": {"sigmoid": True}}], [((0, 3), "sigmoid")]),
        ([{"function": "FocalLoss", "kwargs": {"use_softmax": True}}], [((0, 3), "softmax")]),
        ([{"function": "FocalLoss"}], [((0, 3), "sigmoid")]),
        ([{"function": "Mystery"}], None),
        ([{**BCE, "pred_slice": "0:9"}], None),
    ],
)  # fmt: skip
def test_activations_follow_from_the_losses(losses: list[dict], expected: Any):
    assert activations(derived(losses=losses)) == expected


def test_activations_given_stay():
    given = {"channel_activations": [{"channels": "0:3", "activation": "none"}]}
    assert activations(derived(inference={"model": given})) == [("0:3", "none")]


def test_ranges_do_not_join_over_gaps_or_softmaxes():
    losses = [{**BCE, "pred_slice": 0}, {**CE, "pred_slice": "1:3"}, {**BCE, "pred_slice": 3}]
    model = ModelSection.model_validate({"out_channels": 4, "loss": {"losses": losses}})
    ranges = as_ranges(trained_activations(model, KNOWN))
    assert [tuple(one) for one in ranges] == [
        (0, 1, "sigmoid"), (1, 3, "softmax"), (3, 4, "sigmoid")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("losses", "step", "kwargs"),
    [
        ([CE], {"name": "polarity2instance"}, {"exclusive": True}),
        ([CE], {"name": "polarity2instance", "kwargs": {"thres": 0.4}},
         {"thres": 0.4, "exclusive": True}),
        ([CE], {"name": "polarity2instance", "kwargs": {"exclusive": False}},
         {"exclusive": False}),
        ([CE], {"name": "binary2instance"}, {}),
        ([BCE], {"name": "polarity2instance"}, {}),
    ],
)  # fmt: skip
def test_the_decoder_is_told_of_a_softmax(losses: list[dict], step: dict, kwargs: dict):
    config = derived(losses=losses, decoding={"steps": [step]})
    assert config.decoding.steps[0].kwargs == kwargs


def test_a_softmax_over_some_channels_is_not_exclusive():
    losses = [{**CE, "pred_slice": "0:2"}, {**BCE, "pred_slice": 2}]
    config = derived(losses=losses, decoding={"steps": ["polarity2instance"]})
    assert config.decoding.steps[0].kwargs == {}


def test_synthetic_em_only_where_no_volume_is_named():
    data = derive(Config(), KNOWN, no_volumes=True).data
    assert data.train is not None
    assert data.test is not None
    assert data.train.synthetic
    assert data.train.phantom != data.test.phantom
    assert derive(Config(), KNOWN).data.train is None


def test_nothing_is_changed_in_place():
    config = Config()
    before = config.model_dump()
    derive(config, KNOWN, no_volumes=True)
    assert config.model_dump() == before


def test_deriving_again_changes_nothing():
    config = derived(losses=[CE], decoding={"steps": ["polarity2instance"]})
    assert derive(config, KNOWN) == config


def test_derived_values_are_as_valid_as_written_ones():
    config = derive(Config.model_validate({"model": {"out_channels": 3}}), KNOWN, no_volumes=True)
    assert Config.model_validate(config.model_dump()) == config
