"""The sum of loss terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from connectomics.errors import ConfigError, DataError
from connectomics.losses.cross_entropy import WeightedBCEWithLogitsLoss
from connectomics.losses.dice import DiceLoss
from connectomics.losses.summed import LossTerm, SummedLoss


class MeanDifference(nn.Module):
    """A loss whose values can be seen at a glance."""

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean of logits minus target, of what counts."""
        difference = logits - target
        return difference.mean() if weight is None else (difference * weight).sum() / weight.sum()


def channels(*values: float) -> Tensor:
    """Constant channels, (1, C, 1, 2, 2)."""
    return (
        torch.tensor(values, dtype=torch.float32)
        .reshape(1, -1, 1, 1, 1)
        .expand(1, len(values), 1, 2, 2)
    )


@pytest.mark.parametrize(
    ("pred_slice", "target_slice", "expected"),
    [
        (None, None, 10 + 20 + 30 - 1 - 2 - 3),
        ("0:2", "0:2", (10 + 20 - 1 - 2) / 2 * 3),
        ("1:", "0:2", (20 + 30 - 1 - 2) / 2 * 3),
        ((0, 1), 2, (10 - 3) * 3),
        (2, (1, 2), (30 - 2) * 3),
    ],
)
def test_slices_pick_channels(
    pred_slice: str | int | tuple[int, int] | None,
    target_slice: str | int | tuple[int, int] | None,
    expected: float,
) -> None:
    loss = SummedLoss([LossTerm(MeanDifference(), 3.0, pred_slice, target_slice)])
    total, terms = loss(channels(10, 20, 30), channels(1, 2, 3))
    assert float(total) == pytest.approx(expected)
    assert float(terms["MeanDifference"]) == pytest.approx(expected / 3)


def test_total_is_the_weighted_sum_and_terms_are_not_weighted() -> None:
    loss = SummedLoss(
        [LossTerm(MeanDifference(), 2.0, name="a"), LossTerm(MeanDifference(), 0.5, 0, 0, name="b")]
    )
    logits = channels(4, 8).clone().requires_grad_()
    total, terms = loss(logits, channels(1, 1))
    assert float(total.detach()) == 2 * 5 + 0.5 * 3
    assert {name: float(value) for name, value in terms.items()} == {"a": 5, "b": 3}
    assert total.requires_grad
    assert not any(value.requires_grad for value in terms.values())


def test_terms_of_one_name_are_told_apart_by_position() -> None:
    terms = [LossTerm(DiceLoss()), LossTerm(MeanDifference()), LossTerm(DiceLoss())]
    assert SummedLoss(terms).names == ["DiceLoss_0", "MeanDifference", "DiceLoss_2"]


def test_deep_supervision_halves_the_share_of_every_level() -> None:
    loss = SummedLoss([LossTerm(MeanDifference())])
    levels = [channels(7.0), channels(14.0), channels(28.0)]
    total, terms = loss(levels, channels(0.0))
    assert float(total) == pytest.approx((4 * 7 + 2 * 14 + 1 * 28) / 7)
    assert float(terms["MeanDifference"]) == 7


def test_weight_reaches_every_term() -> None:
    loss = SummedLoss([LossTerm(MeanDifference()), LossTerm(MeanDifference(), name="other")])
    logits = torch.tensor([1.0, 9.0]).reshape(1, 1, 1, 1, 2)
    weight = torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 1, 2)
    total, terms = loss(logits, torch.zeros_like(logits), weight)
    assert float(total) == 2
    assert {float(value) for value in terms.values()} == {1.0}


def test_total_is_float32_under_autocast() -> None:
    loss = SummedLoss([LossTerm(WeightedBCEWithLogitsLoss()), LossTerm(DiceLoss())])
    logits = torch.randn(1, 2, 2, 4, 4)
    target = (logits > 0).float()
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = loss(logits.bfloat16(), target)
    assert total.dtype is torch.float32
    assert float(total) == pytest.approx(float(loss(logits, target)[0]), rel=0.01)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda loss: loss(channels(1, 2), channels(1, 2)), ConfigError, "leaves the channels"),
        (
            lambda loss: loss(channels(1, 2, 3), torch.zeros(1, 3, 1, 2, 3)),
            DataError,
            r"\(1, 2, 2\), the target has \(1, 2, 3\)",
        ),
    ],
)
def test_what_does_not_fit_is_an_error(
    call: Callable[[SummedLoss], object], error: type[Exception], message: str
) -> None:
    loss = SummedLoss([LossTerm(MeanDifference(), pred_slice="0:3")])
    with pytest.raises(error, match=message):
        call(loss)


def test_says_whether_every_term_takes_a_weight() -> None:
    own = LossTerm(DiceLoss())
    assert SummedLoss([own]).takes_weight
    assert not SummedLoss([own, replace(own, takes_weight=False)]).takes_weight
