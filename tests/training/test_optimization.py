from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from connectomics.training.optimization import (
    LearningRate,
    StepScheduler,
    build_learning_rate,
    build_optimizer,
    parameter_groups,
)


def rates(rate: LearningRate, steps: int, lr: float = 1.0) -> list[float]:
    """Run a real optimizer and collect the rate of every step."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = StepScheduler(optimizer, rate)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def built(name: str, **settings: float) -> LearningRate:
    defaults = {"warmup_steps": 0, "min_lr": 1e-5, "t_max": 10, "factor": 0.5, "patience": 2}
    return build_learning_rate(name=name, lr=1e-3, **{**defaults, **settings})  # type: ignore[arg-type]


def test_cosine_golden_values():
    """lr 1e-3 to 1e-5 in 10 steps: 1e-5 + 9.9e-4 (1 + cos(pi s / 10)) / 2."""
    found = rates(built("CosineAnnealingLR"), 13, lr=1e-3)
    expected = [1e-5 + 9.9e-4 * (1 + math.cos(math.pi * min(s, 10) / 10)) / 2 for s in range(13)]
    assert found == pytest.approx(expected)
    assert found[0] == pytest.approx(1e-3)
    assert found[5] == pytest.approx(5.05e-4)
    assert found[10:] == pytest.approx([1e-5] * 3)


def test_cosine_is_pytorchs_own():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-3)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10, eta_min=1e-5)
    expected = []
    for _ in range(10):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    assert rates(built("CosineAnnealingLR"), 10, lr=1e-3) == pytest.approx(expected)


def test_the_warm_up_is_linear_and_the_cosine_follows_it():
    found = rates(built("CosineAnnealingLR", warmup_steps=4, min_lr=0, t_max=8), 9)
    assert found == pytest.approx([0.25, 0.5, 0.75, 1, 1, 0.85355, 0.5, 0.14645, 0], abs=1e-5)


def test_constant_stays_after_its_warm_up():
    assert rates(built("ConstantLR", warmup_steps=2), 4) == pytest.approx([0.5, 1, 1, 1])


def test_the_plateau_waits_then_falls_and_has_a_floor():
    rate = built("ReduceLROnPlateau", min_lr=2e-4)
    shares = []
    for loss in (1.0, 0.9, 0.9, 0.95, 0.8, 0.8, 0.8, 0.8, 0.8):
        rate.observe(loss)
        shares.append(rate(100))
    assert shares == pytest.approx([1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2])


def test_a_loss_that_is_no_number_is_no_improvement():
    rate = built("ReduceLROnPlateau", patience=1)
    rate.observe(math.nan)
    assert rate.best == math.inf
    assert rate.waited == 0
    assert rate.reduced == 0.5


def test_a_restored_schedule_goes_on_with_the_settings_of_the_config():
    before = built("ReduceLROnPlateau")
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-3)
    scheduler = StepScheduler(optimizer, before)
    for loss in (1.0, 1.0, 1.0):
        before.observe(loss)
        optimizer.step()
        scheduler.step()
    state = scheduler.state_dict()

    after = built("ReduceLROnPlateau", patience=7)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=4e-3)
    restored = StepScheduler(optimizer, after)
    restored.load_state_dict(state)
    assert restored.last_epoch == 3
    assert (after.reduced, after.patience) == (0.5, 7)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(2e-3)


def test_only_weights_decay():
    network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2), nn.PReLU(), nn.Linear(2, 2))
    network[3].weight.requires_grad_(False)
    decaying, free = parameter_groups(network, 0.1)
    assert decaying["params"] == [network[0].weight]
    assert decaying["weight_decay"] == 0.1
    assert len(free["params"]) == 5
    assert free["weight_decay"] == 0.0


@pytest.mark.parametrize("name", ["AdamW", "Adam", "SGD"])
def test_every_optimizer_reduces_a_loss(name):
    torch.manual_seed(0)
    network = nn.Linear(3, 1)
    optimizer = build_optimizer(network, name=name, lr=0.05)
    assert type(optimizer).__name__ == name
    image, losses = torch.randn(8, 3), []
    for _ in range(20):
        loss = network(image).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
