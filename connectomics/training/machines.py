"""Training on several machines: processes that a launcher has started find each other.

SLURM's `srun`, torchrun, or variables set by hand say which of them this one is. Lightning reads
that by its cluster environments, and PyTorch's process group connects them. What goes wrong in one
ends all, and is said by the first.
"""

from __future__ import annotations

import os
import pickle
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from torch import distributed
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from connectomics.config.schema import Config
from connectomics.devices import choose_devices
from connectomics.errors import ConfigError, ConnectomicsError, Fault, MachineError
from connectomics.process.launchers import with_launchers, without_launchers
from connectomics.process.outcome import SaidElsewhere
from connectomics.process.progress import say
from connectomics.process.signals import Stopped, listening
from connectomics.training.environments import environment_of
from connectomics.training.first_error import OF_ANOTHER, as_bytes

T = TypeVar("T")

TIMEOUT = timedelta(minutes=30)
"""How long processes wait for each other, where no closed connection tells that one is gone; as
Lightning and PyTorch do by themselves."""

MOMENT = 1.0
"""Seconds for the first process to say what another one leaves to it."""

ENDED = "connectomics/ended"
"""Where the process that an error ended first says so."""

_NETWORK = (
    "Start the same command on every machine, where MASTER_ADDR and MASTER_PORT can be reached. "
    "Of several networks, GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME name one."
)
_LOOK = (
    "Look at what it said, and at what its machine says. The checkpoints of the run are whole: "
    "go on from the last with the same command and --checkpoint RUN."
)


@dataclass(frozen=True)
class Processes:
    """The processes of a training, and which of them this is; unless told, it is the only one.

    Attributes:
        rank: Its number among all.
        count: How many there are.
        environment: What Lightning knows them by; None for a training on one machine.
        store: What all can read and write.
    """

    rank: int = 0
    count: int = 1
    environment: ClusterEnvironment | None = None
    store: Store | None = None

    def variables(self) -> Any:
        """What the environment has to be like during training."""
        return without_launchers() if self.environment is None else nullcontext()

    def together(self, make: Callable[[], T]) -> T:
        """Make something in each process, or end all of them where one cannot.

        Raises:
            ConnectomicsError: In the first process; of another process, with its machine.
            SaidElsewhere: In the others.
        """
        if self.environment is None:
            return make()
        made, error = None, None
        try:
            made = make()
        except Exception as raised:
            error = raised
        said = self._gather(None if error is None else _with_machine(error))
        if not any(said):
            return made  # pyright: ignore[reportReturnType]
        if self.rank:
            raise SaidElsewhere(2)
        if error is not None:
            raise error
        raise next(_on(*pickle.loads(one)) for one in said if one)

    def of_first(self, make: Callable[[], T]) -> T:
        """Make something in the first process, for all."""
        if self.environment is None:
            return make()
        made = [self.together(make if self.rank == 0 else lambda: None)]
        distributed.broadcast_object_list(made, src=0)
        return made[0]  # pyright: ignore[reportReturnType]

    def require_same(self, facts: Mapping[str, str]) -> None:
        """Refuse to train together what is not the same training.

        Raises:
            ConfigError: Something differs; in the first process.
            SaidElsewhere: In the others.
        """
        first, *others = self._gather((socket.gethostname(), dict(facts)))
        for host, found in others:
            for name, value in found.items():
                if value != first[1][name]:
                    if self.rank:
                        raise SaidElsewhere(2)
                    here = f"{value} on {host} and {first[1][name]} on {first[0]}"
                    problem = f"not all processes have the same {name}: {here}."
                    remedy = "Start the same command on every machine, on the same files."
                    raise ConfigError("system.num_nodes", problem, remedy)

    def _gather(self, value: Any) -> list[Any]:
        values = [value] * self.count
        if self.environment is not None:
            distributed.all_gather_object(values, value)
        return values

    def ended_by(self, error: Exception) -> BaseException:
        """What to raise for an error that ends this process.

        Returns:
            The error itself where it was here; else what is known of the process where it was, or
            `SaidElsewhere`.
        """
        of_another, why = lost(error), self._why(error)
        if self.rank and (of_another or why):
            return SaidElsewhere(2) if why else _gone(error)
        if of_another:
            return MachineError("training", f"{why}", _LOOK) if why else _gone(error)
        if self.rank:
            say(f"train: process {self.rank} of {self.count}, on {socket.gethostname()}:")
        return error

    def _why(self, error: Exception) -> str:
        """What another process has ended by before this one; empty if this is the first."""
        assert self.store is not None
        with suppress(RuntimeError):  # the machine that keeps this may be gone
            self.store.set_timeout(timedelta(seconds=10))
            if self.store.add(ENDED, 1) > 1:
                return self.store.get(f"{ENDED}/why").decode()
            here = f"process {self.rank} of {self.count}, on {socket.gethostname()}, has ended it"
            text = _gone(error) if lost(error) else error
            self.store.set(f"{ENDED}/why", f"{here}: {text}")
        return ""


ALONE = Processes()


@contextmanager
def joined(config: Config) -> Iterator[Processes]:
    """Be one of the processes of a training, if there are to be several.

    But the first, they are silent.

    Args:
        config: The whole config.

    Raises:
        ConfigError: Nothing has started the others, or not as many as are wanted.
        MachineError: They do not find each other.
    """
    nodes = config.system.num_nodes
    if nodes == 1:
        yield ALONE
        return
    devices = choose_devices(config.system, config.optimization.precision)
    with with_launchers():
        environment = environment_of(nodes, devices)
        processes = _meet(environment, devices[0])
        try:
            with _silent() if processes.rank else nullcontext():
                yield processes
        except SaidElsewhere:
            time.sleep(MOMENT)  # a launcher ends the others with the first that ends
            raise
        except Stopped as stopped:
            if processes.rank:
                raise SaidElsewhere(stopped.code) from None
            raise
        except Exception as error:
            raise processes.ended_by(error) from error
        distributed.destroy_process_group()  # after an error it might wait for those that are gone


def _meet(environment: ClusterEnvironment, accelerator: str) -> Processes:
    """Wait for the other processes, and connect to them."""
    rank, count, local = (
        environment.global_rank(), environment.world_size(), environment.local_rank(),
    )  # fmt: skip
    host, port = environment.main_address, environment.main_port
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = host, str(port)
    if rank == 0:
        say(f"train: {count} processes meet at {host}:{port}")
    device = None
    if accelerator == "gpu":
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    try:
        # PyTorch waits without looking at signals; they may end what has not begun
        with listening(signal.SIG_DFL):  # pyright: ignore[reportArgumentType]
            store, *_ = next(rendezvous("env://", rank, count, timeout=TIMEOUT))
            distributed.init_process_group(
                "nccl" if accelerator == "gpu" else "gloo",
                store=store,
                rank=rank,
                world_size=count,
                timeout=TIMEOUT,
                device_id=device,
            )
    except RuntimeError as error:
        problem = f"process {rank} of {count} does not find the others at {host}:{port}: {error}"
        raise MachineError("system.num_nodes", problem, _NETWORK) from error
    return Processes(rank, count, environment, store)


@contextmanager
def _silent() -> Iterator[None]:
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def lost(error: Exception) -> bool:
    """Whether an error only says that another process does not answer."""
    if isinstance(error, distributed.DistError):
        return True
    return isinstance(error, RuntimeError) and bool(OF_ANOTHER.search(str(error)))


def _gone(error: Exception) -> MachineError:
    said = re.sub(r"^\[\S+\] |\. This is typically.*", "", str(error).splitlines()[0])
    return MachineError("training", f"another process is gone, or does not answer: {said}.", _LOOK)


def _with_machine(error: Exception) -> bytes:
    """An error with the machine where it was; one that cannot travel as what it says."""
    one = as_bytes(error) or as_bytes(RuntimeError(f"{type(error).__name__}: {error}"[:1000]))
    return pickle.dumps((socket.gethostname(), one))


def _on(host: str, one: bytes) -> Exception:
    """An error of another machine, which it names."""
    error: Exception = pickle.loads(one)
    if isinstance(error, ConnectomicsError):
        faults = error.faults
        return type(error).of(Fault(f.where, f"on {host}: {f.problem}", f.remedy) for f in faults)
    error.add_note(f"on {host}")
    return error
