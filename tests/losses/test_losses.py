"""The losses, on arrays of a few voxels."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from connectomics.errors import ConfigError, DataError
from connectomics.losses.cross_entropy import (
    MAX_POS_WEIGHT,
    WeightedBCEWithLogitsLoss,
    WeightedCE,
)
from connectomics.losses.dice import DiceLoss


def row(*channels: list[float]) -> Tensor:
    """One sample, one row of voxels per channel: (1, C, 1, 1, X)."""
    return torch.tensor(channels).reshape(1, len(channels), 1, 1, -1)


def softplus(x: float) -> float:
    """-log(sigmoid(-x)): what a background voxel with logit x costs."""
    return math.log1p(math.exp(x))


# --- binary cross-entropy ---------------------------------------------------------------------


def test_bce_of_two_voxels() -> None:
    value = WeightedBCEWithLogitsLoss()(row([1.0, -2.0]), row([1.0, 0.0]))
    assert float(value) == pytest.approx((softplus(-1) + softplus(-2)) / 2)


def test_bce_pos_weight_multiplies_the_foreground() -> None:
    value = WeightedBCEWithLogitsLoss(pos_weight=4.0)(row([1.0, -2.0]), row([1.0, 0.0]))
    assert float(value) == pytest.approx((4 * softplus(-1) + softplus(-2)) / 2)


def test_bce_pos_weight_per_channel() -> None:
    loss = WeightedBCEWithLogitsLoss(pos_weight=[4.0, 0.5])
    value = loss(row([1.0], [3.0]), row([1.0], [1.0]))
    assert float(value) == pytest.approx((4 * softplus(-1) + 0.5 * softplus(-3)) / 2)


def test_bce_auto_pos_weight_is_background_over_foreground() -> None:
    # Channel 0: 1 of 4 foreground, so 3; channel 1: 2 of 4, so 1.
    logits = row([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0])
    target = row([1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0])
    value = WeightedBCEWithLogitsLoss(pos_weight="auto")(logits, target)
    first = 3 * softplus(-1) + softplus(2) + softplus(3) + softplus(4)
    second = softplus(-1) + softplus(-2) + softplus(3) + softplus(4)
    assert float(value) == pytest.approx((first + second) / 8)


def test_bce_auto_pos_weight_gives_both_classes_the_same_say() -> None:
    target = row([1.0] + [0.0] * 9)
    logits = torch.zeros_like(target, requires_grad=True)
    WeightedBCEWithLogitsLoss(pos_weight="auto")(logits, target).backward()
    assert logits.grad is not None
    assert float(logits.grad.sum()) == pytest.approx(0.0, abs=1e-7)


def test_bce_auto_pos_weight_counts_only_what_counts() -> None:
    loss = WeightedBCEWithLogitsLoss(pos_weight="auto")
    logits, target = row([1.0, 2.0, 3.0]), row([1.0, 0.0, 0.0])
    masked = loss(logits, target, row([1.0, 1.0, 0.0]))
    assert float(masked) == pytest.approx(float(loss(logits[..., :2], target[..., :2])))


@pytest.mark.parametrize(
    ("foreground", "expected"), [(1, MAX_POS_WEIGHT), (1000, 1 / MAX_POS_WEIGHT)]
)
def test_bce_auto_pos_weight_is_bounded(foreground: int, expected: float) -> None:
    target = torch.zeros(1, 1, 1, 1, 1000)
    target[..., :foreground] = 1
    logits = torch.zeros_like(target)
    value = WeightedBCEWithLogitsLoss(pos_weight="auto", reduction="sum")(logits, target)
    assert float(value) == pytest.approx(
        math.log(2) * (expected * foreground + 1000 - foreground), rel=1e-5
    )


def test_bce_weight_is_a_weighted_mean() -> None:
    value = WeightedBCEWithLogitsLoss()(row([1.0, -2.0]), row([1.0, 0.0]), row([3.0, 1.0]))
    assert float(value) == pytest.approx((3 * softplus(-1) + softplus(-2)) / 4)


def test_bce_sum_does_not_divide() -> None:
    loss = WeightedBCEWithLogitsLoss(reduction="sum")
    assert float(loss(row([1.0, -2.0]), row([1.0, 0.0]))) == pytest.approx(
        softplus(-1) + softplus(-2)
    )


def test_bce_wants_one_pos_weight_per_channel() -> None:
    with pytest.raises(ConfigError, match="2 numbers for 1 channels"):
        WeightedBCEWithLogitsLoss(pos_weight=[1.0, 2.0])(row([0.0]), row([0.0]))


# --- cross-entropy between classes ------------------------------------------------------------


def test_ce_of_two_voxels() -> None:
    logits = row([0.0, 0.0], [0.0, math.log(2)])  # p = (1/2, 1/2) and (1/3, 2/3)
    assert float(WeightedCE()(logits, row([1.0, 0.0]))) == pytest.approx(
        (math.log(2) + math.log(3)) / 2
    )


@pytest.mark.parametrize("class_weights", [None, [1.0, 10.0, 5.0]])
def test_ce_equals_torch(class_weights: list[float] | None) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 2, 4, 5)
    classes = torch.randint(0, 3, (2, 2, 4, 5))
    weights = None if class_weights is None else torch.tensor(class_weights)
    expected = F.cross_entropy(logits, classes, weights)
    loss = WeightedCE(class_weights)
    torch.testing.assert_close(loss(logits, classes), expected)
    torch.testing.assert_close(loss(logits, classes[:, None].float()), expected)


def test_ce_weight_multiplies_class_weights() -> None:
    logits = row([0.0, 0.0], [0.0, math.log(2)])
    value = WeightedCE([1.0, 10.0])(logits, row([1.0, 0.0]), row([2.0, 3.0]))
    expected = (2 * 10 * math.log(2) + 3 * 1 * math.log(3)) / (2 * 10 + 3 * 1)
    assert float(value) == pytest.approx(expected)


def test_ce_refuses_channels_that_may_overlap() -> None:
    with pytest.raises(DataError, match="one channel of class ids"):
        WeightedCE()(torch.zeros(1, 3, 1, 2, 2), torch.zeros(1, 3, 1, 2, 2))


def test_ce_wants_one_weight_per_class() -> None:
    with pytest.raises(ConfigError, match="2 numbers for 3 channels"):
        WeightedCE([1.0, 2.0])(torch.zeros(1, 3, 1, 2, 2), torch.zeros(1, 1, 1, 2, 2))


# --- dice -------------------------------------------------------------------------------------


def test_dice_of_two_voxels() -> None:
    logits = row([0.0, math.log(3)])  # p = 1/2, 3/4
    loss = DiceLoss(smooth_nr=1.0, smooth_dr=2.0)
    assert float(loss(logits, row([0.0, 1.0]))) == pytest.approx(1 - (1.5 + 1) / (1.25 + 1 + 2))


def test_dice_squared() -> None:
    loss = DiceLoss(squared_pred=True, smooth_nr=0.0, smooth_dr=1e-9)
    value = loss(row([0.0, math.log(3)]), row([0.0, 1.0]))
    assert float(value) == pytest.approx(1 - 1.5 / (0.25 + 0.5625 + 1))


def test_dice_over_the_batch_adds_before_it_divides() -> None:
    logits = torch.cat([row([0.0, 0.0]), row([0.0, 0.0])])
    target = torch.cat([row([1.0, 1.0]), row([0.0, 0.0])])
    each = (1 - 2 / 3 + 1) / 2
    together = 1 - 2 / 4
    assert float(DiceLoss()(logits, target)) == pytest.approx(each, abs=1e-4)
    assert float(DiceLoss(batch=True)(logits, target)) == pytest.approx(together, abs=1e-4)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"sigmoid": True},
        {"sigmoid": True, "squared_pred": True, "batch": True},
        {"sigmoid": True, "smooth_nr": 0.0, "smooth_dr": 1.0},
        {"softmax": True},
        {"softmax": True, "include_background": False, "smooth_nr": 1.0, "smooth_dr": 1.0},
    ],
)
def test_dice_equals_monai(kwargs: dict[str, Any]) -> None:
    from monai.losses.dice import DiceLoss as MonaiDice

    torch.manual_seed(0)
    logits = torch.randn(2, 3, 2, 6, 5)
    exclusive = kwargs.get("softmax", False)
    target = (
        torch.randint(0, 3, (2, 1, 2, 6, 5)).float()
        if exclusive
        else (torch.rand(2, 3, 2, 6, 5) > 0.7).float()
    )
    expected = MonaiDice(**kwargs, to_onehot_y=exclusive)(logits, target)
    torch.testing.assert_close(DiceLoss(**kwargs)(logits, target), expected)


def test_dice_of_nothing_found_where_nothing_is() -> None:
    assert float(DiceLoss()(row([-200.0, -200.0]), row([0.0, 0.0]))) == 0.0


@pytest.mark.parametrize(
    ("kwargs", "problem"),
    [
        ({"sigmoid": True, "softmax": True}, "both True"),
        ({"sigmoid": False}, "both False"),
        ({"smooth_dr": 0.0}, "smooth_dr is 0"),
    ],
)
def test_dice_refuses_settings_that_cannot_work(kwargs: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        DiceLoss(**kwargs)


# --- what holds for all of them ---------------------------------------------------------------

EVERY_LOSS = {
    "bce": WeightedBCEWithLogitsLoss(),
    "bce auto": WeightedBCEWithLogitsLoss("auto"),
    "ce": WeightedCE(),
    "ce weighted": WeightedCE([1.0, 10.0, 10.0]),
    "dice": DiceLoss(),
    "dice batch": DiceLoss(batch=True, squared_pred=True),
    "dice softmax": DiceLoss(softmax=True, include_background=False),
}
every_loss = pytest.mark.parametrize("loss", EVERY_LOSS.values(), ids=EVERY_LOSS.keys())


Function = WeightedBCEWithLogitsLoss | WeightedCE | DiceLoss


def takes_class_ids(loss: Function) -> bool:
    return isinstance(loss, WeightedCE) or (isinstance(loss, DiceLoss) and loss.softmax)


def example(loss: Function, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, target and a mask that drops the last row of every section."""
    torch.manual_seed(seed)
    logits = torch.randn(2, 3, 2, 4, 4)
    target = torch.randint(0, 2, (2, 1 if takes_class_ids(loss) else 3, 2, 4, 4)).float()
    weight = torch.ones(2, 1, 2, 4, 4)
    weight[..., -1, :] = 0
    return logits, target, weight


@every_loss
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_weight_zero_takes_voxels_out(loss: Function, seed: int) -> None:
    logits, target, weight = example(loss, seed=seed)
    cropped = loss(logits[..., :-1, :], target[..., :-1, :])
    torch.testing.assert_close(loss(logits, target, weight), cropped)


@every_loss
def test_voxels_of_weight_zero_get_no_gradient(loss: Function) -> None:
    logits, target, weight = example(loss)
    logits.requires_grad_()
    loss(logits, target, weight).backward()
    assert logits.grad is not None
    assert not logits.grad[..., -1, :].any()
    assert logits.grad[..., :-1, :].any()


@every_loss
def test_nothing_that_counts_costs_nothing(loss: Function) -> None:
    logits, target, weight = example(loss)
    logits.requires_grad_()
    value = loss(logits, target, torch.zeros_like(weight))
    value.backward()
    assert float(value.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scale", [0.0, 60.0])
def test_all_background_is_finite_in_any_precision(
    loss: Function, dtype: torch.dtype, scale: float
) -> None:
    logits, target, _ = example(loss)
    logits = (scale * logits).to(dtype).requires_grad_()
    value = loss(logits, torch.zeros_like(target))
    value.backward()
    assert value.dtype is torch.float32
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@every_loss
def test_autocast_changes_nothing(loss: Function) -> None:
    logits, target, weight = example(loss)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(logits, target, weight)
    torch.testing.assert_close(value, loss(logits, target, weight))


@every_loss
def test_shapes_that_differ_are_an_error(loss: Function) -> None:
    logits, target, _ = example(loss)
    with pytest.raises(DataError, match=r"\(2, 3, 2, 4, 4\).*\(2, ., 2, 4, 3\)"):
        loss(logits, target[..., :3])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: WeightedBCEWithLogitsLoss(pos_weight=-1.0), r"pos_weight: has to be 0 to 1,000,"),
        (lambda: WeightedBCEWithLogitsLoss(pos_weight=[1.0, 0.0]), r"not 0, not \[1\.0, 0\.0\]"),
        (lambda: WeightedBCEWithLogitsLoss(pos_weight=1e15), "pos_weight"),
        (lambda: WeightedCE(class_weights=[1.0, -2.0]), "class_weights"),
        (lambda: DiceLoss(sigmoid=True, smooth_nr=-1.0), "smooth_nr"),
        (lambda: DiceLoss(sigmoid=True, smooth_dr=1e15), "smooth_dr"),
        (lambda: DiceLoss(sigmoid=True, smooth_nr=float("nan")), "smooth_nr"),
    ],
)
def test_weights_that_would_reward_mistakes_are_refused(make, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()
    WeightedCE(class_weights=[0.0, 1.0, 2.0])
