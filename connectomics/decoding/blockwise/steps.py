"""From `decoding.steps` to the passes that decode a volume by block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from connectomics.decoding.blockwise.batches import BATCH
from connectomics.decoding.blockwise.by_block import ByBlock
from connectomics.decoding.blockwise.contract import Part, Pass, Read, State
from connectomics.decoding.blockwise.grid import Blocks
from connectomics.decoding.blockwise.needed import Needed
from connectomics.decoding.blockwise.tables import tables_of
from connectomics.decoding.evidence import check_neurons
from connectomics.decoding.steps import DECODERS, Decoded, Step, check_decoding, settings_of
from connectomics.errors import ConfigError
from connectomics.geometry import NOWHERE, Box, Triple, VoxelGrid


def passes(
    steps: Sequence[Step],
    *,
    shape: Sequence[int],
    block_size: Sequence[int],
    grid: VoxelGrid = NOWHERE,
    neurons: Read | None = None,
    batch: int = BATCH,
) -> list[Pass]:
    """The passes that decode a volume as `decoding.steps` says.

    Args:
        steps: One decoder with its settings, and what follows it.
        shape: (Z, Y, X) of the volume.
        block_size: (z, y, x) of a block; any size gives the same.
        grid: Where the voxels lie. `synapses` needs to know their size.
        neurons: Reads the neurons of a box, where there are any.
        batch: Voxels of foreground that are decided on at once; any number gives the same.

    Raises:
        ConfigError: There is no step, `check_decoding` finds a fault, the decoder has no passes,
            or the labels would have another size.
        DataError: The decoder lacks its resolution.
    """
    faults = check_decoding(steps)
    if faults or not steps:
        where, problem = "decoding.steps", "there is no step to decode with."
        raise ConfigError.of(faults) if faults else ConfigError(where, problem)
    step, *others = steps
    settings, refiners = settings_of(step), tuple(one.name for one in others)
    by_block = _by_block(steps)
    if any(factor != 1 for factor in settings.get("scale_factors", ())):
        raise ConfigError(
            "decoding.steps[0].kwargs.scale_factors",
            "labels that are made by block have the size of the probabilities.",
            "Leave scale_factors out, or decode in one block (system.block_size: null).",
        )
    blocks = Blocks(_triple(shape), _triple(block_size))
    decoder = by_block.decoder(step.name, settings, refiners, blocks, grid, neurons, batch)
    return decoder.passes()


def needed(
    steps: Sequence[Step], shape: Triple, resolution: tuple[float, float, float] | None
) -> Needed:
    """What the passes of `decoding.steps`, which `passes` has accepted, read of a block."""
    first = steps[0]
    channels = DECODERS[first.name].channels
    return _by_block(steps).needed(first.name, channels, settings_of(first), shape, resolution)


def _by_block(steps: Sequence[Step]) -> ByBlock:
    """How a decoder, and what follows it, work by block.

    Raises:
        ConfigError: One of them does not.
    """
    named = [name for name, one in DECODERS.items() if one.by_block is not None]
    remedy = f"By block decode: {', '.join(named)}. Or leave out system.block_size, executor and "
    remedy += "shard, on a machine with memory for the volume."
    first, *others = steps
    given = DECODERS[first.name].by_block
    found = given() if given is not None else None
    done = (first.name, *found.refiners) if found is not None else ()
    for i, step in enumerate((first, *others)):
        if step.name not in done:
            problem = f"{step.name} decodes whole volumes, not blocks."
            raise ConfigError(f"decoding.steps[{i}].name", problem, remedy)
    assert found is not None
    return found


def label_dtype(state: State) -> np.dtype:
    """The type of the labels, from the state before they are painted."""
    return np.min_scalar_type(int(state["highest"]))


def decode_blocks(
    probabilities: Any,
    steps: Sequence[Step],
    *,
    block_size: Sequence[int],
    grid: VoxelGrid = NOWHERE,
    neurons: Any = None,
    batch: int = BATCH,
) -> Decoded:
    """Decode a volume by block in this process, all parts in memory.

    Args:
        probabilities: (C, Z, Y, X), or (Z, Y, X) of one channel: an array, or anything that is
            sliced like one.
        steps: One decoder with its settings, and what follows it.
        block_size: (z, y, x) of a block.
        grid: Where the voxels lie.
        neurons: (Z, Y, X) ids, sliced alike; None without any.
        batch: See `passes`.

    Returns:
        What `connectomics.decoding.decode` gives.
    """
    from connectomics.compiling import announced_compilation

    def read(box: Box) -> np.ndarray:
        return probabilities[(..., *box.slices)]

    shape = _triple(probabilities.shape[-3:])
    if neurons is not None:
        check_neurons(neurons, shape, steps[0].name if steps else "decode_blocks")
    plan = passes(
        steps,
        shape=shape,
        block_size=block_size,
        grid=grid,
        neurons=None if neurons is None else lambda box: neurons[box.slices],
        batch=batch,
    )
    with announced_compilation():
        return _run_in_memory(plan, shape, read)


def _run_in_memory(plan: Sequence[Pass], shape: Triple, read: Read) -> Decoded:
    """Do all tasks of all passes, one after the other."""
    kept: dict[tuple[str, str], Part] = {}
    state: State = {}

    def parts(step: str, task: str) -> Part:
        return kept[step, task]

    *before, last = plan
    for step in before:
        made = []
        for task in step.tasks(state):
            kept[step.name, task.name] = step.run(task, read, parts)
            made.append(task)
        state = step.combine(state, ((task, kept[step.name, task.name]) for task in made))
    labels = np.zeros(shape, label_dtype(state))
    for task in last.tasks(state):
        assert task.box is not None
        labels[task.box.slices] = last.run(task, read, parts)["labels"]
    return Decoded(labels, *tables_of(state))


def _triple(values: Sequence[int]) -> Triple:
    z, y, x = (int(n) for n in values)
    return z, y, x
