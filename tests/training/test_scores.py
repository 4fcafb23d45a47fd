from __future__ import annotations

import math

import pytest
import torch

from connectomics.training.build import scored_channels
from connectomics.training.scores import ScoredChannels, dice, dice_counts, foreground_of


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
