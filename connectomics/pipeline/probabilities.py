"""The probabilities of a volume: predicted from a checkpoint, at once or block by block."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from connectomics.blocks import Shard
from connectomics.data.build import HeldOut
from connectomics.data.cache_key import CacheKey
from connectomics.data.io import open_volume
from connectomics.data.io.hdf5_write import write_place
from connectomics.data.io.sharded import place_store
from connectomics.files import atomic_path
from connectomics.geometry import Triple
from connectomics.keeping import replacing
from connectomics.pipeline.artifact import Artifact, known_volumes
from connectomics.pipeline.by_block.choosing import block_of
from connectomics.pipeline.by_block.counting import VOLUMES
from connectomics.pipeline.by_block.lost import restore_coarser
from connectomics.pipeline.by_block.predicting import mend_by_block, predict_by_block
from connectomics.pipeline.by_block.workers import shard_of
from connectomics.pipeline.predicted import Predicted
from connectomics.pipeline.predictor import Predictor
from connectomics.pipeline.results import PROBABILITIES, VolumeResults
from connectomics.runs import Provenance


@dataclass(frozen=True)
class Probabilities(Artifact):
    """The probabilities of one volume.

    Attributes:
        predicted: What they are, and what they depend on.
        results: Where they go.
        provenance: How they come about.
    """

    predicted: Predicted
    results: VolumeResults
    provenance: Provenance
    stage: ClassVar[str] = "infer"
    making: ClassVar[str] = "predicting"

    @property
    def path(self) -> Path:
        """In the form they are there."""
        return self.results.probabilities

    @property
    def in_progress(self) -> Path:
        """See `Artifact`, as for all."""
        return self.results.in_progress(PROBABILITIES)

    @property
    def shard(self) -> Shard | None:
        """By the config."""
        return shard_of(self.predicted.config.system)

    @property
    def block_is_given(self) -> bool:
        """By the config."""
        return self.predicted.config.system.block_size is not None

    def block(self) -> Triple | None:
        """By what predicting takes of memory."""
        return block_of(self.predicted.predictor, self.predicted.volume, self.results)

    def key(self, block: Triple | None) -> CacheKey:
        """Voxels, weights, settings, numerics and code."""
        return self.predicted.key(block)

    def refresh(self) -> bool:
        """Give them the voxel size and offset that their volume has by now.

        And the name of their checkpoint, where one of the same weights was saved anew.
        """
        volume, made_with = self.predicted.volume, self.predicted.predictor.made_with()
        with open_volume(self.path) as there:
            placed = there.grid == volume.grid
            known = there.attributes.get("checkpoint_sha256") == made_with["checkpoint_sha256"]
        if not placed:
            print(f"infer: {self.path} gets the voxel size and the offset of {volume.name}")
        if self.path.is_dir() and not (placed and known):
            place_store(self.path, volume.grid, attributes=made_with)
        elif not (placed and known):
            with atomic_path(self.path) as copy:
                shutil.copyfile(self.path, copy)
                write_place(copy, volume.grid, attributes=made_with)
        return False

    def make(self, key: CacheKey, block: Triple | None) -> bool:
        """Predict them.

        Raises:
            DataError: The volume cannot be read, or they cannot be written.
            MachineError: There is not the memory for it.
        """
        predicted, results = self.predicted, self.results
        volume, (path, by_block) = predicted.volume, results.forms(PROBABILITIES)
        predicted.announce(block)
        print(f"infer: {volume.name} {volume.shape} → {by_block if block else path}")
        about = self.provenance.one_text()
        attributes = {
            **key.attributes(),
            "source": volume.name,
            **predicted.predictor.made_with(),
            "synthetic": volume.synthetic,
        }
        if block is not None:
            attributes["channels"] = predicted.predictor.channels
            whole = predict_by_block(predicted, results, block, attributes=attributes, about=about)
            if whole:
                self.refresh()  # they may have been begun where the volume lay elsewhere
            return whole
        predicted = replace(predicted, predictor=predicted.predictor.ready_for(volume.shape))
        began = time.perf_counter()
        stale = [by_block, *results.of_probabilities()]
        with replacing(path, stale=stale, about={results.config(path): about}) as (new,):
            _write_at_once(predicted, new, attributes)
        rate = math.prod(volume.shape) / (time.perf_counter() - began)
        print(f"infer: done, {rate:,.0f} voxels/s")
        return True

    def mending(self) -> Callable[[Triple], bool]:
        """See `Artifact`."""
        return self._mend

    def _mend(self, block: Triple) -> bool:
        self.predicted.announce(block)
        whole = mend_by_block(self.predicted, self.results, block)
        if whole:
            restore_coarser(self.path)
            self.refresh()
        return whole


def probabilities_of(
    predictor: Predictor, held: HeldOut, results: VolumeResults, provenance: Provenance
) -> Probabilities:
    """The probabilities of a volume in its folder.

    Args:
        predictor: The network.
        held: The volume, and the one by whose grey values it is measured.
        results: The folder.
        provenance: How they come about.
    """
    known = known_volumes(results.probabilities, results.in_progress(PROBABILITIES))
    predicted = Predicted(predictor, held, known, results.in_progress(VOLUMES))
    return Probabilities(predicted, results, provenance)


def _write_at_once(predicted: Predicted, path: Path, attributes: dict[str, Any]) -> None:
    from connectomics.inference.build import write_probabilities

    predictor = predicted.predictor
    write_probabilities(
        path,
        predictor.network,
        predicted.volume.image,
        predictor.sliding,
        normalise=predictor.normalise(predicted.measured()),
        channels=predictor.channels,
        dtype=predicted.config.inference.save_dtype,
        grid=predicted.grid,
        attributes=attributes,
    )
