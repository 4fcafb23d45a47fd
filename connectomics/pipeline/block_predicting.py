"""Probabilities of a volume, block by block: in this process, in others, or on other machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from connectomics.blocks import (
    BlockGrid,
    Facts,
    Ledger,
    Task,
    discard,
    facts_of_file,
    open_ledger,
    run_tasks,
    working_on,
)
from connectomics.config import Config
from connectomics.data.io.sharded import ShardedStore, create_sharded
from connectomics.data.origin import Origin
from connectomics.data.processing import ImageStatistics, channel_names, normalize
from connectomics.data.volumes import LabelledVolume, Volume
from connectomics.geometry import Box, Triple
from connectomics.keeping import set_aside
from connectomics.pipeline.block_size import NOTES, note_volumes
from connectomics.pipeline.by_block import describe, executor_of, shard_of, unfinished
from connectomics.pipeline.results import PROBABILITIES, VolumeResults
from connectomics.process.signals import unbroken

if TYPE_CHECKING:
    from connectomics.pipeline.predictor import Predictor


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
        from connectomics.pipeline.predictor import load_predictor

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


@dataclass(frozen=True)
class PredictBlocks:
    """Predicts a block and writes it."""

    predict: PredictBox
    store: ShardedStore

    def __call__(self, task: Task) -> Facts:
        """Do one block."""
        assert task.box is not None
        predicted, empty = self.predict(task.box)
        return {**facts_of_file(self.store.write(task.box, predicted)), "empty": empty}


def is_intact(store: ShardedStore, task: Task, facts: Facts) -> bool:
    """Whether the file of a block is as long as it was; what is in it is summed up inside."""
    assert task.box is not None
    file = store.file_of(task.box)
    return file.is_file() and file.stat().st_size == facts.get("bytes")


def predict_by_block(
    predictor: Predictor,
    volume: LabelledVolume,
    results: VolumeResults,
    *,
    block: Triple,
    origin: Origin,
    measured: Callable[[], Sequence[ImageStatistics]],
    attributes: Mapping[str, Any],
    about: str,
) -> bool:
    """Write the probabilities of a volume block by block, or go on with that.

    Args:
        predictor: The network.
        volume: The volume.
        results: Its folder.
        block: (z, y, x) voxels of a block.
        origin: What the probabilities depend on.
        measured: Measures the grey values to normalise by, which takes reading the volume.
        attributes: What the store shall say of itself.
        about: How the probabilities come about.

    Returns:
        Whether they are there now; one shard alone does not put them there.

    Raises:
        DataError: Some blocks failed; all others are done. Or blocks were begun with other parts.
        MachineError: Another command works on them.
    """
    config, folder = predictor.config, results.begun(PROBABILITIES)
    system, grid = config.system, BlockGrid(volume.shape, block)
    channels = channel_names(config.data.label_transform.targets)
    with working_on(folder, shard_of(system)):
        ledger = open_ledger(folder, origin.parts, "probabilities")
        note_volumes(ledger, origin.volumes)
        statistics = statistics_of(ledger, measured)
        store = create_sharded(
            folder / f"{PROBABILITIES}.zarr",
            (len(channels), *volume.shape),
            config.inference.save_dtype,
            block,
            resolution=volume.resolution,
            offset_nm=volume.offset_nm,
            attributes={**attributes, "channels": channels},
        )
        image, mask = volume.image, volume.mask
        predict = PredictBox(config, predictor.checkpoint, image, mask, statistics, predictor)
        tally = run_tasks(
            lambda: grid,
            PredictBlocks(predict, store),
            ledger,
            what="infer",
            executor=executor_of(system, predictor.gpus),
            shard=shard_of(system),
            intact=partial(is_intact, store),
            retries=system.executor.retries,
        )
        print(f"infer: {describe(tally, system)}{said_of_empty(tally.counts.get('empty', 0))}")
        if system.shard:
            print(unfinished(_missing(grid, ledger), "infer"))
            return False
        store.finish()
        _finish(store, results, about)
        discard(folder)
    return True


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


def said_of_empty(count: int) -> str:
    """Blocks that were not predicted have to be said: a network might have seen something there."""
    if not count:
        return ""
    return (
        f"; {count} of them are empty (the image is 0 in all that their windows see, or the mask "
        "is), and have probability 0"
    )


def _missing(grid: BlockGrid, ledger: Ledger) -> int:
    fresh = Ledger(ledger.folder, ledger.stage)
    return sum(not fresh.is_done(one.name) for one in grid)


@unbroken
def _finish(store: ShardedStore, results: VolumeResults, about: str) -> None:
    """Put a whole store in the place of earlier probabilities, which are kept."""
    _, final = results.forms(PROBABILITIES)
    there = [path for path in results.forms(PROBABILITIES) if path.exists()]
    if there:
        others = [results.config(final), *results.of_probabilities()]
        set_aside(results.folder, [*there, *(path for path in others if path.exists())])
    store.path.rename(final)
    results.config(final).write_text(about, encoding="utf-8")
