"""Which of the processes of a training this one is, as SLURM, torchrun or a person has said."""

from __future__ import annotations

import os

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from connectomics.errors import ConfigError

WHERE = "system.num_nodes"

BY_HAND = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
BY_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
BY_SLURM = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NODEID")


def environment_of(nodes: int, devices: tuple[str, int]) -> ClusterEnvironment:
    """Find out who has started this process, and check that the others are those that are wanted.

    Args:
        nodes: How many machines are to train together.
        devices: "gpu" or "cpu", and how many processes on each.

    Raises:
        ConfigError: Nobody has, or not as many.
    """
    count = devices[1]
    starter = _starter()
    if starter is None:
        problem = f"{nodes} machines train together, and nothing has started this process on each."
        raise ConfigError(WHERE, problem, how_to_start(nodes, devices))
    if starter != "srun" and count == 1:
        os.environ.setdefault("LOCAL_RANK", "0")
    _require_numbers(starter, nodes, count, how_to_start(nodes, devices))
    match starter:
        case "srun":
            return SLURMEnvironment(auto_requeue=False)
        case "torchrun":
            return TorchElasticEnvironment()
    environment = LightningEnvironment()
    environment.set_world_size(nodes * count)
    environment.set_global_rank(environment.node_rank() * count + environment.local_rank())
    return environment


def how_to_start(nodes: int, devices: tuple[str, int]) -> str:
    """Say how the command is started on each machine."""
    kind, count = devices
    gpus = f" --gres=gpu:{count}" if kind == "gpu" else ""
    return (
        "With SLURM, in the script given to sbatch:\n"
        f"    #SBATCH --nodes={nodes} --ntasks-per-node={count}{gpus}\n"
        "    srun --kill-on-bad-exit=1 python scripts/main.py --config FILE\n"
        "  or on each machine, with its number as N:\n"
        f"    torchrun --nnodes {nodes} --nproc-per-node {count} --node-rank N \\\n"
        "        --master-addr HOST --master-port 29500 scripts/main.py --config FILE"
    )


def _starter() -> str | None:
    if {"RANK", "WORLD_SIZE"} <= os.environ.keys():
        return "torchrun"
    if {"MASTER_ADDR", "NODE_RANK"} <= os.environ.keys():
        return "hand"
    if {"SLURM_PROCID", "SLURM_STEP_ID"} <= os.environ.keys():  # a script has a number, but no step
        return "srun"
    return None


def _require_numbers(starter: str, nodes: int, count: int, remedy: str) -> None:
    """Check what a launcher has said before Lightning reads it, or waits for what does not come."""
    names = {"torchrun": BY_TORCHRUN, "hand": BY_HAND, "srun": BY_SLURM}[starter]
    names = names if starter == "srun" else (*names, "LOCAL_RANK")
    if starter != "srun" and "MASTER_ADDR" not in os.environ:
        raise ConfigError(WHERE, "there is no variable MASTER_ADDR.", remedy)
    numbers = {name: _number(name) for name in names if name != "MASTER_ADDR"}
    local = numbers["SLURM_LOCALID" if starter == "srun" else "LOCAL_RANK"]
    started = {"torchrun": "WORLD_SIZE", "srun": "SLURM_NTASKS"}.get(starter)
    found = numbers[started] if started else nodes * count
    if found != nodes * count:
        each = f"{nodes} machines with {count} each are {nodes * count} processes"
        raise ConfigError(WHERE, f"{each}, and {starter} has started {found}.", _alike(remedy))
    if local >= count:
        problem = f"this process is number {local} of its machine, which has {count}."
        raise ConfigError(WHERE, problem, _alike(remedy))
    if starter == "hand" and not 0 <= numbers["NODE_RANK"] < nodes:
        problem = f"NODE_RANK is {numbers['NODE_RANK']}, and there are {nodes} machines."
        raise ConfigError(WHERE, problem, f"They are counted from 0 to {nodes - 1}.")
    rank = {"torchrun": "RANK", "srun": "SLURM_PROCID"}.get(starter)
    if rank and numbers[rank] >= found:
        problem = f"{rank} is {numbers[rank]}, and there are {found} processes."
        raise ConfigError(WHERE, problem, f"They are counted from 0 to {found - 1}.")
    if "MASTER_PORT" in os.environ and not 0 < (port := _number("MASTER_PORT")) < 2**16:
        problem = f"MASTER_PORT is {port}, and ports go from 1 to {2**16 - 1}."
        raise ConfigError(WHERE, problem, "Give all processes one that is free, such as 29500.")
    if starter == "srun" and "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise ConfigError(WHERE, "Lightning wants --ntasks-per-node of SLURM.", remedy)


def _alike(remedy: str) -> str:
    return (
        "GPUs are those that each process sees: let it see all of its machine (--gres, and not "
        f"--gpus-per-task).\n  {remedy}"
    )


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    if not value.isdecimal():
        problem = f"the variable {name} is {value!r}." if value else f"there is no variable {name}."
        others = ", ".join((*BY_HAND, "LOCAL_RANK"))
        raise ConfigError(WHERE, problem, f"Without srun and torchrun, set {others}.")
    return int(value)
