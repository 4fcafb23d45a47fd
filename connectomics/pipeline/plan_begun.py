"""What is done already of what a plan is asked for, by the rule of the run; it only looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np

from connectomics.blocks import BlockGrid, Facts, Ledger, Shard, Task, is_done, read_arrays
from connectomics.data.io.sharded import open_sharded
from connectomics.errors import DamagedError, DataError
from connectomics.evaluation.volumes import blocks_of
from connectomics.pipeline.artifact import NOTES, Artifact, Standing, standing_of
from connectomics.pipeline.by_block.counting import FEW_VOXELS, tasks_of
from connectomics.pipeline.by_block.fusing import PREDICT
from connectomics.pipeline.by_block.labelling import passes_of
from connectomics.pipeline.by_block.lost import LOOKED_AT, lacks_blocks, lost_blocks
from connectomics.pipeline.by_block.parts import STATES, PartsOnDisk
from connectomics.pipeline.by_block.predicting import is_intact
from connectomics.pipeline.labels import Labels
from connectomics.pipeline.results import LABELS, PROBABILITIES
from connectomics.pipeline.scores import Scores

Intact = Callable[[Task, Facts], bool]


@dataclass(frozen=True)
class Begun:
    """What there is of the probabilities of a volume.

    Attributes:
        left: Whether each block, in the order of their grid, is still to be predicted.
        slowest: How many times its share of what is left the shard has that has most to do.
        known: Whether the volume need not be read to be known.
        measured: Whether its grey values are known.
        said: What there is to say of it.
    """

    left: np.ndarray
    slowest: float
    known: bool
    measured: bool
    said: str


@dataclass(frozen=True)
class Share:
    """What is left of labels or scores.

    Attributes:
        work: Of all passes together.
        written: Of what is written.
        said: What there is to say of it.
    """

    work: float = 1.0
    written: float = 1.0
    said: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing is left to do."""
        return self.work == 0


def predicted_so_far(
    artifact: Artifact, standing: Standing, grid: BlockGrid, shard: Shard | None
) -> Begun | None:
    """What there is of probabilities that are kept, or of those that labels are made from.

    Args:
        artifact: The probabilities, or the labels.
        standing: How far that is.
        grid: The blocks.
        shard: The share that is asked for.

    Returns:
        None where nothing is begun that is known to be of this volume.
    """
    todo, ledger = np.ones(len(grid), bool), standing.ledger
    if standing.whole:
        none = np.zeros(len(grid), bool)
        said = f"nothing to predict: {artifact.path} is there, and is what is asked for"
        return Begun(none, 1.0, known=True, measured=True, said=said)
    if standing.mends:
        store = open_sharded(artifact.path)
        lost = {block.name for block in (lost_blocks(store) if store else ())}
        todo = np.fromiter((block.name in lost for block in grid), bool, len(grid))
    elif ledger is None:
        return None
    left = todo & ~_predicted(ledger, grid) if ledger else todo
    measured = ledger is not None and ledger.of(NOTES).facts("statistics") is not None
    there, count = len(grid) - int(left.sum()), int(left.sum())
    said = f"{there:,} of {len(grid):,} blocks are predicted already and stay; left: {count:,}"
    slowest = 1.0
    if shard is not None and count:
        shares = [int(left[todo][i :: shard.count].sum()) for i in range(shard.count)]
        slowest = max(shares) * shard.count / count
        said += f", {shares[shard.index]:,} of these for shard {shard}"
    return Begun(left, slowest, known=True, measured=measured, said=said)


def _predicted(ledger: Ledger, grid: BlockGrid) -> np.ndarray:
    """Whether each block is predicted, as `run_tasks` looks at it."""
    path = ledger.folder / f"{PROBABILITIES}.zarr"
    of_labels = ledger.folder.name == LABELS
    if of_labels and ledger.of(STATES).facts(PREDICT) is not None and not lacks_blocks(path):
        return np.ones(len(grid), bool)
    marked, store = ledger.of(PREDICT) if of_labels else ledger, open_sharded(path)
    intact = partial(is_intact, store) if store else None
    return np.fromiter(_done(grid, len(grid), marked, intact), bool, len(grid))


def _done(
    tasks: Iterable[Task], count: int, marked: Ledger, intact: Intact | None
) -> Iterator[bool]:
    """Whether each of so many tasks is done; of very many not each file is looked at."""
    every = -(-count // LOOKED_AT)
    for number, task in enumerate(tasks):
        if number % every == 0:
            yield is_done(task, marked, intact)
        else:
            yield marked.is_done(task.name)


def decoded_so_far(labels: Labels, standing: Standing) -> Share:
    """What is left of labels, whose passes count alike."""
    if standing.whole:
        said = f"decode does nothing: {labels.path} is there, and is what is asked for"
        return Share(0.0, 0.0, said)
    ledger, block = standing.ledger, standing.block
    if ledger is None or block is None:
        return Share()
    passes = passes_of(labels.probabilities, labels.decoding.steps, block, labels.asked.neurons)
    parts, state, through = PartsOnDisk(ledger), {}, 0
    for step in passes[:-1]:
        known = ledger.of(STATES).facts(step.name)
        try:
            state = read_arrays(parts.file_of(STATES, step.name), known or {})
        except DamagedError:  # such as of a pass that is not through
            break
        through += 1
    step, store = passes[through], open_sharded(ledger.folder / f"{LABELS}.zarr")
    last = step is passes[-1]
    intact = (
        partial(parts.is_intact, step.name) if not last else store and partial(is_intact, store)
    )
    count = sum(1 for _ in step.tasks(state))
    done = sum(_done(step.tasks(state), count, ledger.of(step.name), intact))
    if not through and not done:
        return Share()
    part = done / max(1, count)
    said = (
        f"{through} of {len(passes)} passes of decoding are through, and {done:,} of {count:,} "
        f"blocks of the next ({step.name}); these stay"
    )
    return Share(1 - (through + part) / len(passes), 1 - part if last else 1.0, said)


def scored_so_far(scores: Scores, passes: int) -> Share:
    """What is left of scores that go so often through truth and labels."""
    try:
        standing = standing_of(scores)
    except DataError:  # what was counted of others is counted anew
        return Share()
    if standing.whole:
        said = f"evaluate does nothing: {scores.path} is there, and is what is asked for"
        return Share(0.0, 0.0, said)
    if standing.ledger is None:
        return Share()
    volumes = [one.volume.label for one in scores.volumes]
    boxes = [blocks_of(one) for one in volumes if one and np.prod(one.shape) > FEW_VOXELS]
    count = passes * sum(1 for _ in chain.from_iterable(tasks_of(one, None) for one in boxes))
    steps = [one for one in standing.ledger.folder.glob("done/*") if one.name != NOTES]
    done = sum(1 for step in steps for _ in step.glob("*/[!.]*"))
    if not done:
        return Share()
    said = f"{done:,} of some {count:,} pieces of counting are done; these stay"
    return Share(max(0.0, 1 - done / max(1, count)) or 1e-9, 1.0, said)
