"""From a config to a trained network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import nn

import connectomics
from connectomics.checkpoints import FOLDER, LAST
from connectomics.config.checks.training import watched_scores
from connectomics.config.schema import Config
from connectomics.data.build import Given, build_datamodule
from connectomics.data.counting import Counted, lack_of
from connectomics.data.datamodule import PatchDataModule
from connectomics.data.kept import Kept
from connectomics.devices import (
    choose_devices,
    choose_precision,
    crowded_cpus,
    slow_precision,
    threads_of_torch,
)
from connectomics.digests import digest
from connectomics.errors import CheckpointError, ConfigError, ConnectomicsError, DataError
from connectomics.models import read_checkpoint, take_weights
from connectomics.naming import seen_from_here
from connectomics.process.cpus import use_threads
from connectomics.process.failures import machine_error
from connectomics.training.build import build_module, build_trainer
from connectomics.training.checkpoint import require_resumable
from connectomics.training.compiled_network import notes_on_speed
from connectomics.training.heads import start_heads
from connectomics.training.keeping import best_checkpoints
from connectomics.training.machines import ALONE, Processes
from connectomics.training.memory import require_memory
from connectomics.training.module import SynapseModule
from connectomics.training.progress import quiet_lightning
from connectomics.training.stopping import supervising

APART = (
    "each process normalises by its own patches alone (batch normalisation): with few patches "
    "a process, use group or instance."
)


@dataclass(frozen=True)
class FitResult:
    """What training leaves.

    Attributes:
        last: The checkpoint of the last step.
        best: The best by `monitor.checkpoint`, or None if none was kept.
        step: Optimizer steps done.
        metrics: The last scores, `val_loss` and `val_dice` among them.
    """

    last: Path
    best: Path | None
    step: int
    metrics: dict[str, float]

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.last.parents[1]


@dataclass(frozen=True)
class Training:
    """A training that is ready to run; made by `prepare`.

    Attributes:
        config: The whole config.
        devices: "gpu" or "cpu", and how many.
        module: Network, loss, optimizer.
        data: The volumes, read or ready to be.
        resume_from: The checkpoint to go on from, or None.
        notes: What was decided for the user, and why.
        warnings: What is likely to be in the way of learning.
        processes: Those that train together, where they are of several machines.
    """

    config: Config
    devices: tuple[str, int]
    module: SynapseModule
    data: PatchDataModule
    resume_from: Path | None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    processes: Processes = ALONE

    def run(self, run_folder: Path) -> FitResult:
        """Train to the last step.

        Args:
            run_folder: Receives `checkpoints/`, `tensorboard/` and `measured/`.

        Raises:
            DataError: The disk is full, or the loss is no longer a number.
            TrainingStopped: A signal to stop came; the state is saved.
        """
        folder, processes = run_folder / FOLDER, self.processes
        processes.of_first(lambda: self.data.kept.keep(run_folder))
        with quiet_lightning(), processes.variables():
            rank_zero_only.rank = processes.rank  # of those started here Lightning sets it itself
            trainer = build_trainer(
                self.config, self.module, run_folder, self.devices, processes.environment
            )
            if trainer.world_size > processes.count:
                self.data.release()
            started_here = processes.environment is None
            watch = supervising(trainer, folder / LAST) if started_here else nullcontext()
            with self._resuming(), watch:
                trainer.fit(self.module, self.data, ckpt_path=self.resume_from)
            return processes.of_first(lambda: _result(folder, self.config))

    def facts(self, config_yaml: str) -> dict[str, str]:
        """What processes that train together have to share; see `Processes.require_same`.

        Args:
            config_yaml: The document that reproduces the run.
        """
        volumes = [(one.shape, one.statistics.as_dict()) for one in self.data.train]
        found = {
            "config": digest(config_yaml),
            "version of connectomics": connectomics.__version__,
            "version of PyTorch": torch.__version__,
            "optimization.precision": self.config.optimization.precision,
            "volumes (shapes, grey values)": digest(volumes),
        }
        if self.resume_from is not None:
            with self.resume_from.open("rb") as file:
                found["checkpoint"] = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        return found

    @contextmanager
    def _resuming(self) -> Iterator[None]:
        """Say of what goes wrong before the first step that it is the checkpoint's fault."""
        try:
            yield
        except (ConnectomicsError, OSError):
            raise
        except Exception as error:
            if self.resume_from is None or self.module.began or machine_error(error):
                raise
            raise CheckpointError(
                str(self.resume_from),
                f"training cannot go on from it ({type(error).__name__}: {error}).",
                "Its optimizer, schedule or loops are damaged; go on from another checkpoint.",
            ) from error


def prepare(
    config: Config,
    *,
    resume_from: Path | None = None,
    given: Given | None = None,
    processes: Processes = ALONE,
) -> Training:
    """Get everything ready for training, and find whatever would prevent it.

    Args:
        config: The whole config, with derived values.
        given: Volumes to take in place of those that the config names.
        resume_from: A checkpoint to go on from: weights, optimizer, schedule, moving average,
            random state and the place in the sequence of patches. Settings come from the
            config. Started from the same config, a run that was interrupted ends with the
            same weights as one that was not.
        processes: This one and those of other machines.

    Raises:
        ConfigError: The machine or the settings do not allow it.
        DataError: The volumes do not.
        CheckpointError: `resume_from` is no checkpoint, or one of another network.
        MachineError: There is not the memory for it.
    """
    if config.system.num_nodes > 1 and processes.environment is None:
        problem = "several machines train together by the command line alone."
        raise ConfigError("system.num_nodes", problem, "Leave it out, or start the command.")
    devices = choose_devices(config.system, config.optimization.precision)
    wanted = config.optimization.precision
    config = _with_precision(config, choose_precision(wanted, devices[0]))
    if resume_from is not None:
        require_resumable(read_checkpoint(resume_from), config)
    if config.system.num_threads is not None:
        use_threads(config.system.num_threads)
    torch.set_num_threads(threads_of_torch(config.system))
    pl.seed_everything(config.system.seed, verbose=False)
    kept = Kept(resume_from and seen_from_here(resume_from.absolute().parents[1]))
    data = build_datamodule(
        config.data,
        seed=config.system.seed,
        given=given,
        processes=devices[1] * config.system.num_nodes,
        kept=kept,
    )
    module = build_module(config, data)
    initial = config.model.initial_weights if resume_from is None else None
    taken = take_weights(module.network, initial) if initial else None
    data.setup()  # reads the volumes, and says what is wrong with them
    module.facts["small_synapse_nm3"] = data.small_synapse_nm3
    _require_masks_count(module, data)
    _require_scores(module, config, looks=_what_is_looked_at(data))
    memory, scarce = require_memory(config, module, devices, masked=data.with_mask)
    notes = [*data.notes, *kept.notes(), memory]
    if wanted == "auto":
        notes.append(f"precision auto is {config.optimization.precision} on this {devices[0]}")
    notes += notes_on_speed(config, devices[0])
    several = devices[1] * config.system.num_nodes > 1
    apart = devices[0] == "cpu" and several and _has_batch_norm(module.network)
    warnings = [*data.warnings, *slow_precision(wanted, devices[0])]
    warnings += crowded_cpus(config.system, devices[0])
    warnings += [*([APART] if apart else []), *([scarce] if scarce else [])]
    if resume_from is None:
        notes += [taken.describe()] if taken else []
        notes += start_heads(module, config, data, taken)
    return Training(
        config, devices, module, data, resume_from, tuple(notes), tuple(warnings), processes
    )


def fit(config: Config, run_folder: Path, *, resume_from: Path | None = None) -> FitResult:
    """Train a network: `prepare`, then `Training.run`, which see."""
    return prepare(config, resume_from=resume_from).run(run_folder)


def _has_batch_norm(network: nn.Module) -> bool:
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in network.modules())


def _with_precision(config: Config, precision: str) -> Config:
    optimization = config.optimization.model_copy(update={"precision": precision})
    return config.model_copy(update={"optimization": optimization})


def _require_masks_count(module: SynapseModule, data: PatchDataModule) -> None:
    if data.with_mask and not getattr(module.loss, "takes_weight", True):
        raise ConfigError(
            "model.loss.losses",
            "some voxels do not count, and a loss here cannot leave voxels out.",
            "Use WeightedBCEWithLogitsLoss, WeightedCE or DiceLoss.",
        )


def _what_is_looked_at(data: PatchDataModule) -> Counted:
    """What counts in the volumes of validation.

    Raises:
        DataError: In those, or in those of training, there is nothing to learn from.
    """
    learned, looked_at = data.counted()
    train, val = ([one.volume for one in part] for part in (data.learned, data.looked_at))
    if fault := lack_of(learned, "data.train", train):
        raise DataError.of([fault])
    if fault := lack_of(looked_at, "data.val, or what data.val_fraction holds back", val):
        if looked_at is Counted.NOTHING:
            raise DataError.of([fault])
        data.warnings.append(str(fault))
    return looked_at


def _require_scores(module: SynapseModule, config: Config, *, looks: Counted) -> None:
    """Check that what is watched can be computed."""
    for key, section in watched_scores(config).items():
        if section.monitor != "val_dice":
            continue
        where, remedy = f"{key}.monitor", "Monitor val_loss"
        if not module.channels:
            problem = "no loss says what an activated channel stands for"
            remedy += ", or set inference.model.channel_activations"
        elif looks is not Counted.FOREGROUND:
            problem = "nothing is labelled in what training validates on"
            remedy += ", or name labelled volumes in data.val"
        else:
            continue
        raise ConfigError(where, f"val_dice cannot be computed: {problem}.", f"{remedy}.")


def _result(folder: Path, config: Config) -> FitResult:
    last, keep = folder / LAST, config.monitor.checkpoint
    facts = read_checkpoint(last).facts
    best = best_checkpoints(folder, keep.monitor, keep.mode)
    return FitResult(last, best[0].path if best else None, facts.step, facts.metrics)
