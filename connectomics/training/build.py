"""From a config to the parts of a training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.strategies import DDPStrategy

import connectomics
from connectomics.checkpoints import FOLDER, LAST
from connectomics.config.channels import channel_range
from connectomics.config.schema import Config
from connectomics.data.datamodule import PatchDataModule
from connectomics.data.processing.build import channel_names, kinds_of_targets, target_channels
from connectomics.devices import choose_precision
from connectomics.losses.build import build_loss
from connectomics.models import NETWORKS, build_model
from connectomics.training.checkpoint import AtomicCheckpointIO
from connectomics.training.compiled_network import CompileNetwork, compiles
from connectomics.training.curves import LogCurves
from connectomics.training.ema import AverageWeights
from connectomics.training.first_error import SpawnedProcesses
from connectomics.training.images import LogImages
from connectomics.training.keeping import KeepCheckpoints
from connectomics.training.module import SynapseModule
from connectomics.training.optimization import build_learning_rate, build_optimizer
from connectomics.training.progress import ShowProgress
from connectomics.training.scores import ScoredChannels
from connectomics.training.sides import WatchSides, remedy
from connectomics.training.stopping import StopOnSignal
from connectomics.training.tensorboard import RunLogger


def build_module(config: Config, data: PatchDataModule) -> SynapseModule:
    """Build the network, its loss, and everything that changes it."""
    optimization = config.optimization
    schedule = optimization.scheduler.model_dump()
    schedule["t_max"] = schedule["t_max"] or optimization.max_steps
    return SynapseModule(
        build_model(config.model),
        build_loss(config.model.loss),
        build_optimizer=partial(
            build_optimizer,
            fused=optimization.precision != "16-mixed",  # it scales gradients itself
            **optimization.optimizer.model_dump(),
        ),
        rate=build_learning_rate(lr=optimization.optimizer.lr, **schedule),
        channels=scored_channels(config),
        facts=checkpoint_facts(config, data),
    )


def scored_channels(config: Config) -> list[ScoredChannels]:
    """Find which channels of the target each activated channel was trained for."""
    outputs = config.model.out_channels
    targets = target_channels(config.data.label_transform.targets)
    kinds = kinds_of_targets(config.data.label_transform.targets)
    scored = []
    ranges = [
        (channel_range(term.pred_slice, outputs), channel_range(term.target_slice, targets))
        for term in config.model.loss.losses
    ]
    for spec in config.inference.model.channel_activations or ():
        start, stop = channel_range(spec.channels, outputs)
        if spec.activation == "softmax":
            found = [t for p, t in ranges if p == (start, stop) and t[1] - t[0] == 1]
            scored += [
                ScoredChannels((start, stop), target, "softmax", kinds[target[0]])
                for target in found[:1]
            ]
        elif spec.activation == "sigmoid":
            for channel in range(start, stop):
                matching = [
                    t[0] + channel - p[0]
                    for p, t in ranges
                    if p[0] <= channel < p[1] and p[1] - p[0] == t[1] - t[0]
                ]
                scored += [
                    ScoredChannels(
                        (channel, channel + 1), (target, target + 1), "sigmoid", kinds[target]
                    )
                    for target in matching[:1]
                ]
    return scored


def checkpoint_facts(config: Config, data: PatchDataModule) -> dict[str, Any]:
    """What a checkpoint says about itself; see `connectomics.models.CheckpointFacts`."""
    transform = config.data.image_transform
    first = data.train[0]
    activations = config.inference.model.channel_activations or ()
    return {
        "version": connectomics.__version__,
        "model": config.model.model_dump(mode="json"),
        "image_transform": transform.model_dump(mode="json"),
        "statistics": first.statistics.as_dict() if transform.statistics == "train" else None,
        "targets": [
            target.model_dump(mode="json") for target in config.data.label_transform.targets
        ],
        "channels": channel_names(config.data.label_transform.targets),
        "channel_activations": [activation.model_dump(mode="json") for activation in activations],
        "resolution": list(first.volume.resolution) if first.volume.resolution else None,
        "inference": config.inference.model_dump(mode="json"),
        "precision": config.optimization.precision,
    }


def build_trainer(
    config: Config,
    module: SynapseModule,
    run_folder: Path,
    devices: tuple[str, int],
    environment: ClusterEnvironment | None = None,
) -> pl.Trainer:
    """Build Lightning's trainer; to Lightning, the whole run is one epoch.

    So patches are prepared while validation runs, and a resumed run stands where it stood.

    Args:
        config: The whole config.
        module: Network, loss, optimizer.
        run_folder: Receives checkpoints and TensorBoard's files.
        devices: "gpu" or "cpu", and how many on each machine.
        environment: What has started a process for each of them, on several machines.
    """
    optimization = config.optimization
    accelerator, number = devices
    nodes = config.system.num_nodes if environment else 1
    several = number * nodes > 1
    logger = RunLogger(run_folder, name="tensorboard", version="", default_hp_metric=False)
    logger.trainer = pl.Trainer(
        accelerator=accelerator,
        devices=number,
        num_nodes=nodes,
        strategy=_strategy(number, environment),
        # Else each GPU would normalise by the few patches of its own; CPUs cannot, and warn.
        sync_batchnorm=accelerator == "gpu" and several,
        precision=choose_precision(optimization.precision, accelerator),
        max_steps=optimization.max_steps,
        max_epochs=-1,
        accumulate_grad_batches=optimization.accumulate_grad_batches,
        gradient_clip_val=optimization.gradient_clip_val or None,
        val_check_interval=optimization.n_steps_per_epoch * optimization.accumulate_grad_batches,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        deterministic="warn" if optimization.deterministic else False,
        benchmark=optimization.benchmark and not optimization.deterministic,
        use_distributed_sampler=False,
        logger=logger,
        log_every_n_steps=config.monitor.logging.every_n_steps,
        callbacks=build_callbacks(
            config, module, run_folder / FOLDER, (accelerator, number * nodes)
        ),
        # Not what a scheduler's variables would have it be, nor a checkpoint from where we stand.
        plugins=[AtomicCheckpointIO(), environment or LightningEnvironment()],
        default_root_dir=run_folder,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return logger.trainer


def _strategy(number: int, environment: ClusterEnvironment | None) -> DDPStrategy | str:
    """How processes train together: those that a launcher has started, or new ones here.

    New ones start in Python, not as new runs of the command, which would each make a run folder.
    """
    if environment is not None:
        return DDPStrategy()
    return SpawnedProcesses() if number > 1 else "auto"


def hyperparameters(config: Config) -> dict[str, Any]:
    """What runs are compared by, as plain values."""
    optimization, loader, model = config.optimization, config.data.dataloader, config.model
    rejection = loader.reject_sampling
    return {
        "lr": optimization.optimizer.lr,
        "max_steps": optimization.max_steps,
        "precision": optimization.precision,
        "batch_size": loader.batch_size,
        "patch_size": str(list(loader.patch_size)),
        "size_thres": str(rejection.size_thres if rejection else None),
        "foreground_fraction": loader.foreground_fraction,
        "filters": str(list(NETWORKS[model.arch.type].widths(model.network))),
        "losses": ", ".join(term.function for term in model.loss.losses),
        "seed": config.system.seed,
    }


def build_callbacks(
    config: Config, module: SynapseModule, folder: Path, devices: tuple[str, int]
) -> list[pl.Callback]:
    """Build what happens around the steps. The order matters: what saves comes last.

    Args:
        config: The whole config.
        module: Network, loss, optimizer.
        folder: Of the checkpoints.
        devices: "gpu" or "cpu", and how many on all machines.
    """
    accelerator, processes = devices
    optimization, monitor, loader = config.optimization, config.monitor, config.data.dataloader
    steps = optimization.n_steps_per_epoch
    callbacks: list[pl.Callback] = []
    if (ema := optimization.ema).enabled:
        decay = {"decay": ema.decay, "warmup_steps": ema.warmup_steps}
        callbacks.append(AverageWeights(**decay, validate=ema.validate_with_ema))
    callbacks += _pictures(config, module)
    progress = ShowProgress(
        patches_per_step=loader.batch_size * optimization.accumulate_grad_batches * processes,
        steps_per_epoch=steps,
        every_n_steps=monitor.logging.every_n_steps,
        visible=monitor.progress_bar,
    )
    callbacks += [progress, WatchSides(remedy(config))]
    if compiles(optimization.compile, accelerator, optimization.max_steps):
        shape = (loader.batch_size, config.model.in_channels, *loader.patch_size)
        callbacks.append(CompileNetwork(shape))
    if (stopping := monitor.early_stopping).enabled:
        settings = stopping.model_dump(exclude={"enabled"})
        callbacks.append(
            EarlyStopping(**settings, check_finite=False, check_on_train_epoch_end=False)
        )
    return [
        *callbacks,
        KeepCheckpoints(folder, **monitor.checkpoint.model_dump()),
        StopOnSignal(folder / LAST, steps_per_epoch=steps),
    ]


def _pictures(config: Config, module: SynapseModule) -> list[pl.Callback]:
    """What TensorBoard shows beside the losses."""
    images, shown = config.monitor.logging.images, []
    if images.max_images and module.channels:
        log = LogImages(
            module.channels,
            every_n_validations=images.every_n_epochs,
            max_images=images.max_images,
            num_slices=images.num_slices,
        )
        shown.append(log)
    return [*shown, LogCurves(module.channels, hyperparameters(config))]
