"""`--plan`: what a test would take, said before anything starts. Nothing is written."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from connectomics.blocks import BlockGrid
from connectomics.config import Config, Resolved
from connectomics.data.build import open_split
from connectomics.data.checks import check_data
from connectomics.data.io.pyramid import share_of_levels
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import ConfigError, DataError
from connectomics.geometry import Triple
from connectomics.pipeline.by_block.choosing import (
    SMALLEST,
    block_of,
    block_of_labels,
    block_to_decode,
)
from connectomics.pipeline.by_block.counting import FEW_VOXELS
from connectomics.pipeline.by_block.workers import memory_of_job, shard_of, workers_of
from connectomics.pipeline.comparing import open_probabilities
from connectomics.pipeline.labels import predicted_for
from connectomics.pipeline.plan_samples import (
    Sample,
    evaluated_sample,
    middle,
    predicted_sample,
    seconds_to_decode,
)
from connectomics.pipeline.predictor import Predictor, load_predictor, require_memory
from connectomics.pipeline.result_folders import asked_of, existing_results, results_of_volumes
from connectomics.pipeline.results import require_checkpoint, run_of
from connectomics.process.fitting import Memory, Need, require_room
from connectomics.process.memory import peak_memory
from connectomics.process.progress import in_words

MODES = ("infer", "decode", "test")


def plan(resolved: Resolved, checkpoint: Path | None) -> None:
    """Print blocks, bytes, memory, disk and time of what `infer`, `decode` or `test` would do.

    One block, from the middle of the largest volume, is done to know how long that takes.

    Raises:
        ConfigError: The mode is another.
        DataError: Everything that is wrong with the files.
        MachineError: A job of a cluster has not the memory that the block took.
    """
    config = resolved.config
    if resolved.mode not in MODES:
        problem = f"is for the modes {', '.join(MODES)}, not for {resolved.mode}."
        raise ConfigError("--plan", problem, "Leave it out, or name one of these modes.")
    if resolved.mode == "decode" and config.inference.save_probabilities:
        run, total = run_of(checkpoint, config.save_path), _plan_decoding(resolved, checkpoint)
    else:
        checkpoint = require_checkpoint(checkpoint, config.save_path, resolved.mode)
        run, total = run_of(checkpoint, config.save_path), _plan_predicting(resolved, checkpoint)
    for line in _lines_of_memory(config, total.may_be_less):
        print(f"plan: {line}")
    free = _gib(_free(run.path))
    print(f"plan: disk {_gib(total.disk)} at most, before compression; {free} are free")
    least = "at least " if total.unknown else ""
    print(f"plan: in all {least}{in_words(total.seconds)}{total.without}")


@dataclass
class Total:
    """What all volumes take.

    Attributes:
        disk: Bytes.
        seconds: As far as they are known.
        unknown: Whether some are not.
        without: What is not among them, for the message.
        may_be_less: Whether workers may take less memory than this process has taken.
    """

    disk: float = 0.0
    seconds: float = 0.0
    unknown: bool = False
    without: str = ""
    may_be_less: bool = False

    def add(self, seconds: float) -> str:
        """Add a time, and put it in words."""
        if math.isnan(seconds):
            self.unknown = True
            return "a time that no block tells"
        self.seconds += seconds
        return in_words(seconds)


def _lines_of_memory(config: Config, may_be_less: bool) -> Iterator[str]:
    """What a worker takes, and whether a job has that."""
    peak, job = peak_memory(), memory_of_job(config.system)
    yield f"peak memory of a worker {_gib(peak)}, measured in this process"
    if job is None:
        return
    where = Memory("a job", 0, job, None if may_be_less else job)
    remedy = (
        f"Ask for it in system.executor.job.memory, such as {math.ceil(peak / 1e9) + 1}GB, or set "
        "a smaller system.block_size."
    )
    yield from filter(None, require_room(Need(peak, peak), where, "a block", remedy))


def _plan_predicting(resolved: Resolved, checkpoint: Path) -> Total:
    """Print what predicting takes, and decoding and scores where they come next."""
    config, decodes = resolved.config, resolved.mode != "infer"
    if faults := check_data(config.data, "infer"):
        raise DataError.of(faults)
    predictor = load_predictor(config, checkpoint)
    run = run_of(checkpoint, config.save_path)
    volumes = open_split(config.data.test, "data.test")
    largest = max(volumes, key=lambda volume: math.prod(volume.shape))
    sample: Sample | None = None
    # Where there is no GPU here, jobs may have some, and then predict there.
    total = Total(may_be_less=config.system.num_gpus != 0 and not predictor.gpus)
    for volume, results in results_of_volumes(run.results, volumes):
        if config.inference.save_probabilities:
            size = block_of(predictor, volume, results)
        else:
            size = block_of_labels(predicted_for(predictor, volume, results), results)
        sample = sample or predicted_sample(predictor, largest, size or SMALLEST, decodes)
        for line in _lines(predictor, volume, size, sample, total):
            print(line)
        read = sample.kept * _bytes_of(config, volume.shape)
        more = share_of_levels(volume.shape, size, volume.resolution)
        if config.inference.save_probabilities:
            total.disk += more * read
        elif size is not None:
            total.disk += read
        if decodes:
            print(_line_of_decoding(config, volume.shape, read, more, sample.decoding, total))
    if resolved.mode == "test" and config.evaluation.enabled:
        total.without = ", but for the report"
        _plan_evaluation(config, volumes, largest, total)
    return total


def _plan_evaluation(
    config: Config, volumes: Sequence[LabelledVolume], largest: LabelledVolume, total: Total
) -> None:
    """Print what scores take."""
    if any(volume.label is None for volume in volumes):
        return  # a test refuses that
    sample = evaluated_sample(config, largest)
    for volume in volumes:
        assert volume.label is not None
        voxels = math.prod(volume.shape)
        read = voxels * (volume.label.dtype.itemsize + LABEL_BYTES)
        workers, who = _who(config) if voxels > FEW_VOXELS else (1, "this process")
        seconds = (2 * sample.begin + sample.counting) * voxels / workers
        print(
            f"plan: {volume.name}: evaluate reads truth and labels once to know them and "
            f"{sample.passes} times to count, {_gib((1 + sample.passes) * read)}, takes "
            f"{total.add(seconds)} with {who}"
        )


def _plan_decoding(resolved: Resolved, checkpoint: Path | None) -> Total:
    """Print what decoding probabilities that are there takes."""
    config, split = resolved.config, resolved.config.data.test
    run = run_of(checkpoint, config.save_path)
    total, seconds = Total(), math.nan
    for asked, results in existing_results(run.results, asked_of(split)):
        with open_probabilities(asked, results) as volume:
            depth, height, width = volume.shape[-3:]
            shape = depth, height, width
            size = block_to_decode(volume, results, config.system)
            if math.isnan(seconds):
                box = middle(BlockGrid(shape, size or SMALLEST))
                seconds = seconds_to_decode(config, volume.read(box), volume.resolution)
            how = _how(BlockGrid(shape, size or shape), size)
            print(f"plan: {asked.name} {shape}: {how}")
            read = math.prod(volume.shape) * volume.dtype.itemsize
        more = share_of_levels(shape, size, volume.resolution)
        print(_line_of_decoding(config, shape, read, more, seconds, total))
    return total


LABEL_BYTES = 4
"""Of a voxel of the labels, before compression."""


def _line_of_decoding(
    config: Config, shape: Triple, read: float, more: float, seconds: float, total: Total
) -> str:
    (workers, who), voxels = _who(config), math.prod(shape)
    labels = more * LABEL_BYTES * voxels
    total.disk += labels
    written = f"decode reads {_gib(read)}, writes up to {_gib(labels)}"
    duration = total.add(seconds * voxels / workers)
    if math.isnan(seconds):
        return f"plan:   {written}; how long it takes, that block does not tell"
    return (
        f"plan:   {written}, takes {duration} with {who}; more where there are more "
        "synapses than in that block"
    )


def _lines(
    predictor: Predictor,
    volume: LabelledVolume,
    size: Triple | None,
    sample: Sample,
    total: Total,
) -> Iterator[str]:
    config, shape = predictor.config, volume.shape
    grid = BlockGrid(shape, size or shape)
    windows, read = _work(predictor, grid)
    alone, _ = _work(predictor, BlockGrid(shape, shape))
    workers, who = _who(config, predictor.gpus)
    again = f", {windows / alone:.2f} times those of the whole" if size else ""
    counted = _counted(windows, "window")
    yield f"plan: {volume.name} {shape}: {_how(grid, size)}, {counted}{again}"
    voxels, of_voxel = math.prod(shape), volume.image.dtype.itemsize
    shared = size is not None and voxels > FEW_VOXELS and config.system.shard is None
    readers, by_whom = _who(config) if shared else (1, "this process")
    yield (
        f"plan:   at the start it is read twice, to know it and its grey values: "
        f"{_gib(2 * voxels * of_voxel)}, takes {total.add(sample.begin * voxels / readers)} with "
        f"{by_whom}"
    )
    kept = share_of_levels(shape, size, volume.resolution) * _bytes_of(config, shape)
    written = f"writes {_gib(kept)} of {config.inference.save_dtype}"
    if not config.inference.save_probabilities:
        written = "keeps no probabilities"
        if size is not None:
            written += f", but {sample.kept:.0%} of their voxels until all is decoded"
    yield (
        f"plan:   infer reads {_gib(read * of_voxel)}, {written}, takes "
        f"{total.add(windows * sample.window / workers)} with {who} as fast as this one"
    )
    yield from (f"plan:   {line}" for line in require_memory(predictor, shape, size))


def _who(config: Config, gpus: int = 0) -> tuple[int, str]:
    """How many work on blocks, those of all shards together, and how to say that."""
    workers, shard = workers_of(config.system, gpus), shard_of(config.system)
    who = _counted(workers, "worker")
    if shard is None:
        return workers, who
    return workers * shard.count, f"{_counted(shard.count, 'shard')} of {who} each"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number > 1 else ''}"


def _how(grid: BlockGrid, size: Triple | None) -> str:
    if size is None:
        return "at once"
    return f"{_counted(len(grid), 'block')} of {' x '.join(map(str, grid.block))}"


def _work(predictor: Predictor, grid: BlockGrid) -> tuple[int, int]:
    """How many windows the network sees for all blocks, and how many voxels are read for them.

    Both are products of what is so along each axis.
    """
    from connectomics.inference.by_block import windows_of

    windows, voxels = 1, 1
    for axis, count in enumerate(grid.counts):
        places = [[i if a == axis else 0 for a in range(3)] for i in range(count)]
        found = [windows_of(grid.at(p).box, grid.shape, predictor.sliding) for p in places]
        windows *= sum(len(one.axes[axis].starts) for one in found)
        voxels *= sum(one.hull.shape[axis] for one in found)
    return windows, voxels


def _bytes_of(config: Config, shape: Triple) -> int:
    """Of the probabilities of a volume."""
    of_voxel = config.model.out_channels * np.dtype(config.inference.save_dtype).itemsize
    return of_voxel * math.prod(shape)


def _free(folder: Path) -> int:
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    return shutil.disk_usage(there).free


def _gib(count: float) -> str:
    return f"{count / 2**30:,.2f} GiB"
