"""The first passes of `synapses`: what a volume spans, and the candidates of each block.

The part of a block holds, beside what `listing` says,

    inside        (V,) bool, False for voxels that only bridge gaps
    union.strong  (N,) int64, voxels of each component above the high threshold
    union.votes   (N, 2) int64, its voxels that are likelier pre, and likelier post
    union.box     (N, 2, 3) int32, its first voxel (z, y, x) and one past its last, in the volume
    largest, foreground, filled, sum, crowded   what is asked of the volume: its greatest value, the
                  voxels that are likelier synapse than not, its foreground, the sum of its union,
                  and whether this block was left to the pass "crowded"
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectomics.decoding.bits import BitMask
from connectomics.decoding.blockwise import stitching
from connectomics.decoding.blockwise.contract import Part, Parts, Pass, Read, State, Task
from connectomics.decoding.blockwise.grid import Blocks
from connectomics.decoding.blockwise.listing import (
    core,
    count_sides,
    crop,
    dilated,
    largest_value,
    list_pieces,
    list_sides,
    list_union,
    read_block,
)
from connectomics.decoding.candidates import is_set
from connectomics.decoding.evidence import (
    bridge_voxels,
    candidate_masks,
    gather,
    voxels_of,
    weigh,
)
from connectomics.decoding.foreground import (
    MOST_BRIDGED,
    MOST_UNION,
    count_foreground,
    is_sparse,
    sum_of_union,
    too_much_foreground,
)
from connectomics.decoding.levels import AS_THEY_ARE, Levels, count_values, levels_of
from connectomics.decoding.probabilities import Probabilities, check_block, warn_of_mask
from connectomics.geometry import Box

WHERE = "decode_synapses"

CROWD = 2**20
"""Voxels of foreground that a block may hold whatever share of it they are."""

STATS = ("union.voxels", "union.first", "union.strong", "union.votes", "union.box")


@dataclass(frozen=True)
class CandidateLists:
    """What these passes know.

    Attributes:
        settings: All settings of `decode_synapses`.
        blocks: The grid.
        resolution: nm per voxel (z, y, x).
        crowd: See `CROWD`.
    """

    settings: Mapping[str, Any]
    blocks: Blocks
    resolution: tuple[float, float, float]
    crowd: int = CROWD

    @property
    def drops(self) -> bool:
        """Whether small pieces of a side are dropped first."""
        return voxels_of(self.settings["min_piece_nm3"], self.resolution) > 1

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is labelled by components."""
        return ("union",) + ("pre", "post") * self.drops

    @property
    def exclusive(self) -> bool:
        """Whether the channels are background, pre and post."""
        return self.settings["exclusive"]

    def passes(self) -> list[Pass]:
        """The passes in order."""
        found = []
        if self.settings["adapt"]:
            found.append(Pass("thresholds", self.all_blocks, self.count, self.after_counting))
        return [
            *found,
            Pass("candidates", self.all_blocks, self.list_block, self.after_listing),
            Pass("crowded", self.crowded_tasks, self.list_crowded, self.after_crowded),
        ]

    def all_blocks(self, state: State) -> Iterator[Task]:
        """A task for every block, with the levels."""
        work = {"levels": state["levels"]} if "levels" in state else {}
        return (self.blocks.task(number, work) for number in range(len(self.blocks)))

    def count(self, task: Task, read: Read, parts: Parts) -> Part:
        """Count the values of a block."""
        assert task.box is not None
        block = check_block(read(task.box), channels=3, where=WHERE, start=task.box.start)
        return {"counts": count_values(block, exclusive=self.exclusive)}

    def after_counting(self, state: State, done: Iterable[tuple[Task, Part]]) -> State:
        """The levels of the volume."""
        counts = np.zeros(256, np.int64)
        for _, part in done:
            counts += part["counts"]
        return {"levels": np.array(levels_of(counts, self.resolution, self.exclusive))}

    def list_block(self, task: Task, read: Read, parts: Parts) -> Part:
        """List the candidates of a block, unless it is crowded."""
        probabilities, inner, masks = self._masks(task, read)
        _, _, union, bridged = masks
        filled, voxels = np.array([union.count(), bridged.count()]), inner.size
        mine = core(probabilities, inner)
        crowded = filled[0] > MOST_UNION * voxels or filled[1] > MOST_BRIDGED * voxels
        crowded &= filled[1] > self.crowd
        part = {
            "largest": largest_value(mine),
            "foreground": np.array([count_foreground(mine, exclusive=self.exclusive)]),
            "filled": filled[None],
            "sum": np.array([sum_of_union(mine, self.exclusive)]),
            "crowded": np.array([crowded]),
        }
        if not crowded:
            return part | self._list(task, mine, masks)
        nothing = BitMask.empty(inner.shape)
        return part | self._list(task, mine, (nothing,) * 4)

    def after_listing(self, state: State, done: Iterable[tuple[Task, Part]]) -> State:
        """What each block has; grows with blocks and components.

        Raises:
            TooMuchForegroundError: Most of the volume would be synapse.
        """
        whole = ("largest", "foreground", "filled", "sum", "crowded")
        found = stitching.in_order(done, [*whole, *self._measures], self.blocks)
        largest, foreground, filled, total, crowded = (found.pop(name) for name in whole)
        if largest.max() == 1:
            warn_of_mask(WHERE)
        voxels, filled = Box((0, 0, 0), self.blocks.shape).size, filled.sum(axis=0)
        if not is_sparse(filled, voxels, self.resolution):
            mean = float(total.sum())
            raise too_much_foreground(WHERE, filled, mean, voxels, exclusive=self.exclusive)
        asked = {"foreground": foreground.sum(), "crowded": np.flatnonzero(crowded)}
        return {**state, **found, **asked}

    def crowded_tasks(self, state: State) -> Iterator[Task]:
        """A task for each block that was not listed."""
        work = {"levels": state["levels"]} if "levels" in state else {}
        return (self.blocks.task(int(number), work) for number in state["crowded"])

    def list_crowded(self, task: Task, read: Read, parts: Parts) -> Part:
        """List the candidates of a crowded block."""
        probabilities, inner, masks = self._masks(task, read)
        return self._list(task, core(probabilities, inner), masks)

    def after_crowded(self, state: State, done: Iterable[tuple[Task, Part]]) -> State:
        """What all blocks have."""
        return stitching.inserted(state, done, self._measures, self.blocks)

    @property
    def _measures(self) -> list[str]:
        sides = ["pre.voxels", "post.voxels"] if self.drops else ["union.sides"]
        return [*STATS, *sides]

    def _masks(
        self, task: Task, read: Read
    ) -> tuple[Probabilities, Box, tuple[BitMask, BitMask, BitMask, BitMask]]:
        """The masks of pre, post, union and its bridged components in a block."""
        chosen, number = self.settings, self.blocks.number(task.name)
        edge = bridge_voxels(chosen["bridge_nm"], self.resolution)
        probabilities, inner = read_block(
            self.blocks, number, read, edge=edge, channels=3, where=WHERE
        )
        low = None if chosen["hysteresis"] is None else chosen["hysteresis"][0]
        pre, post, union = candidate_masks(
            probabilities, levels_at(task), chosen["thres"], low, self.exclusive
        )
        bridged = crop(dilated(union, edge), inner)
        return (
            probabilities,
            inner,
            (crop(pre, inner), crop(post, inner), crop(union, inner), bridged),
        )

    def _list(
        self, task: Task, mine: Probabilities, masks: tuple[BitMask, ...]
    ) -> dict[str, np.ndarray]:
        """List the candidates of a block, and measure its components."""
        pre, post, union, bridged = masks
        part = list_union(self.blocks, self.blocks.number(task.name), bridged, bridged)
        at, component = part["at"].astype(np.int64), part["component"]
        count = len(part["union.voxels"])
        part["inside"] = inside = is_set(union, at)
        part["values"] = gather(mine, at)
        if self.drops:
            part |= list_pieces(part["at"], pre, post)
        else:
            part["side"] = list_sides(part["at"], pre, post)
            part["union.sides"] = count_sides(part["side"], component, count)
        p_pre, p_post, p_union = weigh(part["values"], levels_at(task), self.exclusive)
        high = (self.settings["hysteresis"] or (0.0, 0.0))[1]
        part["union.strong"] = np.bincount(component[inside & (p_union > high)], minlength=count)
        votes = [component[inside & mask] for mask in (p_pre > p_post, ~(p_pre > p_post))]
        part["union.votes"] = np.stack([np.bincount(v, minlength=count) for v in votes], axis=1)
        places = np.stack(np.unravel_index(at, mine.shape), axis=1) + mine.start
        low, last = (f(places, component) for f in (stitching.smallest, stitching.largest))
        part["union.box"] = np.stack([low, last + 1], axis=1).astype(np.int32)
        return part


def levels_at(task: Task) -> Levels:
    """The levels of the volume."""
    return Levels(*map(float, task.work["levels"])) if "levels" in task.work else AS_THEY_ARE
