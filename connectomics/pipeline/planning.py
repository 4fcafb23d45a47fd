"""`--plan`: what a test would take, said before anything starts. Nothing is written."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from connectomics.blocks import BlockGrid
from connectomics.config import Config, Resolved
from connectomics.data.build import open_split
from connectomics.data.checks import check_data
from connectomics.data.processing import ImageStatistics, normalize
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import ConfigError, DataError
from connectomics.geometry import Box, Triple
from connectomics.pipeline.by_block import SMALLEST, workers_of
from connectomics.pipeline.predicting import block_of
from connectomics.pipeline.predictor import Predictor, load_predictor, require_memory
from connectomics.pipeline.results import (
    require_checkpoint,
    results_of_volumes,
    run_of,
)
from connectomics.process.memory import peak_memory
from connectomics.process.progress import in_words

MODES = ("infer", "test")


def plan(resolved: Resolved, checkpoint: Path | None) -> None:
    """Print blocks, bytes, memory, disk and time of what `infer` or `test` would do.

    One block, from the middle of the largest volume, is predicted to know how long that takes.

    Raises:
        ConfigError: The mode is another.
        DataError: Everything that is wrong with the files.
    """
    config = resolved.config
    if resolved.mode not in MODES:
        problem = f"is for the modes {' and '.join(MODES)}, not for {resolved.mode}."
        raise ConfigError("--plan", problem, "Leave it out, or name one of these modes.")
    checkpoint = require_checkpoint(checkpoint, config.save_path, resolved.mode)
    if faults := check_data(config.data, "infer"):
        raise DataError.of(faults)
    predictor = load_predictor(config, checkpoint)
    run = run_of(checkpoint, config.save_path)
    volumes = open_split(config.data.test, "data.test")
    largest = max(volumes, key=lambda volume: math.prod(volume.shape))
    seconds = 0.0
    for volume, results in results_of_volumes(run.results, volumes):
        size = block_of(predictor, volume, results)
        seconds = seconds or _seconds_of_window(predictor, largest, size or SMALLEST)
        for line in _lines(predictor, volume, size, seconds):
            print(line)
    print(f"plan: peak memory of a worker {_gib(peak_memory())}, measured in this process")
    print(f"plan: disk {_gib(sum(_disk(config, one.shape) for one in volumes))} at most, ", end="")
    print(f"before compression; {_gib(_free(run.path))} are free")


def _lines(
    predictor: Predictor, volume: LabelledVolume, size: Triple | None, seconds: float
) -> Iterator[str]:
    config, shape = predictor.config, volume.shape
    grid = BlockGrid(shape, size or shape)
    windows, read = _work(predictor, grid)
    alone, _ = _work(predictor, BlockGrid(shape, shape))
    workers = workers_of(config.system, predictor.gpus)
    text = " x ".join
    how = "at once" if size is None else f"{len(grid)} blocks of {text(map(str, grid.block))}"
    again = f", {windows / alone:.2f} times those of the whole" if size else ""
    yield f"plan: {volume.name} {shape}: {how}, {windows:,} windows{again}"
    written = math.prod(shape) * config.model.out_channels * _bytes(config.inference.save_dtype)
    yield (
        f"plan:   infer reads {_gib(read * volume.image.dtype.itemsize)}, writes {_gib(written)} "
        f"of {config.inference.save_dtype}, takes {in_words(windows * seconds / workers)} with "
        f"{workers} worker{'s' if workers > 1 else ''} as fast as this one"
    )
    yield from (f"plan:   {line}" for line in require_memory(predictor, shape, size))
    yield f"plan:   decode reads {_gib(written)}, writes up to {_gib(4 * math.prod(shape))}"


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


def _seconds_of_window(predictor: Predictor, volume: LabelledVolume, size: Triple) -> float:
    """Predict a block from the middle of a volume."""
    from connectomics.inference.by_block import predict_block, windows_of

    grid = BlockGrid(volume.shape, size)
    box: Box = grid.at([n // 2 for n in grid.counts]).box
    transform = predictor.config.data.image_transform
    statistics = ImageStatistics(0.0, 255.0, 128.0, 64.0)  # the time does not depend on them
    windows = windows_of(box, volume.shape, predictor.sliding)
    predictor = predictor.ready_for(volume.shape)
    began = time.perf_counter()
    image = normalize(volume.image.read(windows.hull), statistics, transform.normalize)
    predict_block(predictor.network, image, windows, predictor.sliding, where=volume.image.source)
    seconds = time.perf_counter() - began
    rate = box.size / seconds
    print(f"plan: a block of {box.shape} took {seconds:.1f} s here, {rate:,.0f} voxels/s")
    return seconds / windows.count


def _disk(config: Config, shape: Triple) -> int:
    of_voxel = config.model.out_channels * _bytes(config.inference.save_dtype) + 4
    return of_voxel * math.prod(shape)


def _bytes(dtype: str) -> int:
    return np.dtype(dtype).itemsize


def _free(folder: Path) -> int:
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    return shutil.disk_usage(there).free


def _gib(count: float) -> str:
    return f"{count / 2**30:,.2f} GiB"
