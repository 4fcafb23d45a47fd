"""Predicting says how much memory it takes, and refuses what can never fit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from connectomics.config.schema import SystemSection
from connectomics.errors import MachineError
from connectomics.inference.memory import footprint
from connectomics.inference.windows import Sliding
from connectomics.models import RSUNet
from connectomics.pipeline import predictor as room
from connectomics.process.fitting import Memory


def predictor(window=(4, 16, 16), batch_size=1, **system) -> Any:
    model = SimpleNamespace(in_channels=1, out_channels=3)
    config = SimpleNamespace(system=SystemSection.model_validate(system), model=model)
    sliding = Sliding(window, batch_size=batch_size, activation=torch.sigmoid, device="cpu")
    network = RSUNet(1, 3, filters=(4, 8), down_factors=((1, 2, 2),))
    rest = {"gpus": 0, "compiles": lambda _: False}
    return cast(Any, SimpleNamespace(network=network, sliding=sliding, config=config, **rest))


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    machine = Memory("this machine", 0, 2**30, 2**30)
    monkeypatch.setattr(room, "memory_of_machine", lambda: machine)


def lines(shape, block=None, **settings) -> list[str]:
    return list(room.require_memory(predictor(**settings), shape, block))


def test_it_is_said():
    (line,) = lines((8, 64, 64))
    assert line.startswith("memory: 0.1 GiB predicted of the 1.0 GiB of this machine")


def test_what_may_not_fit_is_warned_of_and_what_cannot_is_refused():
    wide = (8, 6000, 6000)  # sums of 4 x 6000 x 6000 in three channels: 1.6 GiB
    with pytest.raises(MachineError, match=r"at least 2\.\d GiB.*\n.*system\.block_size"):
        lines(wide)
    assert len(lines((8, 3500, 3500))) == 2  # finished sums have room no more
    assert len(lines(wide, block=(8, 128, 128))) == 1


def test_a_batch_of_windows_counts_as_far_as_there_are_windows():
    def predicted(extent, batch_size):
        one = predictor(window=(16, 64, 64), batch_size=batch_size)
        return footprint(one.network, one.sliding, extent, channels=(1, 3)).windows.peak

    assert predicted((256, 256), 8) > 7 * predicted((256, 256), 1)
    assert predicted((64, 64), 8) == predicted((64, 64), 1)


def test_each_worker_takes_its_own():
    several = {"name": "processes", "workers": 30}
    assert len(lines((8, 64, 64), block=(8, 64, 64), executor=several)) == 2


def test_each_worker_takes_what_python_takes_too(monkeypatch):
    taken = Memory("this machine", 2**28, 2**40, 2**40)
    monkeypatch.setattr(room, "memory_of_machine", lambda: taken)
    for name in ("processes", "dask"):
        (line,) = lines((8, 64, 64), executor={"name": name, "workers": 31})
        gib = float(line.split()[1])
        assert 8 < gib < 12  # a quarter of a GiB for each and for this one, and some windows


def test_other_machines_have_other_memories():
    elsewhere = {"name": "dask", "scheduler": "tcp://10.0.0.1:8786"}
    assert lines((8, 9000, 9000), executor=elsewhere) == []


def test_a_job_has_the_memory_it_asks_for():
    def of(gb: int, **more: Any) -> list[str]:
        job = {"memory": f"{gb}GB"}
        slurm = {"name": "dask", "cluster": "slurm", "workers": 2, "job": job}
        return lines((8, 6000, 6000), executor=slurm, **more)

    (line,) = of(16, num_gpus=0)
    assert "of the 14.9 GiB of a job (system.executor.job.memory)" in line
    with pytest.raises(MachineError, match=r"takes at least 2\.\d GiB, and a job \(system"):
        of(2, num_gpus=0)
    _, warning = of(2)  # a job may have a GPU, where this machine has none
    assert "memory may run out" in warning
