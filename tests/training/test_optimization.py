from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from connectomics.models import read_checkpoint
from connectomics.training import prepare
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


def built(name: str, **settings: Any) -> LearningRate:
    defaults = {"warmup_steps": 0, "min_lr": 1e-5, "t_max": 10, "factor": 0.5, "patience": 2}
    return build_learning_rate(name=name, lr=1e-3, **{"eps": 1e-8, **defaults, **settings})


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


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize(
    "settings",
    [
        {"patience": 0},
        {"patience": 2, "factor": 0.3},
        {"patience": 1, "cooldown": 2},
        {"patience": 1, "threshold": 0.2},
        {"patience": 1, "min_lr": 2e-4},
        {"patience": 0, "eps": 2e-4},
    ],
)
def test_the_plateau_is_pytorchs_own(mode, threshold_mode, settings):
    settings = {"patience": 2, "factor": 0.5, "min_lr": 1e-5, "mode": mode, **settings}
    settings["threshold_mode"] = threshold_mode
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-3)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
    ours = built("ReduceLROnPlateau", **settings)
    draws = np.random.default_rng(0).normal(size=40).round(1)
    for score in [1.0, 0.9, 0.9, 0.89, math.nan, math.inf, *draws.tolist(), *[0.5] * 30]:
        theirs.step(score)
        ours.observe({"val_loss": score})
        assert 1e-3 * ours(100) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
    assert ours(100) < 1


def test_the_plateau_observes_what_it_is_told_to():
    rate = built("ReduceLROnPlateau", patience=0, monitor="val_dice", mode="max")
    for dice in (0.5, 0.6, 0.7, 0.6):
        rate.observe({"val_loss": 1.0, "val_dice": dice})
    assert rate(100) == 0.5


def test_a_restored_schedule_goes_on_with_the_settings_of_the_config():
    before = built("ReduceLROnPlateau", cooldown=3)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-3)
    scheduler = StepScheduler(optimizer, before)
    for loss in (1.0, 1.0, 1.0, 1.0):
        before.observe({"val_loss": loss})
        optimizer.step()
        scheduler.step()
    state = scheduler.state_dict()
    assert state == {
        "step": 4, "best": 1, "num_bad_epochs": 0, "cooldown_counter": 3, "reduced": 0.5
    }  # fmt: skip

    after = built("ReduceLROnPlateau", patience=7)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=4e-3)
    restored = StepScheduler(optimizer, after)
    restored.load_state_dict(state)
    assert restored.last_epoch == 4
    assert (after(100), after.plateau.patience, after.plateau.best) == (0.5, 7, 1)
    assert after.plateau.cooldown_counter == 3
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


def test_training_says_what_it_chose(make_config, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    training = prepare(make_config(optimization={"precision": "auto"}))
    assert training.config.optimization.precision == "32-true"
    assert "precision auto is 32-true on this cpu" in training.notes


def test_a_gradient_is_clipped_beside_a_fused_optimizer(make_config, tmp_path):
    # As on a GPU; Lightning's own clipping refuses the two together in mixed precision.
    settings = {"precision": "bf16-mixed", "gradient_clip_val": 1e-12, "max_steps": 2}
    training = prepare(make_config(optimization=settings))
    training.module.build_optimizer = lambda network: torch.optim.SGD(
        network.parameters(), lr=1.0, fused=True
    )
    before = {n: p.detach().clone() for n, p in training.module.network.named_parameters()}
    after = read_checkpoint(training.run(tmp_path).last).weights(use_ema=False)
    for name, parameter in before.items():
        torch.testing.assert_close(after[name], parameter, atol=1e-6, rtol=0, msg=name)
