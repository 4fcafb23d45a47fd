"""Training on several machines, by processes that are started one by one on this one."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import distributed

from connectomics.data.io import read_volume, save_volume
from connectomics.errors import ConfigError, DataError, MachineError
from connectomics.models import load_model, read_checkpoint
from connectomics.process.outcome import SaidElsewhere
from connectomics.training.machines import ALONE, Processes, joined, lost
from connectomics.training.trainer import prepare

ROOT = Path(__file__).parents[2]

DRIVER = """
import os, sys
sys.path.insert(0, {root!r})
from connectomics.command import main
from connectomics.errors import DataError
from connectomics.training.module import SynapseModule
step = SynapseModule.training_step
def failing(self, batch, batch_idx):
    if os.environ.get("FAILS") and self.trainer.global_step == 2:
        raise DataError("em.h5", "chunk 3 cannot be read.", "Copy it again.")
    return step(self, batch, batch_idx)
SynapseModule.training_step = failing
if __name__ == "__main__":
    sys.exit(main())
"""
GLOO = RuntimeError(
    "[/a/gloo/pair.cc:537] Read error [10.0.0.2]:4: Connection reset by peer. This is typically x"
)


def test_a_training_on_one_machine_has_one_process(make_config):
    with joined(make_config()) as processes:
        assert processes is ALONE
    assert ALONE.together(lambda: 3) == ALONE.of_first(lambda: 3) == 3
    ALONE.require_same({"config": "a"})
    with pytest.raises(DataError):
        ALONE.together(fails)


def test_other_volumes_and_checkpoints_are_other_trainings(make_config, volumes, tmp_path):
    ready = prepare(make_config())
    found = ready.facts("a: 1")
    assert found == prepare(make_config()).facts("a: 1")
    brighter = {**volumes, "image": str(tmp_path / "brighter.h5")}
    save_volume(brighter["image"], read_volume(volumes["image"]) + 1, resolution=(30, 8, 8))
    other = prepare(make_config(data={"train": brighter})).facts("a: 2")
    assert {name for name in found if found[name] != other[name]} == {
        "config",
        "volumes (shapes, grey values)",
    }
    last = ready.run(tmp_path / "run").last
    longer = prepare(make_config(optimization={"max_steps": 11}), resume_from=last)
    assert longer.facts("a: 1").keys() - found.keys() == {"checkpoint"}


def fails() -> None:
    raise DataError("em.h5", "cannot be read.")


def test_several_machines_train_by_the_command_alone(make_config):
    with pytest.raises(ConfigError, match="by the command line alone"):
        prepare(make_config(system={"num_nodes": 2}))
    with (
        pytest.raises(ConfigError, match="nothing has started"),
        joined(make_config(system={"num_nodes": 2})),
    ):
        pass


@pytest.mark.parametrize(
    ("error", "expected"),
    [(GLOO, True), (distributed.DistNetworkError("x"), True), (RuntimeError("by 0"), False)],
)
def test_what_only_says_that_another_is_gone(error, expected):
    assert lost(error) == expected


class Store:
    """Stands for what processes share."""

    def __init__(self) -> None:
        self.held: dict[str, Any] = {}

    def set_timeout(self, timeout: object) -> None:
        pass

    def add(self, name: str, number: int) -> int:
        self.held[name] = self.held.get(name, 0) + number
        return self.held[name]

    def set(self, name: str, text: str) -> None:
        self.held[name] = text.encode()

    def get(self, name: str) -> bytes:
        return self.held[name]


def test_the_first_process_says_what_ended_another(capsys):
    store: Any = Store()
    first, second, third = (Processes(rank, 3, None, store) for rank in range(3))
    error = DataError("em.h5", "cannot be read.")
    assert second.ended_by(error) is error  # it says so itself, too
    assert "train: process 1 of 3, on " in capsys.readouterr().err
    assert isinstance(third.ended_by(GLOO), SaidElsewhere)
    found = first.ended_by(GLOO)
    assert isinstance(found, MachineError)
    assert "process 1 of 3, on " in str(found)
    assert "has ended it: DataError: em.h5: cannot be read." in str(found)


def test_where_one_was_killed_those_that_are_left_say_it_once():
    store: Any = Store()
    first, second, third = (Processes(rank, 3, None, store) for rank in range(3))
    found = second.ended_by(GLOO)
    assert "another process is gone, or does not answer: Read error [10.0.0.2]:4: C" in str(found)
    assert "typically" not in str(found)
    assert isinstance(third.ended_by(GLOO), SaidElsewhere)
    assert "is gone, or does not answer" in str(first.ended_by(GLOO))


STARTED: list[subprocess.Popen[bytes]] = []


@pytest.fixture(autouse=True)
def _nothing_goes_on():
    yield
    while STARTED:
        STARTED.pop().kill()


def write_config(folder: Path, volumes: dict[str, Any], **system: Any) -> None:
    """A training small enough to be run often, one for two machines unless told."""
    config = {
        "save_path": str(folder / "outputs"),
        "system": {"num_gpus": 0, "num_threads": 1, "seed": 3, "num_nodes": 2, **system},
        "model": {
            "out_channels": 3,
            "rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]], "norm": "instance"},
            "loss": {"losses": [{"function": "WeightedBCEWithLogitsLoss"}]},
        },
        "data": {
            "train": volumes,
            "label_transform": {"targets": ["polarity"]},
            "dataloader": {"patch_size": [4, 16, 16], "batch_size": 2, "num_workers": 0},
            "num_val_patches": 1,  # fewer than there are processes
        },
        "optimization": {
            "max_steps": 4,
            "n_steps_per_epoch": 2,
            "optimizer": {"name": "SGD", "lr": 0.1},
        },
        "monitor": {"logging": {"every_n_steps": 1}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "driver.py").write_text(DRIVER.format(root=str(ROOT)))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(
    folder: Path, *arguments: str, failing: int | None = None
) -> list[subprocess.Popen[bytes]]:
    """Start the command as it is started on two machines, with files for what they say."""
    port, processes = free_port(), []
    for rank in (0, 1):
        variables = {
            **os.environ,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "NODE_RANK": str(rank),
            "FAILS": "1" if failing == rank else "",
        }
        command = [sys.executable, "driver.py", "--config", "config.yaml", *arguments]
        with (folder / f"{rank}.out").open("wb") as out:
            process = subprocess.Popen(command, cwd=folder, env=variables, stdout=out, stderr=out)
        processes.append(process)
    STARTED.extend(processes)
    return processes


def said(folder: Path, rank: int) -> str:
    return (folder / f"{rank}.out").read_text()


def ends(processes: list[subprocess.Popen[bytes]], *, within: float = 200) -> list[int]:
    """Their exit statuses; a busy machine takes half a minute only to start them."""
    until = time.monotonic() + within
    return [process.wait(max(0.1, until - time.monotonic())) for process in processes]


def runs(folder: Path) -> list[Path]:
    return sorted((folder / "outputs").glob("20*"))


@pytest.mark.slow
def test_two_machines_equal_two_processes_on_one(tmp_path, volumes):
    write_config(tmp_path, volumes)
    assert ends(start(tmp_path)) == [0, 0], said(tmp_path, 0)
    (run,) = runs(tmp_path)
    assert said(tmp_path, 1) == ""
    assert f"train: {run.relative_to(tmp_path)}\n" in said(tmp_path, 0)
    assert "train: 2 processes meet at 127.0.0.1:" in said(tmp_path, 0)
    assert {"config.yaml", "provenance.yaml", "checkpoints", "tensorboard"} == {
        path.name for path in run.iterdir()
    }
    events = list((run / "tensorboard").glob("events*"))
    assert len(events) == 1
    two = run / "checkpoints" / "last.ckpt"
    assert read_checkpoint(two).facts.step == 4

    write_config(tmp_path, volumes, num_nodes=1, num_cpu_processes=2)
    command = [sys.executable, "driver.py", "--config", "config.yaml"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    one = runs(tmp_path)[-1] / "checkpoints" / "last.ckpt"
    assert one != two
    expected = load_model(one).network.state_dict()
    found = load_model(two).network.state_dict()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-6)
    metrics = read_checkpoint(one).facts.metrics
    assert read_checkpoint(two).facts.metrics == pytest.approx(metrics, rel=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_training_on_two_machines_is_stopped_and_goes_on(tmp_path, volumes, same_state):
    write_config(tmp_path, volumes)
    steps = "optimization.max_steps=600", "optimization.n_steps_per_epoch=300"
    assert ends(start(tmp_path, *steps)) == [0, 0], said(tmp_path, 0)
    processes = start(tmp_path, *steps)
    wait_for(tmp_path, r"train: 1\d\d of 600")
    processes[1].send_signal(signal.SIGTERM)  # of one machine; both stop
    assert ends(processes) == [143, 143]
    assert said(tmp_path, 1) == ""
    stopped = re.search(r"--checkpoint (\S+)", said(tmp_path, 0))
    assert stopped is not None
    assert 100 <= read_checkpoint(tmp_path / stopped[1]).facts.step < 600
    resumed = start(tmp_path, *steps, "--checkpoint", stopped[1])
    assert ends(resumed) == [0, 0], said(tmp_path, 0)
    whole, _, last = (run / "checkpoints" / "last.ckpt" for run in runs(tmp_path))
    assert same_state(whole, last, ignored=(".loops",)) == []


def wait_for(folder: Path, pattern: str) -> None:
    until = time.monotonic() + 150
    while not re.search(pattern, said(folder, 0)):
        assert time.monotonic() < until, said(folder, 0)
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_where_one_is_killed_the_other_ends_and_says_so(tmp_path, volumes, killed):
    write_config(tmp_path, volumes)
    processes = start(tmp_path, "optimization.max_steps=100000")
    wait_for(tmp_path, r"validation at step 2:")
    processes[killed].kill()
    statuses = ends(processes, within=60)
    assert statuses[killed] == -signal.SIGKILL
    assert statuses[1 - killed] == 2
    text = said(tmp_path, 1 - killed)
    assert "MachineError: training: another process is gone, or does not answer: " in text
    assert "--checkpoint RUN" in text


@pytest.mark.slow
@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_one_ends_the_other_and_is_said_as_it_is(tmp_path, volumes, failing):
    write_config(tmp_path, volumes)
    assert ends(start(tmp_path, failing=failing)) == [2, 2]
    text = "DataError: em.h5: chunk 3 cannot be read.\n  Copy it again."
    assert text in said(tmp_path, failing)
    assert text in said(tmp_path, 0)
    assert "process 1 of 2, on " in said(tmp_path, 0) or not failing
    assert "Traceback" not in said(tmp_path, 0)


@pytest.mark.slow
def test_what_another_machine_lacks_is_said_by_the_first(tmp_path, volumes):
    write_config(tmp_path, volumes)
    text = (tmp_path / "config.yaml").read_text()
    image = volumes["image"]
    there = tmp_path / "there"  # the second machine has another config
    there.mkdir()
    write_config(there, volumes)
    (there / "config.yaml").write_text(text.replace(image, "nowhere.h5"))
    assert ends(apart(tmp_path, there)) == [2, 2]
    assert f"on {socket.gethostname()}: nowhere.h5: no such file." in said(tmp_path, 0)
    (there / "config.yaml").write_text(text.replace("seed: 3", "seed: 4"))
    assert ends(apart(tmp_path, there)) == [2, 2]
    assert "num_nodes: not all processes have the same config: " in said(tmp_path, 0)
    assert said(there, 1) == ""
    assert runs(tmp_path) == []


def apart(here: Path, there: Path) -> list[subprocess.Popen[bytes]]:
    """Two machines with folders of their own."""
    port, processes = str(free_port()), []
    for rank, folder in enumerate((here, there)):
        meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "NODE_RANK": str(rank)}
        command = [sys.executable, "driver.py", "--config", "config.yaml"]
        with (folder / f"{rank}.out").open("wb") as out:
            process = subprocess.Popen(
                command, cwd=folder, env=os.environ | meet, stdout=out, stderr=out
            )
        processes.append(process)
    STARTED.extend(processes)
    return processes


@pytest.mark.slow
def test_torchrun_starts_it_on_two_machines(tmp_path, volumes):
    write_config(tmp_path, volumes)
    port, processes = str(free_port()), []
    for rank in (0, 1):
        command = [
            sys.executable, "-m", "torch.distributed.run", "--nnodes", "2",
            "--nproc-per-node", "1", "--node-rank", str(rank), "--master-addr", "127.0.0.1",
            "--master-port", port, "driver.py", "--config", "config.yaml",
        ]  # fmt: skip
        with (tmp_path / f"{rank}.out").open("wb") as out:
            processes.append(subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=out))
    STARTED.extend(processes)
    assert ends(processes) == [0, 0], said(tmp_path, 0)
    (run,) = runs(tmp_path)
    assert read_checkpoint(run / "checkpoints" / "last.ckpt").facts.step == 4
