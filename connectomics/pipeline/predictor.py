"""A network that is ready to predict, and what its predictions depend on beside the volume."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from connectomics.config import Config
from connectomics.config.activations import Activated, as_ranges, channels_read
from connectomics.config.checks.channels import ACTIVATIONS
from connectomics.data.processing import ImageStatistics, channel_names, normalize
from connectomics.decoding.steps import SMALL
from connectomics.digests import code_digest, file_digest
from connectomics.errors import CheckpointError, Fault
from connectomics.geometry import Triple
from connectomics.pipeline.by_block.workers import memory_of_job, workers_beside
from connectomics.process.fitting import Memory, Need, memory_of_machine, require_room

if TYPE_CHECKING:
    from torch import nn

    from connectomics.inference.windows import Sliding
    from connectomics.models import Checkpoint

LESS = (
    "Set a smaller inference.window.window_size, inference.window.batch_size=1 or a smaller "
    "system.block_size."
)
"""How predicting needs less memory."""

CODE = ("models", "inference", "data/processing")
"""What turns grey values into probabilities; the reading of voxels shows in the voxels."""


def configured_parts(config: Config) -> dict[str, Any]:
    """What probabilities depend on, as far as the config says it."""
    model, inference = config.model, config.inference.model_dump(mode="json")
    del inference["window"]["batch_size"]  # a matter of memory
    del inference["save_probabilities"]  # they are the same, kept or not
    return {
        "model": model.model_dump(mode="json", exclude={"loss"}),
        "inference": inference,
        "data.image_transform": config.data.image_transform.model_dump(mode="json"),
        "channels": channel_names(config.data.label_transform.targets),
    }


@dataclass(frozen=True)
class Predictor:
    """A network, and how it goes over a volume.

    Attributes:
        network: On its device, in the form that predicts fastest.
        weights: A digest of those of its checkpoint.
        sliding: The window.
        config: Of the stage.
        checkpoint: Where the network comes from.
        small_synapse_nm3: The size of a small synapse among those that it learned from; None where
            that is not known.
        pooled: Grey values of the training volumes, where they are to be used for all volumes.
        said: What has been said of memory, which is the same for many volumes.
    """

    network: nn.Module
    weights: str
    sliding: Sliding
    config: Config
    checkpoint: Path
    pooled: ImageStatistics | None
    small_synapse_nm3: float | None
    said: set[str] = field(default_factory=set)

    def made_with(self) -> dict[str, Any]:
        """What probabilities say of their checkpoint."""
        return {
            "checkpoint": str(self.checkpoint),
            "checkpoint_sha256": file_digest(self.checkpoint),
            **({SMALL: self.small_synapse_nm3} if self.small_synapse_nm3 else {}),
        }

    @property
    def channels(self) -> list[str]:
        """What each channel of probabilities is."""
        return channel_names(self.config.data.label_transform.targets)

    def normalise(self, statistics: ImageStatistics) -> Callable[[np.ndarray], np.ndarray]:
        """Turns grey values into what the network sees, of a volume of such statistics."""
        how = self.config.data.image_transform.normalize
        return partial(normalize, statistics=statistics, mode=how)

    @property
    def gpus(self) -> int:
        """How many GPUs there are to predict on; 0 where it is done on CPUs."""
        import torch

        asked = self.config.system.num_gpus
        if str(self.sliding.device).partition(":")[0] != "cuda":
            return 0
        return torch.cuda.device_count() if asked == "auto" else asked

    def compiles(self, shape: tuple[int, ...]) -> bool:
        """Whether the network is compiled to predict a volume of a shape (Z, Y, X)."""
        from connectomics.inference.compiled import compiles

        return compiles(self.config.optimization.compile, shape, self.sliding)

    def ready_for(self, shape: tuple[int, ...]) -> Predictor:
        """The form in which a volume of a shape (Z, Y, X) is predicted, whole or by block."""
        from connectomics.inference.compiled import compiled

        if not self.compiles(shape):
            return self
        network, sliding = compiled(self.network, self.sliding)
        return replace(self, network=network, sliding=sliding)

    def parts(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """What probabilities of a volume of a shape depend on beside its voxels."""
        return {
            **configured_parts(self.config),
            **({"compiled": True} if self.compiles(shape) else {}),
            "weights": self.weights,
            "statistics of training": self.pooled and self.pooled.as_dict(),
            "precision": str(self.sliding.precision or "float32").removeprefix("torch."),
            "device": str(self.sliding.device).partition(":")[0],
            "version of the code": code_digest(*CODE),
        }


def _weights_digest(network: nn.Module) -> str:
    import torch

    text = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        text.update(f"{name} {array.dtype} {tuple(array.shape)}".encode())
        text.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return text.hexdigest()[:16]


def load_predictor(config: Config, path: Path) -> Predictor:
    """Load the network of a checkpoint, which has to be the one that the config describes.

    Raises:
        CheckpointError: It cannot be read, is of another network, of other channels, or of
            other grey values.
    """
    import torch

    from connectomics.devices import choose_devices, precision_to_predict, threads_of_torch
    from connectomics.inference.build import build_sliding
    from connectomics.models import load_model, read_checkpoint, require_same_architecture
    from connectomics.models.folding import folded

    torch.set_num_threads(threads_of_torch(config.system))
    accelerator, _ = choose_devices(config.system)
    device = torch.device("cuda" if accelerator == "gpu" else "cpu")
    checkpoint = read_checkpoint(path)
    require_same_architecture(checkpoint, config.model)
    _require_same_meaning(checkpoint, config)
    model = load_model(checkpoint, use_ema=config.inference.model.use_ema)
    precision = precision_to_predict(config.optimization.precision, accelerator)
    sliding = build_sliding(config.inference, precision, device)
    pooled, small = checkpoint.facts.statistics, checkpoint.facts.small_synapse_nm3
    statistics = pooled and ImageStatistics.from_dict(pooled.model_dump())
    weights, network = _weights_digest(model), folded(model).to(device)
    return Predictor(network, weights, sliding, config, path, statistics, small)


def require_memory(predictor: Predictor, shape: Triple, block: Triple | None) -> Iterator[str]:
    """Refuse to predict what cannot fit; else say how much memory it takes.

    Args:
        predictor: The network.
        shape: (Z, Y, X) of the volume.
        block: Voxels of a block; None where all is predicted at once.

    Yields:
        A line for the log, and a warning where it is more than is free.

    Raises:
        MachineError: Even the least that it takes is more than there is, on the GPU or here.
    """
    import torch

    from connectomics.devices import memory_of_gpu
    from connectomics.inference.memory import footprint

    sliding, system = predictor.sliding, predictor.config.system
    beside, job = workers_beside(system, predictor.gpus), memory_of_job(system)
    gpu = predictor.gpus > 0
    if system.executor.name == "dask" and not beside and (job is None or gpu):
        return  # other machines have other memories, and other GPUs
    _, y, x = shape
    if block is not None:  # with what the windows see around it
        _, y, x = (
            min(b + 2 * w, n) for b, w, n in zip(block, sliding.window_size, shape, strict=True)
        )
    model = predictor.config.model
    channels = model.in_channels, model.out_channels
    one = footprint(predictor.network, sliding, (y, x), channels=channels)
    need = one.need(apart=gpu, compiled=predictor.compiles(shape))
    where = memory_of_gpu(torch.device("cuda")) if gpu else memory_of_machine()
    if job is not None:  # which takes what this process has taken, too
        total = job if system.num_gpus == 0 else None  # it may have a GPU, where here is none
        where = Memory(
            "a job (system.executor.job.memory)", where.used, max(0, job - where.used), total
        )
    if beside and not gpu:  # each takes what this process has taken, too
        need = Need(beside * (need.predicted + where.used), beside * need.least)
    yield from filter(None, require_room(need, where, "predicting", LESS))


def _require_same_meaning(checkpoint: Checkpoint, config: Config) -> None:
    """Check that a config prepares images and reads channels as the checkpoint's training did."""
    data, channels = config.data, config.model.out_channels
    found = checkpoint.facts.image_transform.model_dump()
    faults = [
        Fault(
            f"data.image_transform.{key}",
            f"{checkpoint.path} was trained with {found[key]}, the config says {value}.",
            "Prepare test images as in training.",
        )
        for key, value in data.image_transform.model_dump().items()
        if found[key] != value
    ]
    named, trained = channel_names(data.label_transform.targets), list(checkpoint.facts.channels)
    if trained and named != trained:
        problem = (
            f"{checkpoint.path} was trained for the channels {', '.join(trained)}; the targets "
            f"of the config make {', '.join(named)}."
        )
        remedy = "Use the config of the run that wrote the checkpoint."
        faults.append(Fault("data.label_transform.targets", problem, remedy))
    read = channels_read(config.inference.model.channel_activations or (), channels)
    taught = channels_read(checkpoint.facts.channel_activations, channels)
    if any(read[channel] != how for channel, how in taught.items() if channel in read):
        problem = (
            f"{checkpoint.path} was trained for {_listed(taught)}; the config reads "
            f"{_listed(read)}."
        )
        remedy = (
            "Unless given, they follow from model.loss.losses. Use the config of the run that "
            "wrote the checkpoint."
        )
        faults.append(Fault(ACTIVATIONS, problem, remedy))
    if faults:
        raise CheckpointError.of(faults)


def _listed(read: Mapping[int, Activated]) -> str:
    """Channels and their activations, as in a config."""
    ranges = as_ranges(sorted(set(read.values())))
    return ", ".join(f'"{start}:{stop}" {activation}' for start, stop, activation in ranges)
