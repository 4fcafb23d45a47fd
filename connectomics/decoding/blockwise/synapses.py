"""`synapses` (`decode_synapses`) by block.

    thresholds   count the values of each block, which they adapt to (with `adapt`)
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

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace

import numpy as np

from connectomics.decoding.bits import BitMask
from connectomics.decoding.blockwise import batches, stitching
from connectomics.decoding.blockwise.by_block import BlockDecoder, ByBlock
from connectomics.decoding.blockwise.candidates import (
    CROWD,
    WHERE,
    CandidateLists,
    levels_at,
)
from connectomics.decoding.blockwise.contract import Part, Parts, Pass, Read, State, Task
from connectomics.decoding.blockwise.groups import group_near
from connectomics.decoding.blockwise.needed import Needed
from connectomics.decoding.blockwise.results import Results
from connectomics.decoding.blockwise.sides import decide_sides, side_tasks
from connectomics.decoding.candidates import Candidates
from connectomics.decoding.evidence import (
    bridge_voxels,
    candidate_masks,
    mean_between,
    voxels_of,
    weigh,
)
from connectomics.decoding.finishing import finish, reach_of
from connectomics.decoding.levels import Levels
from connectomics.decoding.probabilities import Probabilities, as_p
from connectomics.decoding.sizes import scale_of
from connectomics.decoding.table import check_resolution
from connectomics.geometry import Box, Nm


@dataclass(frozen=True)
class Synapses(BlockDecoder):
    """The passes of the decoder.

    Attributes:
        crowd: Voxels of foreground that a block may hold whatever share of it they are.
    """

    crowd: int = CROWD

    @property
    def resolution(self) -> Nm:
        """Nm per voxel (z, y, x)."""
        assert self.grid.resolution is not None
        return self.grid.resolution

    @property
    def exclusive(self) -> bool:
        """Whether the channels are background, pre and post."""
        return self.settings["exclusive"]

    @property
    def lists(self) -> CandidateLists:
        """The passes that list the candidates."""
        return CandidateLists(self.settings, self.blocks, self.resolution, self.crowd)

    @property
    def joins(self) -> bool:
        """Whether duplicates are joined."""
        return self.neurons is not None and self.settings["duplicate_nm"] > 0

    @property
    def results(self) -> Results:
        """What becomes of the synapses once they are found."""
        distance = self.settings["duplicate_nm"] if self.joins else 0.0
        return Results(self.blocks, named=self.neurons is not None, duplicate_nm=distance)

    def passes(self) -> list[Pass]:
        """The passes in order."""
        check_resolution("decode_synapses", self.grid.resolution)
        found = self.lists.passes()
        found.append(Pass("faces", self.face_tasks, self.match_faces, self.after_faces))
        if self.lists.drops:
            found.append(Pass("sides", self.side_tasks, self.decide_sides, self.after_sides))
        results = self.results
        found.append(Pass("synapses", self.synapse_tasks, self.decide, results.after_synapses))
        if self.joins:
            again = partial(self.synapse_tasks, again=True)
            found.append(Pass("duplicates", again, self.decide, results.after_duplicates))
        return [*found, Pass("labels", results.label_tasks, results.paint, lambda state, _: state)]

    def face_tasks(self, state: State) -> Iterator[Task]:
        """A task for each block that has something to match."""
        return stitching.face_tasks(state, blocks=self.blocks, kinds=self.lists.kinds)

    def match_faces(self, task: Task, read: Read, parts: Parts) -> Part:
        """Match the faces of a block."""
        return stitching.match_faces(task, parts, blocks=self.blocks, kinds=self.lists.kinds)

    def after_faces(self, state: State, done: Iterable[tuple[Task, Part]]) -> State:
        """What is one component; grows with the components."""
        new = {**state, **stitching.stitch(state, done, blocks=self.blocks, kinds=self.lists.kinds)}
        if not self.lists.drops:
            return self._grouped(new, new.pop("union.sides"))
        least = voxels_of(self.settings["min_piece_nm3"], self.resolution)
        for kind in ("pre", "post"):
            of = new.pop(f"{kind}.of")
            new[f"{kind}.kept"] = (stitching.total(new.pop(f"{kind}.voxels"), of) >= least)[of]
        return new

    def side_tasks(self, state: State) -> Iterator[Task]:
        """A task for each block that has components."""
        return side_tasks(state, self.blocks, self.lists.kinds)

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
        found = batches.gather_list(task, parts, self.blocks, dropped=self.lists.drops)
        levels = levels_at(task)
        p = weigh(found["values"], levels, self.exclusive)
        candidates = Candidates(
            shape=self.blocks.shape,
            grid=self.grid,
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
        )
        return self.results.part(task, candidates, done)

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


class _Needed(Needed):
    """The union down to its low threshold, and the lines between sides."""

    @property
    def adapts(self) -> bool:
        return self.settings["adapt"]

    @property
    def reach(self) -> tuple[int, int]:
        assert self.resolution is not None
        edge = bridge_voxels(self.settings["bridge_nm"], self.resolution)
        # Of the line between two sides, every voxel is within half of it from one of them.
        half = [int(self.settings["pair_nm"] / nm + 1) // 2 + 1 for nm in self.resolution]
        line = self.settings["pair_nm"] > 0
        return half[0] * line, edge // 2 + max(half[1:]) * line

    def bound(self, levels: Levels) -> float:
        return levels.raw((self.settings["hysteresis"] or (self.settings["thres"],))[0])

    def candidates(self, block: Probabilities, levels: Levels) -> BitMask:
        low = None if self.settings["hysteresis"] is None else self.settings["hysteresis"][0]
        # pre and post lie in the union
        return candidate_masks(block, levels, self.settings["thres"], low, self.exclusive)[2]


BY_BLOCK = ByBlock(Synapses, _Needed)
