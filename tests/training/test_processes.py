"""Training in two processes of one machine: the same as one process with twice the batch."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
import torch

from connectomics.errors import DataError
from connectomics.models import load_model, read_checkpoint
from connectomics.training import TrainingStopped, build, fit
from connectomics.training.trainer import APART, prepare


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
def test_an_error_in_another_process_is_reported_as_here(make_config, tmp_path):
    config = make_config(
        system={"num_cpu_processes": 2},
        optimization={"optimizer": {"name": "SGD", "lr": 1}, "gradient_clip_val": 0},
    )
    steep = config.optimization.optimizer.model_copy(update={"lr": 1e30})  # no config may have that
    optimization = config.optimization.model_copy(update={"optimizer": steep})
    config = config.model_copy(update={"optimization": optimization})
    with pytest.raises(DataError, match="the loss is not a number"):
        fit(config, tmp_path)


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
