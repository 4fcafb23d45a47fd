from __future__ import annotations

import pytest
import torch
from torch import nn

from connectomics.training.ema import MovingAverage, ema_decay


@pytest.mark.parametrize(
    ("step", "expected"),
    [(1, 0.0), (100, 0.0), (101, 2 / 11), (109, 10 / 19), (10**6, 0.99)],
)
def test_the_memory_begins_after_the_warm_up_and_grows(step, expected):
    assert ema_decay(step, decay=0.99, warmup_steps=100) == pytest.approx(expected)


def linear(value: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def test_golden_values():
    """Weights 1, 2, 3, 4 after steps 1 to 4, with decay 0.5 and one step of warm-up.

    decay by step: 0, 2/11, 3/12, 4/13. average: 1; 2/11 + 2·9/11 = 20/11;
    (20/11)/4 + 3·3/4 = 119/44; (119/44)·4/13 + 4·9/13 = 515/143.
    """
    network = linear(0.0)
    average = MovingAverage(network, decay=0.5, warmup_steps=1)
    found = []
    for step in (1, 2, 3, 4):
        nn.init.constant_(network.weight, float(step))
        average.update(step)
        found.append(average.state_dict()["weight"].item())
    assert found == pytest.approx([1, 20 / 11, 119 / 44, 515 / 143])


def test_buffers_are_averaged_or_copied():
    network = nn.BatchNorm3d(1)
    average = MovingAverage(network, decay=0.5, warmup_steps=0)
    network.running_mean.fill_(8.0)
    network.num_batches_tracked.fill_(7)
    average.update(step=1000)
    state = average.state_dict()
    assert state["running_mean"].item() == 4.0
    assert state["num_batches_tracked"].item() == 7


def test_swapping_twice_changes_nothing():
    network = linear(1.0)
    average = MovingAverage(network, decay=0.5, warmup_steps=0)
    nn.init.constant_(network.weight, 3.0)
    average.update(step=1000)
    average.swap()
    assert network.weight.item() == 2.0
    average.swap()
    assert network.weight.item() == 3.0
    assert average.state_dict()["weight"].item() == 2.0


def test_a_saved_average_goes_on():
    network = linear(1.0)
    average = MovingAverage(network, decay=0.9, warmup_steps=0)
    other = MovingAverage(linear(5.0), decay=0.9, warmup_steps=0)
    other.load_state_dict(average.state_dict())
    assert other.state_dict()["weight"].item() == 1.0
    assert torch.equal(network.weight.detach(), torch.ones(1, 1))
