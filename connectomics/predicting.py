"""From a checkpoint to the probability volumes of a run, unless they are there already."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectomics.config import Config
from connectomics.config.schema import DataSection
from connectomics.data.build import HeldOut, measure
from connectomics.data.processing import ImageStatistics, channel_names, normalize
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import CheckpointError, Fault
from connectomics.results import KEY, VolumeResults, digest, is_made_from, replacing, state_of

if TYPE_CHECKING:
    from torch import nn

    from connectomics.inference.predict import Sliding
    from connectomics.models import Checkpoint


@dataclass(frozen=True)
class Predictor:
    """A network, and how it goes over a volume.

    Attributes:
        network: On its device.
        sliding: The window.
        config: Of the stage.
        checkpoint: Where the network comes from.
        pooled: Grey values of the training volumes, where they are to be used for all volumes.
    """

    network: nn.Module
    sliding: Sliding
    config: Config
    checkpoint: Path
    pooled: ImageStatistics | None

    def predict(self, volumes: Sequence[tuple[HeldOut, VolumeResults]]) -> None:
        """Write the probabilities of volumes, each into its folder.

        Raises:
            DataError: A volume cannot be read, or its probabilities cannot be written.
        """
        made_from = digest(
            self.checkpoint,
            self.config.inference.model_dump(mode="json"),
            self.config.data.image_transform.model_dump(mode="json"),
        )
        transform = self.config.data.image_transform
        statistics = measure([held.whole for held, _ in volumes], transform, self.pooled)
        for ((volume, whole), results), measured in zip(volumes, statistics, strict=True):
            key = digest(made_from, state_of(volume.image), state_of(whole.image))
            if is_made_from(results.probabilities, key):
                print(f"infer: {results.probabilities} is up to date")
                continue
            normalise = partial(normalize, statistics=measured, mode=transform.normalize)
            self._write(volume, results.probabilities, key, normalise)

    def _write(
        self, volume: LabelledVolume, path: Path, key: str, normalise: Callable[..., Any]
    ) -> None:
        from connectomics.inference.build import write_probabilities

        print(f"infer: {volume.name} {volume.shape} → {path}")
        began = time.perf_counter()
        with replacing(path) as (new,):
            write_probabilities(
                new,
                self.network,
                volume.image,
                self.sliding,
                normalise=normalise,
                channels=channel_names(self.config.data.label_transform.targets),
                dtype=self.config.inference.save_dtype,
                resolution=volume.resolution,
                offset_nm=volume.offset_nm,
                attributes={
                    KEY: key,
                    "source": volume.name,
                    "checkpoint": str(self.checkpoint),
                    "synthetic": volume.synthetic,
                },
            )
        rate = math.prod(volume.shape) / (time.perf_counter() - began)
        print(f"infer: done, {rate:,.0f} voxels/s")


def load_predictor(config: Config, path: Path) -> Predictor:
    """Load the network of a checkpoint, which has to be the one that the config describes.

    Raises:
        CheckpointError: It cannot be read, is of another network, of other channels, or of
            other grey values.
    """
    import torch

    from connectomics.inference.build import build_sliding
    from connectomics.models import load_model, read_checkpoint, require_same_architecture
    from connectomics.training import choose_devices, choose_precision

    accelerator, _ = choose_devices(config.system)
    device = torch.device("cuda" if accelerator == "gpu" else "cpu")
    checkpoint = read_checkpoint(path)
    require_same_architecture(checkpoint, config.model)
    _require_same_data(checkpoint, config.data)
    model = load_model(checkpoint, use_ema=config.inference.model.use_ema)
    precision = choose_precision(config.optimization.precision, accelerator)
    sliding = build_sliding(config.inference, precision, device)
    pooled = checkpoint.facts.statistics
    statistics = pooled and ImageStatistics.from_dict(pooled.model_dump())
    return Predictor(model.to(device), sliding, config, path, statistics)


def _require_same_data(checkpoint: Checkpoint, data: DataSection) -> None:
    """Check that a config names channels, and prepares images, as the checkpoint's training did."""
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
    if faults:
        raise CheckpointError.of(faults)
