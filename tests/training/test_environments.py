"""Who has started the processes of a training on several machines."""

from __future__ import annotations

import os

import pytest
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from connectomics.errors import ConfigError
from connectomics.process.launchers import without_launchers
from connectomics.training.environments import environment_of

SRUN = {
    "SLURM_JOB_ID": "104711",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_NTASKS": "8",
    "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_NNODES": "2",
    "SLURM_NODELIST": "gpu[07-08]",
}
TORCHRUN = {
    "RANK": "5",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "8",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29500",
}
BY_HAND = {
    "NODE_RANK": "1",
    "LOCAL_RANK": "1",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29500",
}


@pytest.fixture
def variables():
    """Nothing of a launcher is set; what is set meanwhile is gone afterwards."""
    with without_launchers():
        yield os.environ


@pytest.mark.parametrize(
    ("given", "kind", "host", "port"),
    [
        (SRUN, SLURMEnvironment, "gpu07", 19711),
        (TORCHRUN, TorchElasticEnvironment, "10.0.0.1", 29500),
        (BY_HAND, LightningEnvironment, "10.0.0.1", 29500),
        (SRUN | TORCHRUN, TorchElasticEnvironment, "10.0.0.1", 29500),
    ],
    ids=["srun", "torchrun", "by hand", "torchrun in a job"],
)
def test_the_sixth_of_eight_processes(variables, given, kind, host, port):
    variables.update(given)
    found = environment_of(2, ("gpu", 4))
    assert type(found) is kind
    assert (found.global_rank(), found.local_rank(), found.world_size()) == (5, 1, 8)
    assert (found.main_address, found.main_port) == (host, port)
    assert found.creates_processes_externally


def test_slurm_does_not_submit_the_job_again(variables):
    variables.update(SRUN)
    found = environment_of(2, ("gpu", 4))
    assert isinstance(found, SLURMEnvironment)
    assert not found.auto_requeue


def test_one_process_on_each_machine_needs_no_local_number(variables):
    variables.update({name: value for name, value in BY_HAND.items() if name != "LOCAL_RANK"})
    found = environment_of(2, ("cpu", 1))
    assert (found.global_rank(), found.local_rank(), found.world_size()) == (1, 0, 2)


@pytest.mark.parametrize(
    "given",
    [{}, {name: value for name, value in SRUN.items() if name != "SLURM_STEP_ID"}],
    ids=["nobody", "sbatch without srun"],
)
def test_a_command_that_nobody_has_started_everywhere_is_told_how(variables, given):
    variables.update(given)
    with pytest.raises(ConfigError, match="nothing has started this process on each") as raised:
        environment_of(2, ("gpu", 4))
    text = str(raised.value)
    assert "#SBATCH --nodes=2 --ntasks-per-node=4 --gres=gpu:4\n" in text
    assert "srun --kill-on-bad-exit=1 python" in text
    assert "torchrun --nnodes 2 --nproc-per-node 4 --node-rank N" in text


def without(name: str, given: dict[str, str]) -> dict[str, str]:
    return {other: value for other, value in given.items() if other != name}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (SRUN | {"SLURM_NTASKS": "2"}, "4 each are 8 processes, and srun has started 2"),
        (TORCHRUN | {"WORLD_SIZE": "4"}, "4 each are 8 processes, and torchrun has started 4"),
        (TORCHRUN | {"LOCAL_RANK": "4"}, "number 4 of its machine, which has 4"),
        (BY_HAND | {"NODE_RANK": "2"}, "NODE_RANK is 2, and there are 2 machines"),
        (BY_HAND | {"MASTER_PORT": "x"}, "the variable MASTER_PORT is 'x'"),
        (without("MASTER_PORT", BY_HAND), "there is no variable MASTER_PORT"),
        (BY_HAND | {"MASTER_PORT": "70000"}, "MASTER_PORT is 70000, and ports go from 1 to 65535"),
        (TORCHRUN | {"MASTER_PORT": "0"}, "MASTER_PORT is 0"),
        (SRUN | {"MASTER_PORT": "x"}, "the variable MASTER_PORT is 'x'"),
        (TORCHRUN | {"RANK": "8"}, "RANK is 8, and there are 8 processes"),
        (without("MASTER_PORT", TORCHRUN), "there is no variable MASTER_PORT"),
        (without("LOCAL_RANK", BY_HAND), "there is no variable LOCAL_RANK"),
        (without("MASTER_ADDR", TORCHRUN), "there is no variable MASTER_ADDR"),
        (without("SLURM_NTASKS_PER_NODE", SRUN), "Lightning wants --ntasks-per-node"),
    ],
)
def test_what_does_not_fit_is_said_before_anyone_waits(variables, given, message):
    variables.update(given)
    with pytest.raises(ConfigError, match=rf"system\.num_nodes: .*{message}"):
        environment_of(2, ("gpu", 4))
