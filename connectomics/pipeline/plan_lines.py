"""What a plan says of predicting, and what is said of any work in it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from connectomics.blocks import BlockGrid
from connectomics.config import Config
from connectomics.data.io.pyramid import share_of_levels
from connectomics.data.volumes import LabelledVolume
from connectomics.geometry import Triple
from connectomics.pipeline.by_block.counting import FEW_VOXELS
from connectomics.pipeline.by_block.workers import shard_of, workers_of
from connectomics.pipeline.plan_begun import Begun
from connectomics.pipeline.plan_samples import Sample
from connectomics.pipeline.predictor import Predictor, require_memory
from connectomics.process.progress import in_words


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


@dataclass(frozen=True)
class Work:
    """What predicting blocks takes.

    Attributes:
        windows: How many the network sees.
        read: Voxels that are read for them.
        voxels: Of the blocks.
    """

    windows: int
    read: int
    voxels: int


def work_of(predictor: Predictor, grid: BlockGrid, left: np.ndarray | None = None) -> Work:
    """What blocks take: products of what is so along each axis, summed up.

    Args:
        predictor: The network.
        grid: The blocks.
        left: Whether each is to be predicted; all unless given.
    """
    from connectomics.inference.by_block import windows_of

    axes: list[list[np.ndarray]] = [[], [], []]
    for axis, count in enumerate(grid.counts):
        places = [[i if a == axis else 0 for a in range(3)] for i in range(count)]
        boxes = [grid.at(place).box for place in places]
        found = [windows_of(box, grid.shape, predictor.sliding) for box in boxes]
        axes[0].append(np.array([len(one.axes[axis].starts) for one in found]))
        axes[1].append(np.array([one.hull.shape[axis] for one in found]))
        axes[2].append(np.array([box.shape[axis] for box in boxes]))
    if left is None:
        sums = (math.prod(int(one.sum()) for one in ones) for ones in axes)
    else:
        wanted = left.reshape(grid.counts).astype(np.int64)
        sums = (int(np.einsum("zyx,z,y,x->", wanted, *ones, optimize=True)) for ones in axes)
    return Work(*sums)


def lines_of_predicting(
    predictor: Predictor,
    volume: LabelledVolume,
    size: Triple | None,
    sample: Sample,
    total: Total,
    begun: Begun | None,
) -> Iterator[str]:
    """What predicting a volume takes, or what is left of it.

    Args:
        predictor: The network.
        volume: It.
        size: (z, y, x) voxels of a block; None where it is predicted at once.
        sample: What one block took.
        total: Times and bytes are added to it.
        begun: What there is already.
    """
    config, shape = predictor.config, volume.shape
    grid = BlockGrid(shape, size or shape)
    work, alone = work_of(predictor, grid), work_of(predictor, BlockGrid(shape, shape))
    again = f", {work.windows / alone.windows:.2f} times those of the whole" if size else ""
    counted_windows = counted(work.windows, "window")
    yield f"plan: {volume.name} {shape}: {how(grid, size)}, {counted_windows}{again}"
    if begun is not None:
        yield f"plan:   {begun.said}"
        work = work_of(predictor, grid, begun.left)
    of_voxel = volume.image.dtype.itemsize
    if begun is None or begun.left.any():
        yield _line_of_the_start(config, volume, size, sample, total, begun)
    share = work.voxels / math.prod(shape)
    whole = sample.kept * bytes_of(config, shape)
    more = share_of_levels(shape, size, volume.resolution)
    if config.inference.save_probabilities:
        total.disk += share * more * whole
    elif size is not None:
        total.disk += share * whole
    written = f"writes {gib(share * more * bytes_of(config, shape))} of "
    written += config.inference.save_dtype
    if not config.inference.save_probabilities:
        written = "keeps no probabilities"
        if size is not None:
            written += f", but {sample.kept:.0%} of their voxels until all is decoded"
    if work.voxels:
        workers, who = who_works(config, predictor.gpus)
        seconds = work.windows * sample.window * (begun.slowest if begun else 1.0) / workers
        yield (
            f"plan:   infer reads {gib(work.read * of_voxel)}, {written}, takes "
            f"{total.add(seconds)} with {who} as fast as this one"
        )
    yield from (f"plan:   {line}" for line in require_memory(predictor, shape, size))


def _line_of_the_start(
    config: Config,
    volume: LabelledVolume,
    size: Triple | None,
    sample: Sample,
    total: Total,
    begun: Begun | None,
) -> str:
    """What is read of a volume before its first block."""
    voxels = math.prod(volume.shape)
    read = voxels * volume.image.dtype.itemsize
    shared = size is not None and voxels > FEW_VOXELS and config.system.shard is None
    readers, by_whom = who_works(config) if shared else (1, "this process")
    if begun and begun.measured:
        return "plan:   at the start nothing is read: it is known, and so are its grey values"
    if begun and begun.known:
        seconds, times = sample.grey, "once, for its grey values: "
    else:
        seconds, times = sample.know + sample.grey, "twice, to know it and its grey values: "
        read *= 2
    duration = total.add(seconds * voxels / readers)
    return f"plan:   at the start it is read {times}{gib(read)}, takes {duration} with {by_whom}"


def who_works(config: Config, gpus: int = 0) -> tuple[int, str]:
    """How many work on blocks, those of all shards together, and how to say that."""
    workers, shard = workers_of(config.system, gpus), shard_of(config.system)
    who = counted(workers, "worker")
    if shard is None:
        return workers, who
    return workers * shard.count, f"{counted(shard.count, 'shard')} of {who} each"


def counted(number: int, what: str) -> str:
    """So many of what."""
    return f"{number:,} {what}{'s' if number > 1 else ''}"


def how(grid: BlockGrid, size: Triple | None) -> str:
    """By which blocks."""
    if size is None:
        return "at once"
    return f"{counted(len(grid), 'block')} of {' x '.join(map(str, grid.block))}"


def bytes_of(config: Config, shape: Triple) -> int:
    """Of the probabilities of a volume."""
    of_voxel = config.model.out_channels * np.dtype(config.inference.save_dtype).itemsize
    return of_voxel * math.prod(shape)


def gib(count: float) -> str:
    """Bytes in words."""
    return f"{count / 2**30:,.2f} GiB"
