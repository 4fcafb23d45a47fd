"""The machine, the shell and the scheduler around a run: they change nothing and lose nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from main import main

from connectomics.data.io import save_volume
from connectomics.models import read_checkpoint
from connectomics.pipeline import stages

torch.set_num_threads(1)

SCRIPT = Path(__file__).parents[1] / "scripts" / "main.py"
SHAPE = (8, 32, 32)
CONFIG: dict[str, Any] = {
    "experiment_name": "tiny",
    "system": {"num_gpus": 0, "num_threads": 1},
    "model": {"out_channels": 3, "rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]]}},
    "data": {
        "train": {"image": "em.h5", "label": "syn.h5"},
        "test": {"image": "em.h5", "label": "syn.h5"},
        "label_transform": {"targets": ["polarity"]},
        "dataloader": {"patch_size": [4, 16, 16], "batch_size": 1, "num_workers": 0},
        "num_val_patches": 1,
    },
    "optimization": {"max_steps": 2, "n_steps_per_epoch": 2},
    "inference": {"window": {"window_size": [4, 32, 32]}},
    "decoding": {"steps": ["polarity2instance"]},
    "evaluation": {"truth_encoding": "polarity"},
}
FOREIGN = {
    "SLURM_JOB_ID": "42", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "4", "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_NODELIST": "nowhere",
    "RANK": "abc", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "nowhere",
    "MASTER_PORT": "none", "TORCHELASTIC_RUN_ID": "x", "GROUP_RANK": "x", "NODE_RANK": "x",
    "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2", "PMI_RANK": "1",
    "PL_TRAINER_MAX_STEPS": "1", "PL_TRAINER_FAST_DEV_RUN": "1", "PL_GLOBAL_SEED": "x",
    "OMP_NUM_THREADS": "", "MPLBACKEND": "none", "NUMBA_NUM_THREADS": "x",
    "TZ": "No/Where", "LC_ALL": "C", "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0", "CUDA_VISIBLE_DEVICES": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with volumes, a config, and a run."""
    folder = tmp_path_factory.mktemp("work")
    image = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)
    label = np.zeros(SHAPE, np.uint16)
    label[2:6, 4:12, 4:20], label[2:6, 12:20, 4:20] = 1, 2
    save_volume(folder / "em.h5", image, resolution=(30, 8, 8))
    save_volume(folder / "syn.h5", label, resolution=(30, 8, 8))
    (folder / "my.yaml").write_text(yaml.safe_dump(CONFIG))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["--config", "my.yaml", "experiment_name=first"]) == 0
    return folder


def checkpoint_of(folder: Path, name: str) -> Path:
    (found,) = folder.glob(f"outputs/{name}/*/checkpoints/last.ckpt")
    return found


def start(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    command = [sys.executable, str(SCRIPT), "--config", "my.yaml", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, cwd=folder, text=True, **pipes)


def test_what_surrounds_a_training_does_not_change_it(trained: Path):
    """Also not a checkpoint that lies in the folder, nor that nobody can read its output."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    (trained / "hpc_ckpt_1.ckpt").write_bytes(checkpoint_of(trained, "first").read_bytes())
    with Path("/dev/full").open("w") as full:
        process = start(trained, "experiment_name=odd", stdout=full, env={**os.environ, **FOREIGN})
    err = process.communicate()[1]
    assert process.returncode == 2, err
    assert err.endswith(
        "standard output: No space left on device. Some of what was printed is lost.\n"
    )
    assert "Traceback" not in err
    first, odd = (
        torch.load(checkpoint_of(trained, name), weights_only=True) for name in ("first", "odd")
    )
    assert first["global_step"] == odd["global_step"] == 2
    for name, tensor in first["state_dict"].items():
        assert torch.equal(odd["state_dict"][name], tensor)
    assert list(trained.glob("outputs/odd/*/tensorboard/events.*"))
    assert {path.name for path in trained.glob("*.ckpt")} == {"hpc_ckpt_1.ckpt"}


def test_a_scheduler_that_sends_usr1_gets_a_checkpoint_to_go_on_from(trained: Path):
    forever = ["optimization.max_steps=100000", "optimization.n_steps_per_epoch=50000"]
    environment = {**os.environ, **FOREIGN, "LC_ALL": "C.UTF-8"}
    process = start(trained, "experiment_name=usr1", *forever, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("train: ")
    events = "outputs/usr1/*/tensorboard/events.*"  # made when training is about to begin
    while not list(trained.glob(events)) and process.poll() is None:
        time.sleep(0.05)
    time.sleep(1)
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        process.send_signal(number)  # the first counts, and the others wait for the save
        time.sleep(0.02)
    err = process.communicate(timeout=100)[1]
    assert process.returncode == 128 + signal.SIGUSR1, err
    last = checkpoint_of(trained, "usr1").relative_to(trained)
    assert err.endswith(
        f"Stopped by SIGUSR1. The state is saved in {last}; go on with the same command and "
        f"--checkpoint {last}\n"
    )
    assert read_checkpoint(trained / last).facts.step > 0
    assert not list(trained.glob("outputs/usr1/*/checkpoints/.new_*"))
    assert not list(trained.glob("hpc_ckpt_2*"))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_in_another_mode_leaves_nothing_half_done(
    trained: Path, monkeypatch, capsys, number
):
    """It arrives while a window of probabilities is being written."""
    import connectomics.inference.build as inference

    monkeypatch.chdir(trained)
    write, before = inference.write_probabilities, set(trained.rglob("*"))

    def interrupted(path: Path, *arguments: Any, **settings: Any) -> None:
        write(path, *arguments, **settings)
        assert path.exists()
        os.kill(os.getpid(), number)

    monkeypatch.setattr(inference, "write_probabilities", interrupted)
    last = str(checkpoint_of(trained, "first"))
    code = main(["--config", "my.yaml", "--mode", "infer", "--checkpoint", last])
    assert code == 128 + number
    assert capsys.readouterr().err.endswith(f"Stopped by {number.name}.\n")
    new = {path.name for path in set(trained.rglob("*")) - before}
    assert new <= {"results", "config.yaml", "provenance.yaml", "em"}


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(28, "No space left on device", "x"), 2, "MachineError: x: No space left on dev"),
        (MemoryError(), 2, "MachineError: memory: does not suffice.\n  Use smaller patches"),
        (ZeroDivisionError("n"), 1, "This is a fault of connectomics and not yours."),
    ],
)
def test_what_nobody_expected(trained: Path, monkeypatch, capsys, error, code, said):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.chdir(trained)
    monkeypatch.setitem(stages.STAGES, "train", fail)
    assert main(["--config", "my.yaml"]) == code
    err = capsys.readouterr().err
    assert said in err
    assert ("Traceback" in err) == (code == 1)


def test_exit_statuses_are_documented(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "exit status:\n  0 done; 2 something to put right" in capsys.readouterr().out
