"""Blocks of a finished result that were lost or damaged since: found, noted, and put back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from connectomics.blocks import Block, BlockGrid
from connectomics.data.cache_key import DIGEST
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.sharded import ShardedStore, open_sharded
from connectomics.errors import DataError, Fault
from connectomics.files import writing_to
from connectomics.geometry import Box, whole

LOOKED_AT = 4096
"""Files whose length is looked at whenever a result is taken. That all are there is, of any."""

NOTE = ".unreadable"
"""What the name of a file is followed by in that of a note: the block could not be read."""


def lacks_blocks(path: Path) -> str:
    """What a store that was written by block has lost, at a glance; empty if nothing."""
    store = open_sharded(path)
    if store is None:
        return ""
    lost = list(_at_a_glance(store))
    if not lost:
        return ""
    gone = sum(is_gone for _, is_gone in lost)
    damaged = len(lost) - gone
    why = [f"{gone} not there"] * (gone > 0) + [f"{damaged} damaged"] * (damaged > 0)
    return f"lacks {len(lost)} of its {len(_grid(store))} blocks ({', '.join(why)})"


def lacks_coarser(path: Path) -> list[Block]:
    """The blocks of a store whose part of a coarser level is not there, at a glance."""
    store = open_sharded(path)
    levels = () if store is None else (_at_a_glance(store, level) for level in store.coarser)
    return list({block: None for lost in levels for block, _ in lost})


def restore_coarser(path: Path) -> None:
    """Make what a store has lost of its coarser levels again, from the finest.

    Raises:
        DataError: The finest level cannot be read there, or nothing written.
    """
    store = open_sharded(path)
    if store is None:
        return
    with writing_to(path):
        store.restore_levels()
    lost = lacks_coarser(path)
    if not lost:
        return
    blocks = f"{len(lost)} block{'s' * (len(lost) > 1)}"
    print(f"  {path}: makes the coarser levels of {blocks} again, from the finest", flush=True)
    with open_volume(path) as volume, writing_to(path):
        for block in lost:
            store.write_coarser(block.box, read_or_note(volume, block.box))


def _at_a_glance(store: ShardedStore, level: int = 0) -> Iterator[tuple[Block, bool]]:
    """Blocks whose file of a level is not there whole, and whether it is not there at all."""
    grid = _grid(store)
    depth, height, width = grid.counts
    every, numbers = -(-len(grid) // LOOKED_AT), itertools.count()
    for z, y in itertools.product(range(depth), range(height)):
        folder = store.file_of(grid.at((z, y, 0)).box, level).parent
        names = {one.name for one in folder.iterdir()} if folder.is_dir() else set()
        for x, number in zip(range(width), numbers, strict=False):
            if str(x) not in names:
                yield grid.at((z, y, x)), True
            elif number % every == 0 or f"{x}{NOTE}" in names:
                block = grid.at((z, y, x))
                if not is_whole(store, block.box, level):
                    yield block, False


def lost_blocks(store: ShardedStore) -> list[Block]:
    """The blocks of a store that are not there whole."""
    return [block for block in _grid(store) if not is_whole(store, block.box)]


def is_whole(store: ShardedStore, box: Box, level: int = 0) -> bool:
    """Whether the file of a block is as long as it was, and nobody failed to read it."""
    return store.is_whole(box, level) and not is_noted(store.file_of(box, level))


def is_noted(file: Path) -> bool:
    """Whether somebody failed to read the file of a block since it was written."""
    note = _note_of(file)
    return note.exists() and note.stat().st_mtime >= file.stat().st_ctime


def put_back(store: ShardedStore, block: Block, made: ShardedStore) -> None:
    """Put a block that was made again, in another store, in its place."""
    for level in (0, *store.coarser):  # the finest first, as the others follow from it
        place = store.file_of(block.box, level)
        place.parent.mkdir(parents=True, exist_ok=True)
        made.file_of(block.box, level).replace(place)
        _note_of(place).unlink(missing_ok=True)


def read_or_note(volume: LazyVolume, box: Box | None = None) -> np.ndarray:
    """Read a result of ours. Blocks that cannot be read are noted, to be made again.

    Raises:
        DataError: It cannot be read there.
    """
    try:
        return volume.read(box)
    except DataError as error:
        noted = _note_unreadable(volume, box or whole(volume.shape))
        if not noted:
            raise
        problem = f"is damaged: {error.faults[0].problem}"
        remedy = "The command that predicted it (such as --mode test) makes it again, and no other."
        raise DataError.of(Fault(str(file), problem, remedy) for file in noted) from error


def _note_unreadable(volume: LazyVolume, box: Box) -> list[Path]:
    """Find the blocks in a box that cannot be read; gives their files, from the store on."""
    store = open_sharded(Path(volume.source)) if DIGEST in volume.attributes else None
    if store is None:
        return []
    grid, noted = _grid(store), []
    axes = zip(box.start, box.stop, grid.block, strict=True)
    for place in itertools.product(*(range(a // n, -(-b // n)) for a, b, n in axes)):
        block = grid.at(place)
        try:
            volume.read(block.box)
        except DataError:
            file = store.file_of(block.box)
            noted.append(file.relative_to(store.path))
            with suppress(OSError):
                _note_of(file).touch()
    return noted


def _note_of(file: Path) -> Path:
    return file.with_name(f"{file.name}{NOTE}")


def _grid(store: ShardedStore) -> BlockGrid:
    depth, height, width = store.shape[-3:]
    return BlockGrid((depth, height, width), store.block)
