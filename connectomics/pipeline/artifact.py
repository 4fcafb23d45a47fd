"""What a stage leaves: made once, and made anew only where it would be another.

An artifact says where it lies, what it depends on (its key), how it is made and whether what is
there is whole; `provide` does with all of them the same. Probabilities, labels, scores and the
report are such artifacts, each made from the one before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from connectomics.blocks import Ledger, discard
from connectomics.data.cache_key import CacheKey, key_of
from connectomics.data.identity import Identity
from connectomics.data.io import open_volume
from connectomics.errors import DataError
from connectomics.geometry import Triple

BLOCK_SIZE = "block size"
"""The part of a key that says how a volume was cut; absent where it was not."""

NOTES = "notes"
"""What is not worth finding out again, among the markers of a ledger."""


class Artifact(ABC):
    """Something that a stage makes; a dataclass of what it is made from and where it goes."""

    stage: ClassVar[str]
    """What makes it, as messages call it."""

    making: ClassVar[str]
    """What is done to make it, in a word."""

    @property
    @abstractmethod
    def path(self) -> Path:
        """Where it lies, or will lie; this says of it what it was made from."""

    @property
    def in_progress(self) -> Path | None:
        """The folder in which it is made block by block, if it ever is."""
        return None

    @property
    def block_is_given(self) -> bool:
        """Whether it has to be made in blocks of a size, or at once; else any size will do."""
        return False

    def upstream(self) -> Sequence[Artifact]:
        """What has to be there before."""
        return ()

    def made_from(self) -> CacheKey | None:
        """What the one that is there was made from; None where there is none of ours."""
        return key_of(self.path)

    def block(self) -> Triple | None:
        """The (z, y, x) voxels of the blocks in which it would be made; None for all at once."""
        return None

    @abstractmethod
    def key(self, block: Triple | None) -> CacheKey:
        """Everything that it depends on, where it is made in such blocks."""

    def lacks(self) -> str:
        """What is wrong with the one that is there, whatever it was made from; empty if nothing."""
        return lacks_blocks(self.path)

    def refresh(self) -> bool:
        """Bring up to date what no key holds of the one that is there; tell whether it said so."""
        return False

    @abstractmethod
    def make(self, key: CacheKey, block: Triple | None) -> bool:
        """Make it, and keep the earlier; False where other shards have blocks to do."""


def provide(*wanted: Artifact) -> bool:
    """Make artifacts, and first what they are made from, unless they are there already.

    Returns:
        Whether all are there now; otherwise other shards have blocks to do.

    Raises:
        DataError: One cannot be made, or blocks of it were begun with other settings or data.
    """
    upstream = [one for artifact in wanted for one in artifact.upstream()]
    if upstream and not provide(*upstream):
        return False
    whole = True
    for one in wanted:
        whole &= _provide(one)
    return whole


def _provide(wanted: Artifact) -> bool:
    before, block, lacks = wanted.made_from(), wanted.block(), wanted.lacks()
    # Of what is there, any size of blocks will do unless one is given.
    there = block if wanted.block_is_given else before and block_in(before.parts)
    if before and not lacks and before.digest == wanted.key(there).digest:
        _tidy(wanted)
        if not wanted.refresh():
            print(f"{wanted.stage}: {wanted.path} is up to date")
        return True
    key = wanted.key(block)
    if before and before.parts:
        otherwise = f"{before.otherwise(key) or lacks}; {wanted.making} anew"
        print(f"{wanted.stage}: {wanted.path} {otherwise}, the earlier goes to earlier/")
    whole = wanted.make(key, block)
    if whole:
        _tidy(wanted)
    return whole


def _tidy(made: Artifact) -> None:
    if made.in_progress is not None:
        discard(made.in_progress)


def lacks_blocks(path: Path) -> str:
    """Whether a store that was written by block lacks files of it, which would be read as 0."""
    if not path.is_dir():
        return ""
    try:
        with open_volume(path) as volume:
            return "lacks blocks, which would be read as 0" if volume.gaps else ""
    except DataError:  # and it does not say what it was made from
        return ""


def block_in(parts: Mapping[str, Any]) -> Triple | None:
    """The size of blocks in the parts of a key."""
    found = parts.get(BLOCK_SIZE)
    if not isinstance(found, Sequence) or len(found) != 3:
        return None
    return int(found[0]), int(found[1]), int(found[2])


def with_block(parts: Mapping[str, Any], block: Triple | None) -> dict[str, Any]:
    """The parts of a key, with the size of blocks where there are any."""
    return {**parts, **({BLOCK_SIZE: list(block)} if block else {})}


def known_volumes(path: Path, in_progress: Path) -> Mapping[str, Identity]:
    """What an artifact, or else its unfinished blocks, know of the volumes it is made from.

    A volume need not be read again to be recognised, by each process of a job array for itself.
    """
    if (made := key_of(path)) is not None:
        return made.volumes
    stored = Ledger(in_progress).of(NOTES).facts("volumes") or {}
    known = {name: Identity.from_dict(one) for name, one in stored.items()}
    return {name: one for name, one in known.items() if one}


def note_volumes(ledger: Ledger, volumes: Mapping[str, Identity]) -> None:
    """Keep what `known_volumes` finds of unfinished blocks."""
    ledger.of(NOTES).mark("volumes", {name: one.as_dict() for name, one in volumes.items()})
