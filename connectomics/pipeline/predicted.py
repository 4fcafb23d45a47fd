"""Probabilities that are not there yet: what they depend on, and how they are predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from connectomics.blocks import Ledger
from connectomics.config import Config
from connectomics.data.build import HeldOut, measure
from connectomics.data.cache_key import CacheKey
from connectomics.data.identity import Identity, identify
from connectomics.data.io import LazyVolume
from connectomics.data.processing import ImageStatistics, channel_names, normalize
from connectomics.data.volumes import LabelledVolume, Volume
from connectomics.geometry import Box, Nm, Triple, VoxelGrid
from connectomics.pipeline.in_progress import NOTES, with_block
from connectomics.pipeline.predictor import (
    Predictor,
    configured_parts,
    load_predictor,
    require_memory,
)

PREDICTED_WITH = "predicted_with"
"""What labels say of the settings of probabilities that are not there to say it."""


@dataclass(frozen=True)
class Predicted:
    """The probabilities of a volume, which are nowhere until they are read.

    Attributes:
        predictor: The network.
        volume: The volume.
        measured: Measures the grey values to normalise by, which takes reading the volume.
        key: What the probabilities depend on, by the size of blocks (None for all at once).
    """

    predictor: Predictor
    volume: LabelledVolume
    measured: Callable[[], Sequence[ImageStatistics]]
    key: Callable[[Triple | None], CacheKey]

    @property
    def config(self) -> Config:
        """Of the stage."""
        return self.predictor.config

    @property
    def source(self) -> str:
        """What messages call them."""
        return f"probabilities of {self.volume.source}"

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, Z, Y, X)."""
        return (self.config.model.out_channels, *self.volume.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """As they would be stored."""
        return np.dtype(self.config.inference.save_dtype)

    @property
    def grid(self) -> VoxelGrid:
        """Where their voxels lie."""
        return self.volume.grid

    @property
    def resolution(self) -> Nm | None:
        """Nm per voxel (z, y, x)."""
        return self.grid.resolution

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What their file would say of itself, as far as labels say it after them."""
        return {
            **self.predictor.made_with(),
            PREDICTED_WITH: configured_parts(self.config),
            "synthetic": self.volume.synthetic,
        }

    def read(self) -> np.ndarray:
        """Predict all of them."""
        from connectomics.inference.build import predict_stored

        self.announce(None)
        (statistics,) = self.measured()
        predictor = self.predictor.ready_for(self.volume.shape)
        how = self.config.data.image_transform.normalize
        return predict_stored(
            predictor.network,
            self.volume.image,
            predictor.sliding,
            normalise=partial(normalize, statistics=statistics, mode=how),
            dtype=self.config.inference.save_dtype,
        )

    def announce(self, block: Triple | None) -> None:
        """Say how much memory it takes, or refuse what there is not the memory for."""
        for line in require_memory(self.predictor, self.volume.shape, block):
            print(f"infer: {line}")

    def box_of(self, ledger: Ledger) -> PredictBox:
        """Predicts boxes, in whatever process."""
        return PredictBox(
            self.config,
            self.predictor.checkpoint,
            self.volume.image,
            self.volume.mask,
            statistics_of(ledger, self.measured),
            self.predictor,
        )


def to_be_predicted(
    predictor: Predictor, held: HeldOut, known: Mapping[str, Identity]
) -> Predicted:
    """The probabilities of a volume.

    Args:
        predictor: The network.
        held: The volume, and the one by whose grey values it is measured.
        known: What is known of them, by an earlier run.
    """
    volume = held.volume
    return Predicted(
        predictor,
        volume,
        partial(measure, [held.whole], predictor.config.data.image_transform, predictor.pooled),
        cache(partial(key_of_probabilities, predictor.parts(volume.shape), held, known)),
    )


def key_of_probabilities(
    common: Mapping[str, Any],
    held: HeldOut,
    known: Mapping[str, Identity],
    block: Triple | None,
) -> CacheKey:
    """What the probabilities of a volume depend on.

    Args:
        common: What those of all volumes do.
        held: The volume.
        known: What is known of it and of others, by an earlier run.
        block: (z, y, x) voxels of a block; None where it is predicted at once.
    """
    named = {"image": held.volume.image, "measured": held.whole.image}
    if block is not None and held.volume.mask is not None:
        named["mask"] = held.volume.mask  # where it is 0, nothing is predicted
    volumes = {name: identify(_on_disk(one), known.get(name)) for name, one in named.items()}
    contents = {_WORDS[name]: one.content for name, one in volumes.items()}
    return CacheKey(with_block({**common, **contents}, block), volumes)


_WORDS = {"image": "voxels", "measured": "voxels measured", "mask": "mask"}


def _on_disk(volume: Volume) -> LazyVolume:
    assert isinstance(volume, LazyVolume)
    return volume


@dataclass
class PredictBox:
    """Predicts a box as it is stored, in whatever process; loads the network at the first one.

    Attributes:
        config: Of the stage.
        checkpoint: The network.
        image: The whole volume.
        mask: 0 where nothing is asked for.
        statistics: The grey values by which the volume is normalised.
        predictor: The network, once it is loaded; it does not travel.
        ready: Whether it is in the form that predicts this volume.
    """

    config: Config
    checkpoint: Path
    image: Volume
    mask: Volume | None
    statistics: ImageStatistics
    predictor: Predictor | None = None
    ready: bool = False

    @property
    def source(self) -> str:
        """What messages call it."""
        return self.image.source

    def __call__(self, box: Box) -> tuple[np.ndarray, bool]:
        """(C, z, y, x) of a box, and whether there was nothing to predict in it."""
        from connectomics.inference.build import nothing_there, predict_stored_block

        if self.predictor is None:
            self.predictor = load_predictor(self.config, self.checkpoint)
        if not self.ready:
            self.predictor, self.ready = self.predictor.ready_for(self.image.shape), True
        normalise = partial(
            normalize, statistics=self.statistics, mode=self.config.data.image_transform.normalize
        )
        dtype = self.config.inference.save_dtype
        predicted = predict_stored_block(
            self.predictor.network,
            self.image,
            box,
            self.predictor.sliding,
            normalise=normalise,
            dtype=dtype,
            mask=self.mask,
        )
        if predicted is not None:
            return predicted, False
        channels = channel_names(self.config.data.label_transform.targets)
        return nothing_there(channels, box.shape, dtype), True

    def read(self, box: Box) -> np.ndarray:
        """The probabilities of a box, as of a volume that is there."""
        return self(box)[0]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "predictor": None, "ready": False}


def statistics_of(
    ledger: Ledger, measured: Callable[[], Sequence[ImageStatistics]]
) -> ImageStatistics:
    """The grey values of a volume, measured by the first run that needs them."""
    notes = ledger.of(NOTES)
    known = notes.facts("statistics")
    if known is not None:
        return ImageStatistics.from_dict(known)
    (statistics,) = measured()
    notes.mark("statistics", statistics.as_dict())
    return statistics
