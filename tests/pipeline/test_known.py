"""What is said of components, held against the functions it is about."""

from __future__ import annotations

from inspect import signature

import numpy as np
import pytest
import torch

from connectomics.config.checks.training import MONITORED
from connectomics.config.schema import LossSection, LossTermSection, NamedSection
from connectomics.data.processing import TARGETS, build_targets
from connectomics.data.processing.build import classes_of
from connectomics.decoding import DECODERS
from connectomics.losses.build import LOSSES, build_loss, loss_facts
from connectomics.pipeline.components import KNOWN
from connectomics.training.module import SynapseModule

LABEL = np.array([[[0, 1, 2, 3, 4]]])


@pytest.mark.parametrize(
    "target",
    [
        *(NamedSection(name=name) for name in TARGETS),
        NamedSection(name="polarity", kwargs={"exclusive": True}),
    ],
    ids=str,
)
def test_targets_have_as_many_channels_and_classes(target: NamedSection):
    made = build_targets([target])(LABEL)
    assert classes_of(target) == tuple(len(np.unique(channel)) for channel in made)


def test_nothing_is_said_of_unknown_targets():
    assert classes_of(NamedSection(name="zebra")) is None


@pytest.mark.parametrize(
    ("function", "kwargs"),
    [
        # SideLoss compares two channels with each other, whatever the activation makes of them.
        *((name, {}) for name in LOSSES if name != "SideLoss"),
        ("DiceLoss", {"softmax": True}),
        ("DiceCELoss", {"softmax": True, "to_onehot_y": True}),
        ("TverskyLoss", {"sigmoid": True}),
        ("FocalLoss", {}),
        ("FocalLoss", {"use_softmax": True}),
    ],
)
def test_losses_learn_what_is_said_of_them(function: str, kwargs: dict):
    """Following its gradient, the activated logits become the target, and no other function's."""
    term = LossTermSection(function=function, kwargs=kwargs)
    loss = build_loss(LossSection(losses=(term,)))
    size = (2, 4, 4)
    ids = torch.zeros(1, 1, *size)
    ids[..., 0, :] = 1
    ids[..., 1, :] = 2
    one_hot = torch.cat([ids == k for k in range(3)], dim=1).float()
    target = ids if loss_facts(term).takes_class_ids else one_hot
    logits = torch.zeros(1, 3, *size, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.5)
    for _ in range(60):
        optimizer.zero_grad()
        loss(logits, target)[0].backward()
        optimizer.step()
    activate = {"sigmoid": torch.sigmoid, "softmax": lambda x: torch.softmax(x, dim=1)}
    activation = loss_facts(term).activation
    assert activation is not None
    assert torch.allclose(activate[activation](logits), one_hot, atol=0.2)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_take_a_weight_where_they_say_so(name: str):
    term = LossTermSection(function=name)
    assert build_loss(LossSection(losses=(term,))).takes_weight == loss_facts(term).takes_weight
    assert (name in KNOWN.masked_losses) == (
        "weight" in signature(LOSSES[name].function.__call__).parameters
    )


def test_unknown_losses_have_no_known_activation():
    assert loss_facts(LossTermSection(function="SSIMLoss")).activation is None


@pytest.mark.parametrize("name", DECODERS)
def test_decoders_with_an_exclusive_setting_are_known(name: str):
    assert KNOWN.decoder(name).exclusive == ("exclusive" in DECODERS[name].settings)


def test_what_can_be_watched_is_what_training_logs():
    assert SynapseModule.__doc__ is not None
    assert all(f"`{name}`" in SynapseModule.__doc__ for name in MONITORED)
