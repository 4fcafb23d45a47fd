"""What is found out of volumes block by block: of each by itself, and then put together.

Every such loop of the scores goes through `map_blocks`. It looks at one block after the other,
here; within `mapped_by` something else does it, such as the processes of a run, and gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from connectomics.geometry import Box
from connectomics.process.progress import Progress

Part = Mapping[str, np.ndarray]
"""What was found out of a block, as arrays by name, so that it can be written down."""

Work = Callable[..., Part]
"""Looks at a box, and what is given with it, if anything. It can be pickled, volumes and all."""

Mapper = Callable[[Work, Sequence[Box], str, Sequence[Any] | None], Iterator[Part]]
"""Does what `map_blocks` does."""

_mapper: ContextVar[Mapper | None] = ContextVar("mapper", default=None)


def map_blocks(
    work: Work, boxes: Sequence[Box], what: str, given: Sequence[Any] | None = None
) -> Iterator[Part]:
    """Look at blocks; what was found out of each comes in their order.

    Args:
        work: Looks at one.
        boxes: The blocks.
        what: What is done, for messages.
        given: What else `work` takes, one for each block.
    """
    mapper = _mapper.get()
    if mapper is None or len(boxes) < 2:
        yield from map_here(work, boxes, what, given)
    else:
        yield from mapper(work, boxes, what, given)


def map_here(
    work: Work, boxes: Sequence[Box], what: str, given: Sequence[Any] | None = None
) -> Iterator[Part]:
    """Look at one block after the other, as they are asked for; of several it is said how far."""
    with Progress(what, len(boxes), rate="voxels", visible=len(boxes) > 1) as progress:
        for i, box in enumerate(boxes):
            yield work(box, *(() if given is None else (given[i],)))
            progress.add(work=box.size)


@contextmanager
def mapped_by(mapper: Mapper) -> Iterator[None]:
    """Within it, `map_blocks` has several blocks looked at by a mapper."""
    token = _mapper.set(mapper)
    try:
        yield
    finally:
        _mapper.reset(token)
