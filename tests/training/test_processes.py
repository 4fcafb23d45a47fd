"""Training in two processes of one machine: the same as one process with twice the batch."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from pathlib import Path
from typing import cast

import pytest
import torch
from torch.multiprocessing.spawn import ProcessRaisedException

from connectomics.errors import DataError, Fault
from connectomics.models import load_model, read_checkpoint
from connectomics.process.failures import machine_error
from connectomics.training import TrainingStopped, build, fit
from connectomics.training.trainer import APART, Training, prepare


def config_of(make_config, **system):
    processes = system.get("num_cpu_processes", 1)
    return make_config(
        system=system,
        model={
            "rsunet": {"norm": "instance"},
            "loss": {"losses": [{"function": "WeightedBCEWithLogitsLoss"}]},
        },
        data={"dataloader": {"batch_size": 4 // processes}},
        optimization={"max_steps": 4, "optimizer": {"name": "SGD", "lr": 0.1}},
    )


def test_two_processes_equal_one_with_twice_the_batch(make_config, tmp_path):
    config = config_of(make_config)
    one = fit(config, tmp_path / "one")
    two = fit(config_of(make_config, num_cpu_processes=2), tmp_path / "two")

    assert two.step == one.step == 4
    for use_ema in (False, True):
        expected = load_model(one.last, use_ema=use_ema).network.state_dict()
        found = load_model(two.last, use_ema=use_ema).network.state_dict()
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-6)
    assert two.metrics["val_loss"] == pytest.approx(one.metrics["val_loss"], rel=1e-4)
    assert two.metrics["val_dice"] == pytest.approx(one.metrics["val_dice"], rel=1e-3)


@pytest.mark.slow
def test_two_processes_stop_together_and_go_on_as_if_nothing_happened(
    make_config, tmp_path, same_state
):
    config = make_config(
        system={"num_cpu_processes": 2}, optimization={"max_steps": 200, "n_steps_per_epoch": 20}
    )
    whole = fit(config, tmp_path / "whole")

    def stop_when_saved() -> None:
        while not (tmp_path / "stopped" / "checkpoints" / "last.ckpt").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_when_saved, daemon=True).start()
    with pytest.raises(TrainingStopped) as stopped:
        fit(config, tmp_path / "stopped")
    assert stopped.value.code == 143
    assert 20 <= read_checkpoint(stopped.value.checkpoint).facts.step < 200

    resumed = fit(config, tmp_path / "resumed", resume_from=stopped.value.checkpoint)
    assert same_state(whole.last, resumed.last, ignored=(".loops",)) == []


@pytest.mark.slow
def test_each_process_goes_on_with_its_own_random_state(make_config, tmp_path, same_state):
    config = make_config(
        system={"num_cpu_processes": 2},
        optimization={"max_steps": 6, "n_steps_per_epoch": 3},
        data={"num_val_patches": 1},  # fewer than there are processes
        monitor={"checkpoint": {"save_top_k": 2}},
    )

    def trained(folder: str, resume_from: Path | None = None) -> Path:
        ready = prepare(config, resume_from=resume_from)
        end_with(ready, torch.nn.Dropout(0.5))  # draws at every step
        return ready.run(tmp_path / folder).last

    whole = trained("whole")
    (half,) = whole.parent.glob("step_000003_*.ckpt")
    assert same_state(whole, trained("resumed", half), ignored=(".loops",)) == []
    facts = read_checkpoint(whole).facts
    (other,) = facts.other_random_states
    assert not torch.equal(facts.random_state["cpu"], other["cpu"])


def end_with(ready: Training, layer: torch.nn.Module) -> None:
    """Put a layer behind the head of the network."""
    cast(torch.nn.Sequential, ready.module.network.head).append(layer)


class FailsElsewhere(torch.nn.Identity):
    """Raises an error in the second process, while the first waits for it."""

    def __init__(self, error: BaseException, first: int) -> None:
        super().__init__()
        self.error, self.left = error, first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left -= 1
        if self.left < 0 and torch.distributed.get_rank():
            if isinstance(self.error, KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGKILL)
            raise self.error
        return x


FAULTS = [Fault("a.h5", "is gone.", "Look for it."), Fault("b.h5", "is gone, too.")]
FULL = OSError(errno.ENOSPC, "No space left", "x.ckpt")


@pytest.mark.slow  # what it takes is held in test_first_error.py
@pytest.mark.parametrize(
    ("error", "first", "expected", "text"),
    [
        (DataError.of(FAULTS), 1, DataError, r"a\.h5: is gone\.\n  Look for it\.\n.*b\.h5"),
        (FULL, 0, OSError, "x.ckpt"),
        (ArithmeticError("by 0"), 1, ArithmeticError, "by 0"),
        (KeyboardInterrupt(), 1, Exception, "SIGKILL"),
    ],
    ids=["ours", "disk full", "a fault", "killed"],
)
def test_an_error_in_another_process_is_raised_as_it_is(
    make_config, tmp_path, error, first, expected, text
):
    ready = prepare(make_config(system={"num_cpu_processes": 2}))
    end_with(ready, FailsElsewhere(error, first))
    began = time.monotonic()
    with pytest.raises(expected, match=text) as raised:
        ready.run(tmp_path)
    assert time.monotonic() - began < 60
    assert not isinstance(raised.value, ProcessRaisedException)
    if isinstance(error, OSError | KeyboardInterrupt):
        assert machine_error(raised.value)
    if isinstance(error, DataError):
        assert raised.value.faults == error.faults
    if isinstance(error, ArithmeticError):
        assert "FailsElsewhere" not in str(raised.value)
        assert any("in forward" in note for note in raised.value.__notes__)


@pytest.mark.slow
def test_what_goes_wrong_later_is_not_the_checkpoints_fault(make_config, tmp_path):
    config = make_config(system={"num_cpu_processes": 2})
    last = prepare(config).run(tmp_path / "first").last
    longer = make_config(system={"num_cpu_processes": 2}, optimization={"max_steps": 20})
    ready = prepare(longer, resume_from=last)
    end_with(ready, FailsElsewhere(ArithmeticError("by 0"), 2))
    with pytest.raises(ArithmeticError):
        ready.run(tmp_path / "second")


@pytest.mark.parametrize(("devices", "shared"), [("gpu", 2), ("gpu", 1), ("cpu", 2)])
def test_gpus_normalise_by_the_patches_of_all(make_config, tmp_path, monkeypatch, devices, shared):
    asked = {}
    monkeypatch.setattr(build.pl, "Trainer", lambda **settings: asked.update(settings))
    monkeypatch.setattr(build, "choose_precision", lambda *_: "32-true")
    ready = prepare(make_config())
    build.build_trainer(ready.config, ready.module, tmp_path, (devices, shared))
    assert asked["sync_batchnorm"] == ((devices, shared) == ("gpu", 2))


def test_processes_on_cpus_that_normalise_apart_are_warned_of(make_config):
    assert APART not in prepare(make_config()).warnings
    assert APART in prepare(make_config(system={"num_cpu_processes": 2})).warnings
