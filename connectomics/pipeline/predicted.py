"""Probabilities that are not there yet: what they depend on, and how they are predicted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from connectomics.blocks import Ledger
from connectomics.config import Config
from connectomics.data.build import HeldOut, measure
from connectomics.data.cache_key import CacheKey
from connectomics.data.identity import Identity, identify
from connectomics.data.io import LazyVolume
from connectomics.data.processing import ImageStatistics
from connectomics.data.volumes import LabelledVolume, Volume
from connectomics.geometry import Box, Nm, Triple, VoxelGrid
from connectomics.pipeline.artifact import NOTES, with_block
from connectomics.pipeline.by_block.counting import known_by_block, noted_by_block
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
        held: The volume, and the one by whose grey values it is measured.
        known: What is known of them, by an earlier run.
        begun: Where is kept what was read of them to know them, until all of it is.
    """

    predictor: Predictor
    held: HeldOut
    known: Mapping[str, Identity]
    begun: Path

    @property
    def volume(self) -> LabelledVolume:
        """The volume."""
        return self.held.volume

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

    @cached_property
    def _read(self) -> dict[str, Identity]:
        """What has been identified."""
        return {}

    def key(self, block: Triple | None) -> CacheKey:
        """What they depend on, by the (z, y, x) voxels of a block; None where there are none."""
        named = {"image": self.volume.image, "measured": self.held.whole.image}
        if block is not None and self.volume.mask is not None:
            named["mask"] = self.volume.mask  # where it is 0, nothing is predicted
        with self._shared_out(partial(known_by_block, self.begun, kept=False)):
            for name, volume in named.items():
                if name not in self._read:
                    assert isinstance(volume, LazyVolume)
                    self._read[name] = identify(volume, self.known.get(name))
        volumes = {name: self._read[name] for name in named}
        parts = self.predictor.parts(self.volume.shape)
        contents = {_WORDS[name]: one.content for name, one in volumes.items()}
        return CacheKey(with_block({**parts, **contents}, block), volumes)

    def measured(self) -> ImageStatistics:
        """The grey values to normalise by, which takes reading the volume."""
        transform, pooled = self.config.data.image_transform, self.predictor.pooled
        (statistics,) = measure([self.held.whole], transform, pooled)
        return statistics

    def read(self) -> np.ndarray:
        """Predict all of them."""
        from connectomics.inference.build import predict_stored

        self.announce(None)
        predictor = self.predictor.ready_for(self.volume.shape)
        return predict_stored(
            predictor.network,
            self.volume.image,
            predictor.sliding,
            normalise=predictor.normalise(self.measured()),
            dtype=self.config.inference.save_dtype,
        )

    def close(self) -> None:
        """As a volume on the disk; there is nothing to close."""

    def announce(self, block: Triple | None) -> None:
        """Say how much memory it takes, or refuse what there is not the memory for."""
        said = self.predictor.said
        if not said:  # of the first volume
            self._warn_of_crowded_cpus()
        for line in require_memory(self.predictor, self.volume.shape, block):
            if line not in said:
                print(f"infer: {line}")
            said.add(line)

    def _warn_of_crowded_cpus(self) -> None:
        from connectomics.devices import crowded_cpus

        system = self.config.system
        if system.executor.name != "this_process":
            return  # workers have threads as CPUs are left for each
        for warning in crowded_cpus(system, "gpu" if self.predictor.gpus else "cpu"):
            print(f"infer: warning: {warning}", file=sys.stderr)

    def box_of(self, ledger: Ledger) -> PredictBox:
        """Predicts boxes, in whatever process, by grey values that the first run has measured."""
        notes = ledger.of(NOTES)
        if (known := notes.facts("statistics")) is None:
            with self._shared_out(partial(noted_by_block, ledger)):
                known = self.measured().as_dict()
            notes.mark("statistics", known)
        return PredictBox(
            self.config,
            self.predictor.checkpoint,
            self.volume.image,
            self.volume.mask,
            ImageStatistics.from_dict(known),
            self.predictor,
        )

    def _shared_out(
        self, by_block: Callable[..., AbstractContextManager[None]]
    ) -> AbstractContextManager[None]:
        """Within it volumes are read by whoever works on blocks.

        A shard reads them by itself: it has to wait for others else, and be started again.
        """
        system = self.config.system
        return nullcontext() if system.shard else by_block(system=system, what="infer")


_WORDS = {"image": "voxels", "measured": "voxels measured", "mask": "mask"}


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
        dtype = self.config.inference.save_dtype
        predicted = predict_stored_block(
            self.predictor.network,
            self.image,
            box,
            self.predictor.sliding,
            normalise=self.predictor.normalise(self.statistics),
            dtype=dtype,
            mask=self.mask,
        )
        if predicted is not None:
            return predicted, False
        return nothing_there(self.predictor.channels, box.shape, dtype), True

    def read(self, box: Box) -> np.ndarray:
        """The probabilities of a box, as of a volume that is there."""
        return self(box)[0]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "predictor": None, "ready": False}
