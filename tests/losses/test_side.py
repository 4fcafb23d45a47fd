"""The loss that compares pre with post, on a few voxels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from connectomics.errors import ConfigError, DataError
from connectomics.losses.side import SideLoss


def row(*channels: list[float]) -> Tensor:
    """One sample, one row of voxels per channel: (1, C, 1, 1, X)."""
    return torch.tensor(channels).reshape(1, len(channels), 1, 1, -1)


def softplus(x: float) -> float:
    """What a voxel costs whose right side is behind by x."""
    return math.log1p(math.exp(x))


# Four voxels: pre, post, neither, and union alone.
TARGET = row([1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 1.0])
LOGITS = row([2.0, 3.0, 9.0, -9.0], [1.0, 0.5, -9.0, 9.0], [0.0, 0.0, 0.0, 0.0])


def test_the_mean_over_voxels_of_one_side_of_how_far_the_right_one_is_ahead() -> None:
    value = SideLoss()(LOGITS, TARGET)
    assert float(value) == pytest.approx((softplus(1 - 2) + softplus(3 - 0.5)) / 2)


def test_what_pre_and_post_have_in_common_costs_nothing() -> None:
    common = row([5.0] * 4, [5.0] * 4, [0.0] * 4)
    assert float(SideLoss()(LOGITS + common, TARGET)) == pytest.approx(
        float(SideLoss()(LOGITS, TARGET))
    )


def test_only_the_two_channels_and_the_voxels_of_a_side_are_pulled() -> None:
    logits = LOGITS.clone().requires_grad_()
    SideLoss()(logits, TARGET).backward()
    assert logits.grad is not None
    pulled = logits.grad[0, :, 0, 0]
    assert (pulled[2] == 0).all()
    assert (pulled[:, 2:] == 0).all()
    assert pulled[0, 0] < 0 < pulled[1, 0]  # pre goes up and post down where it is pre
    assert torch.equal(pulled[0], -pulled[1])


def test_other_channels() -> None:
    order = [2, 0, 1]  # union, pre, post
    value = SideLoss(pre=1, post=2)(LOGITS[:, order], TARGET[:, order])
    assert float(value) == pytest.approx(float(SideLoss()(LOGITS, TARGET)))


def test_voxels_that_do_not_count() -> None:
    value = SideLoss()(LOGITS, TARGET, row([0.0, 1.0, 1.0, 1.0]))
    assert float(value) == pytest.approx(softplus(3 - 0.5))


def test_zero_where_no_voxel_has_a_side() -> None:
    assert float(SideLoss()(LOGITS, torch.zeros_like(TARGET))) == 0


def test_a_voxel_of_both_sides_has_none() -> None:
    both = row([1.0], [1.0])
    assert float(SideLoss()(row([4.0], [-4.0]), both)) == 0


@pytest.mark.parametrize("settings", [{"pre": 1, "post": 1}, {"pre": -1}])
def test_channels_that_are_no_two(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="channel"):
        SideLoss(**settings)


def test_a_network_without_sides_is_refused() -> None:
    with pytest.raises(ConfigError, match="no channel 1 among 1") as raised:
        SideLoss()(row([1.0]), row([1.0]))
    assert "a channel for pre and one for post" in str(raised.value)


def test_a_target_of_another_shape_is_refused() -> None:
    with pytest.raises(DataError, match="pred_slice"):
        SideLoss()(LOGITS, TARGET[:, :2])
