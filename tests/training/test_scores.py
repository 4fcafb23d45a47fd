from __future__ import annotations

import math

import pytest
import torch

from connectomics.training.build import scored_channels
from connectomics.training.scores import (
    ScoredChannels,
    Sides,
    dice,
    dice_counts,
    foreground_of,
    kind_names,
    side_counts,
)


def test_sigmoid_channels_are_questions():
    logits = torch.tensor([-9.0, 9.0]).reshape(1, 2, 1, 1, 1)
    target = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1, 1)
    probability, truth = ScoredChannels((0, 2), (0, 2), "sigmoid").foreground(logits, target)
    assert probability.flatten().round().tolist() == [0, 1]
    assert truth.flatten().tolist() == [1, 0]


def test_softmax_channels_are_classes():
    logits = torch.zeros(1, 3, 1, 1, 2)
    logits[0, 2, 0, 0, 0] = 9.0
    logits[0, 0, 0, 0, 1] = 9.0
    target = torch.tensor([2.0, 1.0]).reshape(1, 1, 1, 1, 2)
    probability, truth = ScoredChannels((0, 3), (0, 1), "softmax").foreground(logits, target)
    assert probability.round().reshape(2, 2).tolist() == [[0, 0], [1, 0]]
    assert truth.reshape(2, 2).tolist() == [[0, 1], [1, 0]]


def test_groups_stand_side_by_side():
    logits, target = torch.zeros(1, 4, 1, 2, 2), torch.zeros(1, 2, 1, 2, 2)
    channels = [
        ScoredChannels((0, 3), (0, 1), "softmax"),
        ScoredChannels((3, 4), (1, 2), "sigmoid"),
    ]
    probability, truth = foreground_of(channels, logits, target)
    assert probability.shape == truth.shape == (1, 3, 1, 2, 2)


def test_dice_by_hand():
    """Channel 0: 1 voxel in both of 2 and 1. Channel 1: empty in both, so left out."""
    probability = torch.tensor([[0.9, 0.9, 0.1, 0.4], [0.1, 0.2, 0.5, 0.0]]).reshape(1, 2, 1, 2, 2)
    truth = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]]).reshape(1, 2, 1, 2, 2)
    counts = dice_counts(probability, truth)
    assert counts.tolist() == [[1, 0], [3, 0]]
    assert dice(counts).item() == pytest.approx(2 / 3)
    mask = torch.tensor([1.0, 0, 1, 1]).reshape(1, 1, 1, 2, 2)
    assert dice(dice_counts(probability, truth, mask)).item() == 1.0


def test_dice_of_nothing_says_nothing():
    assert math.isnan(dice(torch.zeros(2, 3)).item())


def sigmoid(start: int, stop: int, target: int) -> list[ScoredChannels]:
    return [
        ScoredChannels((c, c + 1), (target + c - start, target + c - start + 1), "sigmoid")
        for c in range(start, stop)
    ]


def test_channels_follow_the_losses(make_config):
    assert scored_channels(make_config()) == sigmoid(0, 3, 0)


def test_sliced_losses_lead_to_their_targets(make_config):
    losses = [
        {"function": "WeightedCE", "pred_slice": "0:3", "target_slice": "0"},
        {"function": "DiceLoss", "pred_slice": "3", "target_slice": "1"},
    ]
    config = make_config(
        model={"out_channels": 4, "loss": {"losses": losses}},
        data={
            "label_transform": {
                "targets": [{"name": "polarity", "kwargs": {"exclusive": True}}, "binary"]
            }
        },
    )
    expected = [ScoredChannels((0, 3), (0, 1), "softmax"), *sigmoid(3, 4, 1)]
    assert scored_channels(config) == expected


def test_channels_without_a_known_loss_are_not_scored(make_config):
    config = make_config(
        inference={"model": {"channel_activations": [{"channels": "0:3", "activation": "none"}]}}
    )
    assert scored_channels(config) == []


@pytest.mark.parametrize(
    ("exclusive", "names"), [(False, ["pre", "post", "union"]), (True, ["pre", "post"])]
)
def test_kinds_have_the_names_of_the_target(make_config, exclusive, names):
    target = {"name": "polarity", "kwargs": {"exclusive": exclusive}}
    losses = {"losses": [{"function": "WeightedCE"}]} if exclusive else {}
    config = make_config(model={"loss": losses}, data={"label_transform": {"targets": [target]}})
    assert kind_names(scored_channels(config)) == names


def test_two_kinds_of_one_name_are_numbered():
    one = ScoredChannels((0, 1), (0, 1), "sigmoid", ("synapse",))
    assert kind_names([one, one, one]) == ["synapse", "synapse_2", "synapse_3"]


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values).reshape(1, 1, 1, -1)


def test_sides_by_hand():
    """Voxels: two pre, one that is both, one post, one of neither, one that does not count."""
    pre = row(0.9, 0.2, 0.9, 0.6, 0.7, 0.9), row(1, 1, 1, 0, 0, 0)
    post = row(0.6, 0.3, 0.1, 0.8, 0.1, 0.9), row(0, 0, 1, 1, 0, 1)
    mask = row(1, 1, 1, 1, 1, 0)[:, None]
    counts = side_counts(pre, post, mask)
    assert counts.tolist() == [[1, 2, 4], [1, 1, 2], [2, 0, 0]]
    sides = Sides.of(counts)
    assert sides == Sides(0.75, 2 / 3, 2.0, 2.0)


def test_sides_that_are_equal_are_never_right():
    p, pre, post = row(0.9, 0.9), row(1, 0), row(0, 1)
    sides = Sides.of(side_counts((p, pre), (p, post)))
    assert (sides.accuracy, sides.shared) == (0.0, 1.0)


def test_no_sides_to_tell_apart():
    empty = row(0, 0)
    assert all(map(math.isnan, Sides.of(side_counts((empty, empty), (empty, row(1, 0))))))
