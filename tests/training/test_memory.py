"""Memory is predicted from shapes, and only what can never fit is refused."""

from __future__ import annotations

import re

import pytest
import torch

from connectomics.errors import MachineError
from connectomics.process.fitting import Memory
from connectomics.training import memory, prepare

GIB = 2**30


@pytest.fixture
def machine(monkeypatch):
    """Make this machine have so many bytes of memory."""

    def make(total: float, free: float | None = None) -> None:
        found = Memory("this machine", 0, int(total if free is None else free), int(total))
        monkeypatch.setattr(memory, "memory_of_machine", lambda: found)

    return make


@pytest.fixture
def ready(make_config):
    return prepare(make_config())


def step_of(ready) -> memory.Footprint:
    return memory.footprint(ready.config, ready.module, torch.device("cpu"))


def with_loader(ready, **dataloader):
    loader = ready.config.data.dataloader.model_copy(update=dataloader)
    data = ready.config.data.model_copy(update={"dataloader": loader})
    return ready.config.model_copy(update={"data": data})


def predicted(ready, batch: int) -> int:
    config = with_loader(ready, batch_size=batch)
    return memory.footprint(config, ready.module, torch.device("cpu")).predicted


def require(ready, **dataloader):
    config = with_loader(ready, **dataloader)
    return memory.require_memory(config, ready.module, ("cpu", 1))


def test_a_batch_of_twice_the_patches_takes_twice_as_much(ready, make_config):
    config = with_loader(ready, batch_size=4)
    twice = memory.footprint(config, ready.module, torch.device("cpu"))
    assert twice.step.peak == pytest.approx(2 * step_of(ready).step.peak, rel=0.02)
    assert twice.kept == step_of(ready).kept


def test_what_an_optimizer_keeps(make_config):
    def kept(name: str, *, ema: bool) -> int:
        sections = {"optimizer": {"name": name}, "ema": {"enabled": ema}}
        return step_of(prepare(make_config(optimization=sections))).kept

    one = kept("SGD", ema=False)
    assert one > 0
    assert kept("SGD", ema=True) == kept("Adam", ema=False) == 2 * one
    assert kept("AdamW", ema=True) == 3 * one


def test_patches_made_ahead_count(ready):
    config = with_loader(ready, num_workers=2, batch_size=2)
    found = memory.footprint(config, ready.module, torch.device("cpu"), masked=True)
    assert found.workers == 3 * 2 * 2 * 4 * (4 * 16 * 16) * 5  # image, three targets, mask


def test_half_precision_takes_less(make_config):
    whole = step_of(prepare(make_config()))
    half = prepare(make_config())
    optimization = half.config.optimization.model_copy(update={"precision": "bf16-mixed"})
    config = half.config.model_copy(update={"optimization": optimization})
    found = memory.footprint(config, half.module, torch.device("cpu"))
    assert found.step.peak < 0.9 * whole.step.peak


def test_a_loss_that_looks_at_numbers_is_left_out(make_config):
    ready = prepare(make_config())
    ready.module.loss = Looks()
    assert step_of(ready).step.peak > 0


class Looks(torch.nn.Module):
    def forward(self, logits, target, weight=None):
        if float(logits.sum()) > 0:
            return logits.sum(), {}
        return -logits.sum(), {}


def test_what_cannot_fit_is_refused_with_the_batch_that_would(ready, machine):
    total = 2**26 + 64 * step_of(ready).step.peak  # that is of two patches
    machine(total)
    with pytest.raises(MachineError, match=r"training takes at least .* this machine has") as error:
        require(ready, batch_size=1024)
    found = re.search(
        r"batch_size=(\d+) \(with \S+accumulate_grad_batches=(\d+) ", str(error.value)
    )
    assert found
    batch, accumulate = int(found[1]), int(found[2])
    assert accumulate == -(-1024 // batch)
    assert predicted(ready, batch) <= total < predicted(ready, batch + 1)
    require(ready, batch_size=batch)
    machine(step_of(ready).step.peak / 5)
    with pytest.raises(MachineError, match="a smaller network"):
        require(ready, batch_size=1)


def test_what_kernels_always_took_counts_as_certain(ready, machine):
    config = with_loader(ready, batch_size=1)
    one = memory.footprint(config, ready.module, torch.device("cpu"))
    machine(one.kept + 0.95 * one.step.peak)  # the tensors fit, and nothing beside them
    with pytest.raises(MachineError, match="training takes at least"):
        require(ready, batch_size=1)
    machine(one.kept + 0.9 * (one.step.peak + 4 * one.step.largest))
    require(ready, batch_size=1)


def test_a_suggested_batch_counts_what_is_the_same_for_any_batch(make_config, machine):
    wide = {"rsunet": {"filters": [8, 256], "down_factors": [[1, 2, 2]]}}
    ready = prepare(make_config(model=wide))
    needed = predicted(ready, 64)
    machine(0.6 * needed)
    with pytest.raises(MachineError) as error:
        require(ready, batch_size=64)
    found = re.search(r"batch_size=(\d+) ", str(error.value))
    assert found
    assert predicted(ready, int(found[1])) <= 0.6 * needed
    require(ready, batch_size=int(found[1]))


def test_what_may_not_fit_is_warned_of(ready, machine):
    machine(GIB, free=1000)
    line, warning = require(ready)
    assert "1.0 GiB of this machine" in line
    assert warning.startswith("memory may run out: training is predicted to take")


def test_training_says_it_before_the_first_step_and_refuses(make_config, machine):
    machine(64 * GIB)
    assert any(note.startswith("memory: ") for note in prepare(make_config()).notes)
    machine(1000)
    with pytest.raises(MachineError, match="Set "):
        prepare(make_config())
