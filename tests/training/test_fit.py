from __future__ import annotations

import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from connectomics import devices
from connectomics.data.counting import Counted
from connectomics.data.io import open_volume, save_volume
from connectomics.errors import CheckpointError, ConfigError, DataError
from connectomics.models import build_model, load_model, read_checkpoint
from connectomics.report.background import training_curves
from connectomics.training import TrainingStopped, fit, prepare, trainer
from connectomics.training.module import SynapseModule


def stop_in(monkeypatch: pytest.MonkeyPatch, step: int, *numbers: signal.Signals) -> None:
    """Let this process receive signals while it computes optimizer step `step`, from 0."""
    original = SynapseModule.training_step
    waiting = list(numbers)

    def training_step(self: SynapseModule, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        while self.trainer.global_step == step and waiting:
            os.kill(os.getpid(), waiting.pop())
        return original(self, batch, batch_idx)

    monkeypatch.setattr(SynapseModule, "training_step", training_step)


def draw_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let training use PyTorch's random state, as a network with dropout would."""
    original = SynapseModule.training_step

    def training_step(self: SynapseModule, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        noise = 0.1 * torch.randn_like(batch["image"])
        return original(self, {**batch, "image": batch["image"] + noise}, batch_idx)

    monkeypatch.setattr(SynapseModule, "training_step", training_step)


def test_a_run_leaves_checkpoints_scores_and_tensorboard(make_config, tmp_path, capsys):
    result = fit(make_config(), tmp_path)

    assert result.step == 10
    assert result.last == tmp_path / "checkpoints" / "last.ckpt"
    assert result.metrics.keys() >= {"val_loss", "val_dice", "train_loss", "train_DiceLoss", "lr"}
    assert result.best is not None
    assert result.best.is_file()
    assert list((tmp_path / "tensorboard").glob("events.*"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoints", "tensorboard"]
    shown = capsys.readouterr()
    assert "validation at step 10: val_loss" in shown.err
    assert "patches/s" in shown.err
    assert "GPU" not in shown.err + shown.out


def test_both_the_last_weights_and_their_average_are_kept(make_config, tmp_path):
    result = fit(make_config(), tmp_path)
    last, average = (
        load_model(result.last, use_ema=use_ema).network.state_dict() for use_ema in (False, True)
    )
    assert not all(torch.equal(tensor, average[name]) for name, tensor in last.items())


def test_training_learns(make_config, tmp_path):
    config = make_config(
        optimization={
            "max_steps": 60,
            "n_steps_per_epoch": 60,
            "optimizer": {"lr": 0.02},
            "ema": {"enabled": False},
        }
    )
    result = fit(config, tmp_path)
    assert result.metrics["val_dice"] > 0.5


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
def test_a_signal_saves_and_ends_the_run(make_config, tmp_path, monkeypatch, number, code):
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    stop_in(monkeypatch, 1, number)
    with pytest.raises(TrainingStopped) as stopped:
        fit(make_config(), tmp_path)
    assert stopped.value.code == code
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    assert f"Stopped by {number.name}. The state is saved in {tmp_path}" in str(stopped.value)
    saved = read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert saved.facts.step == 2


def test_a_second_interrupt_does_not_wait(make_config, tmp_path, monkeypatch):
    stop_in(monkeypatch, 1, signal.SIGINT, signal.SIGINT)
    with pytest.raises(SystemExit) as stopped:
        fit(make_config(), tmp_path)
    assert stopped.value.code == 130
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("steps", "num_workers"),
    [([5], 1), ([3], 0), ([0, 1, 8], 0)],
    ids=["mid-epoch", "last step of an epoch", "again and again"],
)
def test_a_run_stopped_and_resumed_equals_one_that_was_not(
    make_config, tmp_path, monkeypatch, same_state, steps, num_workers
):
    config = make_config(
        optimization={"accumulate_grad_batches": 2},
        data={"dataloader": {"num_workers": num_workers}},
    )
    draw_in_training(monkeypatch)
    whole = fit(config, tmp_path / "whole")
    last = None
    for step in steps:
        with monkeypatch.context() as patch:
            stop_in(patch, step, signal.SIGTERM)
            with pytest.raises(TrainingStopped) as stopped:
                fit(config, tmp_path / str(step), resume_from=last)
        last = stopped.value.checkpoint
        torch.manual_seed(999)
    resumed = fit(config, tmp_path / "resumed", resume_from=last)
    assert resumed.step == whole.step
    # Lightning counts restarts among its own loops' progress.
    assert same_state(whole.last, resumed.last, ignored=(".loops",)) == []


def test_a_step_has_one_number_everywhere(make_config, tmp_path, capsys):
    """That of the optimizer steps done: on the terminal, in TensorBoard and of checkpoints."""

    def steps_of(folder: Path) -> dict[str, list[int]]:
        curves = training_curves(folder / "tensorboard")
        return {name: list(curves[name][0]) for name in ("train_loss", "val_loss")}

    def config(steps: int):
        return make_config(optimization={"max_steps": steps, "n_steps_per_epoch": 3})

    first = fit(config(7), tmp_path / "a")
    assert steps_of(tmp_path / "a") == {"train_loss": [2, 4, 6, 7], "val_loss": [3, 6, 7]}
    assert "validation at step 6: val_loss" in capsys.readouterr().err
    # Resumed from a checkpoint that was written in a validation.
    fit(config(13), tmp_path / "b", resume_from=first.last)
    assert steps_of(tmp_path / "b") == {"train_loss": [8, 10, 12, 13], "val_loss": [9, 12, 13]}
    for run, steps in (("a", {3, 6, 7}), ("b", {9, 12, 13})):
        kept = {int(path.name[5:11]) for path in tmp_path.glob(f"{run}/checkpoints/step_*")}
        assert kept
        assert kept <= steps


def test_resuming_from_a_kept_checkpoint_equals_never_stopping(make_config, tmp_path, same_state):
    keep_all = {"checkpoint": {"save_top_k": 9}}
    whole = fit(make_config(monitor=keep_all), tmp_path / "whole")
    middle = next((tmp_path / "whole" / "checkpoints").glob("step_000004_*"))
    resumed = fit(make_config(monitor=keep_all), tmp_path / "resumed", resume_from=middle)
    assert same_state(whole.last, resumed.last, ignored=(".loops",)) == []


def test_workers_do_not_change_the_weights(make_config, tmp_path, same_state):
    results = [
        fit(make_config(data={"dataloader": {"num_workers": n}}), tmp_path / str(n)) for n in (0, 2)
    ]
    assert same_state(results[0].last, results[1].last) == []


def test_settings_of_the_config_win_over_those_of_the_checkpoint(make_config, tmp_path):
    first = fit(make_config(), tmp_path / "first")
    longer = make_config(
        optimization={"max_steps": 12, "optimizer": {"lr": 5e-4, "weight_decay": 0.5}}
    )
    second = fit(longer, tmp_path / "second", resume_from=first.last)
    groups = read_checkpoint(second.last).content["optimizer_states"][0]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    assert all(group["initial_lr"] == 5e-4 for group in groups)
    assert second.step == 12


def test_a_finished_run_says_so_instead_of_doing_nothing(make_config, tmp_path):
    done = fit(make_config(), tmp_path)
    with pytest.raises(ConfigError, match=r"10 steps are wanted, and .* has done 10"):
        fit(make_config(), tmp_path, resume_from=done.last)


def test_accumulated_batches_equal_one_larger_batch(make_config, tmp_path):
    """With losses that are means over voxels and a norm that does not mix patches."""
    weights = []
    for batch, accumulate in ((4, 1), (2, 2)):
        config = make_config(
            model={
                "rsunet": {"norm": "instance"},
                "loss": {"losses": [{"function": "WeightedBCEWithLogitsLoss"}]},
            },
            data={"dataloader": {"batch_size": batch}},
            optimization={
                "max_steps": 3,
                "accumulate_grad_batches": accumulate,
                "optimizer": {"name": "SGD", "lr": 0.1},
                "ema": {"enabled": False},
            },
        )
        result = fit(config, tmp_path / str(batch))
        weights.append(load_model(result.last).network.state_dict())
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-4, atol=1e-6)


def test_early_stopping_ends_the_run(make_config, tmp_path, capsys):
    config = make_config(
        optimization={
            "max_steps": 40,
            "n_steps_per_epoch": 2,
            "optimizer": {"lr": 1e-9},
            "scheduler": {"min_lr": 0.0},
        },
        monitor={"early_stopping": {"enabled": True, "patience": 2, "min_delta": 1.0}},
    )
    assert fit(config, tmp_path).step == 6
    assert "stopped early, at step 6 of 40" in capsys.readouterr().err


def test_only_the_best_are_kept(make_config, tmp_path):
    config = make_config(
        optimization={"n_steps_per_epoch": 2}, monitor={"checkpoint": {"save_top_k": 2}}
    )
    result = fit(config, tmp_path)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert len(kept) == 3
    assert kept[0] == "last.ckpt"
    assert result.best is not None
    best = read_checkpoint(result.best).facts.metrics["val_loss"]
    others = [read_checkpoint(tmp_path / "checkpoints" / name) for name in kept]
    assert best <= min(other.facts.metrics["val_loss"] for other in others)


def test_a_full_disk_stops_the_run_and_keeps_the_last_checkpoint(
    make_config, tmp_path, monkeypatch
):
    first = fit(make_config(), tmp_path)
    before = first.last.read_bytes()

    def full(self: Path, data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    longer = make_config(optimization={"max_steps": 20})
    with pytest.raises(DataError, match="No space left on device"):
        fit(longer, tmp_path, resume_from=first.last)
    assert first.last.read_bytes() == before
    assert all(path.suffix == ".ckpt" for path in (tmp_path / "checkpoints").iterdir())


def test_a_loss_that_is_no_number_stops_the_run(make_config, tmp_path):
    config = make_config(optimization={"optimizer": {"name": "SGD"}, "gradient_clip_val": 0})
    steep = config.optimization.optimizer.model_copy(update={"lr": 1e30})  # no config may have that
    optimization = config.optimization.model_copy(update={"optimizer": steep})
    config = config.model_copy(update={"optimization": optimization})
    with pytest.raises(DataError, match="the loss is not a number"):
        fit(config, tmp_path)


def test_gpus_that_are_not_there_are_an_error(make_config, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match=r"system.num_gpus: 2 asked for, and PyTorch .* sees 0"):
        fit(make_config(system={"num_gpus": 2}), tmp_path)
    with pytest.raises(ConfigError, match="16-mixed needs a GPU"):
        fit(make_config(optimization={"precision": "16-mixed"}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_another_network_is_refused_before_training(make_config, tmp_path):
    first = fit(make_config(), tmp_path / "first")
    other = make_config(model={"rsunet": {"filters": [4, 12]}})
    with pytest.raises(CheckpointError, match=r"model.rsunet.filters: .*\[4, 8\].*\[4, 12\]"):
        fit(other, tmp_path / "second", resume_from=first.last)


def test_bf16_runs_on_a_cpu(make_config, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "computes_bfloat16", lambda: False)
    training = prepare(make_config(optimization={"precision": "bf16-mixed", "max_steps": 2}))
    assert any("optimization.precision=auto" in warning for warning in training.warnings)
    assert training.run(tmp_path).step == 2


def test_exclusive_polarity_trains_and_scores(make_config, tmp_path):
    config = make_config(
        model={
            "loss": {
                "losses": [{"function": "WeightedCE", "kwargs": {"class_weights": [1, 10, 10]}}]
            }
        },
        data={
            "label_transform": {"targets": [{"name": "polarity", "kwargs": {"exclusive": True}}]}
        },
        optimization={"max_steps": 2},
    )
    result = fit(config, tmp_path)
    assert 0 <= result.metrics["val_dice"] <= 1


def test_masked_voxels_do_not_teach(make_config, tmp_path, volumes, monkeypatch):
    """Where nothing counts, weights stay as they are (but for decay, which is off)."""
    both = Counted.FOREGROUND, Counted.FOREGROUND
    monkeypatch.setattr(trainer.PatchDataModule, "counted", lambda _: both)
    mask = tmp_path / "mask.h5"
    save_volume(mask, np.zeros((16, 64, 64), np.uint8))
    config = make_config(
        model={"head_bias": None},
        data={
            "train": {**volumes, "mask": str(mask)},
            "dataloader": {"reject_sampling": None},
            "label_transform": {"targets": ["polarity"]},
        },
        optimization={
            "max_steps": 2,
            "optimizer": {"name": "SGD", "weight_decay": 0.0},
            "ema": {"enabled": False},
        },
    )
    result = fit(config, tmp_path)
    pl.seed_everything(config.system.seed, verbose=False)
    untrained = dict(build_model(config.model).named_parameters())
    for name, tensor in load_model(result.last).network.named_parameters():
        assert torch.equal(tensor, untrained[name])


def without_labels(folder: Path, volumes: dict[str, str], kept: slice) -> dict[str, str]:
    """The volumes, with labels in some sections only."""
    with open_volume(volumes["label"]) as volume:
        label = volume.read()
    labels = np.zeros_like(label)
    labels[kept] = label[kept]
    save_volume(folder / "fewer.h5", labels, resolution=(30, 8, 8))
    return {**volumes, "label": str(folder / "fewer.h5")}


@pytest.mark.parametrize("reject", [None, {"size_thres": 100, "p": 0.9}])
def test_nothing_to_learn_from_is_an_error(make_config, tmp_path, volumes, reject):
    data = {"dataloader": {"reject_sampling": reject}}
    for name, value in {"none": 0, "all": 1}.items():
        mask = tmp_path / f"{name}.h5"
        save_volume(mask, np.full((16, 64, 64), value, np.uint8))
        train = {**without_labels(tmp_path / name, volumes, slice(0)), "mask": str(mask)}
        said = "no foreground" if value else r"data\.train: no voxel counts"
        with pytest.raises(DataError, match=said):
            prepare(make_config(data={**data, "train": train}))
    outside = np.ones((16, 64, 64), np.uint8)
    with open_volume(volumes["label"]) as volume:
        outside[volume.read() > 0] = 0
    save_volume(tmp_path / "outside.h5", outside)
    train = {**volumes, "mask": str(tmp_path / "outside.h5")}
    with pytest.raises(DataError, match="no foreground"):
        prepare(make_config(data={**data, "train": train}))


def test_validation_on_nothing_is_said(make_config, tmp_path, volumes):
    mask = tmp_path / "mask.h5"
    save_volume(mask, np.zeros((16, 64, 64), np.uint8))
    with pytest.raises(DataError, match=r"data\.val.*: no voxel counts"):
        prepare(make_config(data={"val": {**volumes, "mask": str(mask)}}))
    first = without_labels(tmp_path, volumes, slice(0, 8))
    where = "data.val, or what data.val_fraction holds back"
    said = prepare(make_config(data={"train": first})).warnings
    assert any(f"{where}: the labels hold no foreground" in warning for warning in said)
    monitor = {"checkpoint": {"monitor": "val_dice", "mode": "max"}}
    with pytest.raises(ConfigError, match=r"checkpoint\.monitor: val_dice cannot .* is labelled"):
        prepare(make_config(data={"train": first}, monitor=monitor))
    assert not any(where in warning for warning in prepare(make_config()).warnings)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_validation_that_is_no_number_stops_the_run_and_keeps_what_there_is(
    make_config, tmp_path, monkeypatch, value
):
    original = SynapseModule.validation_step

    def validation_step(self: SynapseModule, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        logits = original(self, batch, batch_idx)
        self._loss_sum[0] += value if self.trainer.global_step > 4 else 0
        return logits

    monkeypatch.setattr(SynapseModule, "validation_step", validation_step)
    with pytest.raises(DataError, match=r"step 8: val_loss is [^/]*\.\n.*last\.ckpt is of the"):
        fit(make_config(), tmp_path)
    kept = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert [name.partition("_val")[0] for name in kept] == ["last.ckpt", "step_000004"]
    assert read_checkpoint(tmp_path / "checkpoints" / "last.ckpt").facts.step == 4


def test_a_mask_needs_a_loss_that_can_leave_voxels_out(make_config, tmp_path, volumes):
    mask = tmp_path / "mask.h5"
    save_volume(mask, np.ones((16, 64, 64), np.uint8))
    config = make_config(
        model={"loss": {"losses": [{"function": "TverskyLoss", "kwargs": {"sigmoid": True}}]}},
        data={"train": {**volumes, "mask": str(mask)}},
    )
    with pytest.raises(ConfigError, match="a loss here cannot leave voxels out"):
        fit(config, tmp_path)


def test_a_score_that_cannot_be_computed_cannot_be_monitored(make_config, tmp_path):
    config = make_config(
        inference={"model": {"channel_activations": [{"channels": "0:3", "activation": "none"}]}},
        monitor={"checkpoint": {"monitor": "val_dice", "mode": "max"}},
    )
    with pytest.raises(ConfigError, match="val_dice cannot be computed"):
        fit(config, tmp_path)


def test_the_checkpoint_says_what_inference_has_to_repeat(make_config, tmp_path):
    config = make_config(
        data={"image_transform": {"statistics": "train", "normalize": "z-score"}},
        optimization={"max_steps": 1},
    )
    facts = read_checkpoint(fit(config, tmp_path).last).content["connectomics"]
    assert facts["image_transform"]["normalize"] == "z-score"
    assert facts["statistics"].keys() == {"low", "high", "mean", "std"}
    assert facts["statistics"]["high"] == 230
    assert facts["resolution"] == [30.0, 8.0, 8.0]
    assert facts["targets"] == [{"name": "polarity", "kwargs": {}}]
    assert facts["channel_activations"] == [{"channels": [0, 3], "activation": "sigmoid"}]
    assert facts["model"] == config.model.model_dump(mode="json")
    assert facts["step"] == 1


def test_deep_supervision_trains(make_config, tmp_path):
    config = make_config(
        model={
            "rsunet": {
                "filters": [4, 8, 8],
                "down_factors": [[1, 2, 2]] * 2,
                "deep_supervision": True,
            }
        },
        optimization={"max_steps": 1, "deterministic": True},
        system={"num_threads": 1},
    )
    assert fit(config, tmp_path).step == 1
