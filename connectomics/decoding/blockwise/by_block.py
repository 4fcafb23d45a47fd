"""How a decoder works block by block: `ByBlock`, a part of its record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectomics.decoding.blockwise.contract import Pass, Read
from connectomics.decoding.blockwise.grid import Blocks
from connectomics.decoding.blockwise.needed import Needed
from connectomics.geometry import VoxelGrid


@dataclass(frozen=True)
class BlockDecoder(ABC):
    """A decoder, and all that it has to know of a volume beforehand.

    Attributes:
        decoder: Its name.
        settings: All of its settings.
        refiners: The names of what follows it in `decoding.steps`.
        blocks: The grid of blocks.
        grid: Where the voxels lie.
        neurons: Reads the neurons of a box, where there are any.
        batch: Voxels of foreground that are decided on at once.
    """

    decoder: str
    settings: Mapping[str, Any]
    refiners: tuple[str, ...]
    blocks: Blocks
    grid: VoxelGrid
    neurons: Read | None
    batch: int

    @abstractmethod
    def passes(self) -> list[Pass]:
        """The passes in order, of which the last is "labels"; see `contract`.

        Raises:
            DataError: It lacks the size of the voxels.
        """


@dataclass(frozen=True)
class ByBlock:
    """What has to be known of a decoder that works block by block.

    Attributes:
        decoder: The `BlockDecoder`.
        needed: What its passes read of a block; all of it unless given.
        refiners: What may follow it in `decoding.steps`, for its passes do that, too.
    """

    decoder: Callable[..., BlockDecoder]
    needed: type[Needed] = Needed
    refiners: tuple[str, ...] = ()
