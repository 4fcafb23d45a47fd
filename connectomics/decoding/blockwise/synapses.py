"""`synapses` (`decode_synapses`) by block.

    levels       count the values of each block (with `adapt`)
    candidates   read each block, list the union's components and what is thought of each voxel
    crowded      list the blocks that hold too much for synapses, once it is known that most do not
    faces        match the components of neighbouring blocks
    sides        drop small pieces of a side (with `min_piece_nm3`)
    synapses     decide on whole components, some with all that lies near them at once
    duplicates   decide anew on those of which some are duplicates of what was elsewhere
    labels       paint each block

The steps that decide are those of the whole (`finishing.finish`), on lists in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from connectomics.decoding.bits import BitMask
from connectomics.decoding.blockwise import batches, stitching
from connectomics.decoding.blockwise.baseline import decide_sides, largest_value, side_tasks
from connectomics.decoding.blockwise.contract import Part, Parts, Pass, Read, State, Task
from connectomics.decoding.blockwise.grid import Blocks
from connectomics.decoding.blockwise.groups import group_near
from connectomics.decoding.blockwise.listing import (
    core,
    count_sides,
    crop,
    dilated,
    list_pieces,
    list_sides,
    list_union,
    read_block,
)
from connectomics.decoding.blockwise.results import Results
from connectomics.decoding.candidates import Candidates, is_set
from connectomics.decoding.evidence import (
    bridge_voxels,
    candidate_masks,
    gather,
    is_sparse,
    mean_between,
    sum_of_union,
    too_much_foreground,
    voxels_of,
    weigh,
)
from connectomics.decoding.finishing import finish, reach_of
from connectomics.decoding.foreground import MOST_BRIDGED, MOST_UNION
from connectomics.decoding.levels import AS_THEY_ARE, Levels, count_values, levels_of
from connectomics.decoding.probabilities import Probabilities, as_p, check_block, warn_of_mask
from connectomics.decoding.sizes import scale_of
from connectomics.geometry import Box

WHERE = "decode_synapses"

CROWD = 2**20
"""Voxels of foreground that a block may hold whatever share of it they are."""

STATS = ("union.voxels", "union.first", "union.strong", "union.votes", "union.box")


@dataclass(frozen=True)
class Synapses:
    """What the passes know.

    Attributes:
        settings: All of its settings.
        blocks: The grid.
        resolution: nm per voxel (z, y, x).
        offset_nm: Position of voxel (0, 0, 0) in nm (z, y, x).
        neurons: Reads the neurons, where there are any.
        batch: Voxels to decide on at once.
        crowd: See `CROWD`.
    """

    settings: Mapping[str, Any]
    blocks: Blocks
    resolution: tuple[float, float, float]
    offset_nm: tuple[float, float, float]
    neurons: Read | None
    batch: int
    crowd: int = CROWD

    @property
    def drops(self) -> bool:
        """Whether small pieces of a side are dropped first."""
        return voxels_of(self.settings["min_piece_nm3"], self.resolution) > 1

    @property
    def joins(self) -> bool:
        """Whether duplicates are joined."""
        return self.neurons is not None and self.settings["duplicate_nm"] > 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is labelled by components."""
        return ("union",) + ("pre", "post") * self.drops

    @property
    def exclusive(self) -> bool:
        """Whether the channels are background, pre and post."""
        return self.settings["exclusive"]

    @property
    def results(self) -> Results:
        """What becomes of the synapses once they are found."""
        distance = self.settings["duplicate_nm"] if self.joins else 0.0
        return Results(self.blocks, named=self.neurons is not None, duplicate_nm=distance)

    def passes(self) -> list[Pass]:
        """The passes in order."""
        found = []
        if self.settings["adapt"]:
            found.append(Pass("levels", self.all_blocks, self.count, self.after_counting))
        found += [
            Pass("candidates", self.all_blocks, self.list_block, self.after_listing),
            Pass("crowded", self.crowded_tasks, self.list_crowded, self.after_crowded),
            Pass("faces", self.face_tasks, self.match_faces, self.after_faces),
        ]
        if self.drops:
            found.append(Pass("sides", self.side_tasks, self.decide_sides, self.after_sides))
        results = self.results
        found.append(Pass("synapses", self.synapse_tasks, self.decide, results.after_synapses))
        if self.joins:
            again = partial(self.synapse_tasks, again=True)
            found.append(Pass("duplicates", again, self.decide, results.after_duplicates))
        return [*found, Pass("labels", results.label_tasks, results.paint, lambda state, _: state)]

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
        whole = ("largest", "filled", "sum", "crowded")
        found = stitching.in_order(done, [*whole, *self._stats], self.blocks)
        largest, filled, total, crowded = (found.pop(name) for name in whole)
        if largest.max() == 1:
            warn_of_mask(WHERE)
        voxels, filled = Box((0, 0, 0), self.blocks.shape).size, filled.sum(axis=0)
        if not is_sparse(filled, voxels, self.resolution):
            mean = float(total.sum())
            raise too_much_foreground(WHERE, filled, mean, voxels, exclusive=self.exclusive)
        return {**state, **found, "crowded": np.flatnonzero(crowded)}

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
        return stitching.inserted(state, done, self._stats, self.blocks)

    def face_tasks(self, state: State) -> Iterator[Task]:
        """A task for each block that has something to match."""
        return stitching.face_tasks(state, blocks=self.blocks, kinds=self.kinds)

    def match_faces(self, task: Task, read: Read, parts: Parts) -> Part:
        """Match the faces of a block."""
        return stitching.match_faces(task, parts, blocks=self.blocks, kinds=self.kinds)

    def after_faces(self, state: State, done: Iterable[tuple[Task, Part]]) -> State:
        """What is one component; grows with the components."""
        new = {**state, **stitching.stitch(state, done, blocks=self.blocks, kinds=self.kinds)}
        if not self.drops:
            return self._grouped(new, new.pop("union.sides"))
        least = voxels_of(self.settings["min_piece_nm3"], self.resolution)
        for kind in ("pre", "post"):
            of = new.pop(f"{kind}.of")
            new[f"{kind}.kept"] = (stitching.total(new.pop(f"{kind}.voxels"), of) >= least)[of]
        return new

    def side_tasks(self, state: State) -> Iterator[Task]:
        """A task for each block that has components."""
        return side_tasks(state, self.blocks, self.kinds)

    def decide_sides(self, task: Task, read: Read, parts: Parts) -> Part:
        """Which side the listed voxels of a block have, without the small pieces."""
        return decide_sides(task, parts, counted=True)

    def after_sides(self, state: State, done: Iterable[tuple[Task, Part]]) -> State:
        """What is to be decided on together; grows with the components."""
        return self._grouped(state, stitching.sides_in_order(state, done, self.blocks))

    def synapse_tasks(self, state: State, *, again: bool = False) -> Iterator[Task]:
        """Tasks of some groups of components each; `again` those that hold duplicates."""
        component, batch = state["component"], state["batch"]
        if again:
            batch = state["again"][state["group"]]
            component = np.where(np.append(batch, -1)[component] >= 0, component, -1)
        for task in batches.tasks(state["union.start"], component, batch):
            more = {"scale": state["scale"], "group": state["group"][task.work["components"]]}
            if "levels" in state:
                more["levels"] = state["levels"]
            yield replace(task, work={**task.work, **more})

    def decide(self, task: Task, read: Read, parts: Parts) -> Part:
        """Make synapses of components."""
        found = batches.gather_list(task, parts, self.blocks, dropped=self.drops)
        levels = _levels(task)
        p = weigh(found["values"], levels, self.exclusive)
        candidates = Candidates(
            shape=self.blocks.shape,
            resolution=self.resolution,
            index=found["index"],
            pre=p[0],
            post=p[1],
            union=p[2],
            inside=found["inside"],
            synapse=found["component"],
            side=found["side"],
        )
        between = partial(mean_between, self._reader(read), levels=levels, exclusive=self.exclusive)
        done = finish(
            candidates,
            SimpleNamespace(**self.settings),
            scale=float(task.work["scale"]),
            between=between,
            neurons=batches.neurons_of(self.neurons, self.blocks, WHERE),
            offset_nm=self.offset_nm,
        )
        return self.results.part(task, candidates, done)

    @property
    def _stats(self) -> list[str]:
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
            probabilities, _levels(task), chosen["thres"], low, self.exclusive
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
        p_pre, p_post, p_union = weigh(part["values"], _levels(task), self.exclusive)
        high = (self.settings["hysteresis"] or (0.0, 0.0))[1]
        part["union.strong"] = np.bincount(component[inside & (p_union > high)], minlength=count)
        votes = [component[inside & mask] for mask in (p_pre > p_post, ~(p_pre > p_post))]
        part["union.votes"] = np.stack([np.bincount(v, minlength=count) for v in votes], axis=1)
        places = np.stack(np.unravel_index(at, mine.shape), axis=1) + mine.start
        low, last = (f(places, component) for f in (stitching.smallest, stitching.largest))
        part["union.box"] = np.stack([low, last + 1], axis=1).astype(np.int32)
        return part

    def _grouped(self, state: State, sides: np.ndarray) -> State:
        """Keep the components that are strong enough, and cut them into batches."""
        of, start = state["union.of"], state["union.start"]
        votes = stitching.total(state["union.votes"], of)
        votes = votes * (stitching.total(sides, of).sum(axis=1) > 0)[:, None]
        voxel_nm3 = float(np.prod(self.resolution))
        scale = scale_of(votes.T, voxel_nm3) if self.settings["adapt"] else 1.0
        kept = np.ones(len(votes), bool)
        if self.settings["hysteresis"] is not None:
            least = max(1, voxels_of(scale * self.settings["core_nm3"], self.resolution))
            kept = stitching.total(state["union.strong"], of) >= least
        component = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)[of]
        taken = component >= 0
        reach = reach_of(SimpleNamespace(**self.settings), self.resolution)
        group = np.arange(int(kept.sum()))
        if reach is not None:
            group = group_near(state["union.box"][taken], component[taken], reach)
        voxels = stitching.total(state["union.voxels"], of)[kept]
        first = stitching.smallest(state["union.first"], of)[kept]
        leaders = np.unique(group)
        group = np.searchsorted(leaders, group)
        batch = batches.cut(
            stitching.total(voxels, group), self.blocks.holding(first[leaders]), self.batch, WHERE
        )
        new = {name: state[name] for name in ("levels", "crowded") if name in state}
        return {
            **new,
            "union.start": start,
            "component": component,
            "group": group,
            "batch": batch[group],
            "scale": np.array(scale),
        }

    def _reader(self, read: Read) -> Callable[[np.ndarray], np.ndarray]:
        """Reads the probability of the union, or of the background, at voxels (N, 3)."""
        channel = 0 if self.exclusive else 2

        def at(points: np.ndarray) -> np.ndarray:
            low, high = points.min(axis=0), points.max(axis=0) + 1
            values = read(Box(tuple(low), tuple(high)))[channel]  # pyright: ignore
            z, y, x = (points - low).T
            return as_p(np.asarray(values)[z, y, x])

        return at


def _levels(task: Task) -> Levels:
    """The levels of the volume."""
    return Levels(*map(float, task.work["levels"])) if "levels" in task.work else AS_THEY_ARE
