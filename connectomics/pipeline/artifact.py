"""What a stage leaves: made once, and made anew only where it would be another.

An artifact says where it lies, what it depends on (its key), how it is made and whether what is
there is whole; `provide` does with all of them the same. Probabilities, labels, scores and the
report are such artifacts, each made from the one before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from connectomics.blocks import (
    Ledger,
    Shard,
    UnfinishedError,
    discard,
    keeping_workers,
    ledger_begun,
    parts_begun,
    working_on,
)
from connectomics.data.cache_key import CacheKey, key_of
from connectomics.data.identity import Identity, UnreadError, without_reading
from connectomics.digests import digest
from connectomics.errors import MachineError
from connectomics.files import require_writable
from connectomics.geometry import Triple
from connectomics.pipeline.by_block.lost import lacks_blocks, lacks_coarser, restore_coarser

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
    def in_progress(self) -> Path:
        """The folder of whoever makes it, and of its blocks until they are whole."""
        return self.path.parent / "blocks" / self.path.stem

    @property
    def shard(self) -> Shard | None:
        """The share of its blocks that is asked for; None for all."""
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

    def mending(self) -> Callable[[Triple], bool] | None:
        """What makes the blocks again that it lacks, of a size, and tells what `make` does.

        None where all of it has to be made anew.
        """
        return None


def provide(*wanted: Artifact) -> bool:
    """Make artifacts, and first what they are made from, unless they are there already.

    Returns:
        Whether all are there now; otherwise other shards have blocks to do.

    Raises:
        DataError: One cannot be made, or blocks of it were begun with other settings or data.
    """
    with keeping_workers():
        upstream = [one for artifact in wanted for one in artifact.upstream()]
        token = _waiting.set((*_waiting.get(), *wanted))
        try:
            if upstream and not provide(*upstream):
                return False
        finally:
            _waiting.reset(token)
        whole = True
        for one in wanted:
            try:
                whole &= _provide(one)
            except UnfinishedError:
                whole = False
        return whole


_waiting: ContextVar[tuple[Artifact, ...]] = ContextVar("waiting", default=())
"""What will be made from what is made now: it has to be possible to write that, too."""


@dataclass(frozen=True)
class Standing:
    """How far an artifact is.

    Attributes:
        whole: It is there, and is what is asked for.
        block: The (z, y, x) voxels of the blocks in which it is there or begun; None where it is
            there at once, or there is nothing of it.
        ledger: Of its blocks that are begun, where some are.
        mends: It is there, but for blocks that it has lost.
        unread: The volume that has to be read before it is known of what it is; empty if none.
    """

    whole: bool = False
    block: Triple | None = None
    ledger: Ledger | None = None
    mends: bool = False
    unread: str = ""


def standing_of(wanted: Artifact) -> Standing:
    """How far an artifact is, by what `provide` would find; no volume is read, nothing written.

    Raises:
        DataError: Blocks of it were begun with other settings or data.
    """
    made, folder = wanted.made_from(), wanted.in_progress
    begun = parts_begun(folder) is not None
    try:
        with without_reading():
            block, mends = None, False
            if made is not None and _is_wanted(wanted, made):
                block, lacks = block_in(made.parts), wanted.lacks()
                if not lacks:
                    return Standing(whole=True, block=block)
                mends = block is not None and wanted.mending() is not None
            if not begun:
                return Standing(block=block if mends else None, mends=mends)
            block = block if mends else wanted.block()
            ledger = ledger_begun(folder, wanted.key(block).parts, folder.name)
            return Standing(False, block, ledger, mends)
    except UnreadError as error:
        return Standing(unread=str(error))


def _provide(wanted: Artifact) -> bool:
    before = wanted.made_from()
    if _is_there(wanted, before):
        return True
    with _alone(wanted):
        now = wanted.made_from()
        if now != before and _is_there(wanted, now):  # another command has just made it
            return True
        return _make(wanted, now)


def _is_there(wanted: Artifact, made: CacheKey | None) -> bool:
    """Whether what is asked for is there, made from this; then it is brought up to date."""
    if made is None or wanted.lacks() or not _is_wanted(wanted, made):
        return False
    _tidy(wanted, made)
    _restore(wanted)
    if not wanted.refresh():
        print(f"{wanted.stage}: {wanted.path} is up to date")
    return True


def _is_wanted(wanted: Artifact, made: CacheKey) -> bool:
    """Whether it was made from what it would be; of blocks any size will do unless one is given."""
    block = wanted.block() if wanted.block_is_given else block_in(made.parts)
    return made.digest == wanted.key(block).digest


def _make(wanted: Artifact, before: CacheKey | None) -> bool:
    lacks = wanted.lacks()
    mend = wanted.mending() if before and lacks and _is_wanted(wanted, before) else None
    block = block_in(before.parts) if before and mend else wanted.block()
    require_writable(*(one.in_progress for one in _waiting.get()))
    key = wanted.key(block)
    if before and before.parts:
        otherwise = before.otherwise(key) or lacks
        how = "these again, and no others" if mend else "anew, the earlier goes to earlier/"
        print(f"{wanted.stage}: {wanted.path} {otherwise}; {wanted.making} {how}")
    whole = mend(block) if block and mend else wanted.make(key, block)
    if whole and _is_begun(wanted, key):
        discard(wanted.in_progress)
    return whole


@contextmanager
def _alone(wanted: Artifact) -> Iterator[None]:
    """Keep other commands from it, but for other shards; what was begun stays."""
    with working_on(wanted.in_progress, wanted.shard):
        try:
            yield
        finally:
            if wanted.shard is None and parts_begun(wanted.in_progress) is None:
                discard(wanted.in_progress)


def _tidy(wanted: Artifact, made: CacheKey) -> None:
    """Remove what a command has left that was killed when it had made this."""
    if wanted.in_progress.exists() and _is_begun(wanted, made):
        with suppress(MachineError), working_on(wanted.in_progress):
            discard(wanted.in_progress)


def _restore(wanted: Artifact) -> None:
    """Make again what it has lost of its coarser levels, unless another command does."""
    if lacks_coarser(wanted.path):
        with suppress(MachineError), _alone(wanted):
            restore_coarser(wanted.path)


def _is_begun(wanted: Artifact, key: CacheKey) -> bool:
    """Whether the blocks that are begun, if any, are of this key and of no other."""
    begun = parts_begun(wanted.in_progress)
    return begun is None or digest(begun) == key.digest


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
    return volumes_begun(in_progress)


def volumes_begun(in_progress: Path) -> Mapping[str, Identity]:
    """What unfinished blocks know of the volumes that they are made from."""
    stored = Ledger(in_progress).of(NOTES).facts("volumes") or {}
    known = {name: Identity.from_dict(one) for name, one in stored.items()}
    return {name: one for name, one in known.items() if one}


def note_volumes(ledger: Ledger, volumes: Mapping[str, Identity]) -> None:
    """Keep what `known_volumes` finds of unfinished blocks."""
    ledger.of(NOTES).mark("volumes", {name: one.as_dict() for name, one in volumes.items()})
