"""`polarity2instance` and `binary2instance` by block.

candidates   read each block, list its foreground in components and pieces
faces        match the components of neighbouring blocks
sides        drop small pieces, now that their sizes are known (where any are to be dropped)
rows         measure whole synapses for the table (where the resolution is known)
labels       paint each block
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import numpy as np

from connectomics.decoding.bits import BitMask
from connectomics.decoding.blockwise import batches, stitching
from connectomics.decoding.blockwise.by_block import BlockDecoder, ByBlock
from connectomics.decoding.blockwise.contract import Part, Parts, Pass, Read, State, Task
from connectomics.decoding.blockwise.listing import (
    core,
    count_sides,
    crop,
    dilated,
    largest_value,
    list_pieces,
    list_sides,
    list_union,
    listed,
    read_block,
    sides_of,
)
from connectomics.decoding.blockwise.needed import Needed
from connectomics.decoding.blockwise.sides import decide_sides, side_tasks
from connectomics.decoding.blockwise.tables import as_arrays, gathered
from connectomics.decoding.candidates import NONE, PRE, Candidates
from connectomics.decoding.evidence import gather, weigh
from connectomics.decoding.foreground import count_foreground
from connectomics.decoding.levels import AS_THEY_ARE, Levels
from connectomics.decoding.probabilities import (
    Probabilities,
    polarity_masks,
    threshold_masks,
    warn_of_mask,
)
from connectomics.decoding.sides import report_one_sided
from connectomics.decoding.table import check_resolution, describe

PAIRED = "drop_one_sided"


class Baseline(BlockDecoder):
    """The passes of both decoders; where the size of voxels is not known, there is no table."""

    polarity: ClassVar[bool] = False
    """Whether the labels have sides."""

    @property
    def paired(self) -> bool:
        """Whether synapses of one side are dropped."""
        return PAIRED in self.refiners

    @property
    def semantic(self) -> bool:
        """Whether the labels are sides, not instances."""
        return self.polarity and self.settings["semantic"]

    @property
    def drops(self) -> bool:
        """Whether small pieces of a side are dropped."""
        return self.polarity and self.settings["thres_small"] > 1

    @property
    def tabled(self) -> bool:
        """Whether there is a table."""
        return self.polarity and not self.semantic and self.grid.resolution is not None

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is labelled by components."""
        return ("union",) * (not self.semantic) + ("pre", "post") * self.drops

    def passes(self) -> list[Pass]:
        """The passes in order."""
        if self.grid.resolution is not None:
            check_resolution(self.decoder, self.grid.resolution)
        found = [Pass("candidates", self.all_blocks, self.list_block, self.after_listing)]
        if self.kinds:
            found.append(Pass("faces", self.face_tasks, self.match_faces, self.after_faces))
        if self.drops:
            found.append(Pass("sides", self.side_tasks, self.decide_sides, self.after_sides))
        if self.tabled:
            found.append(Pass("rows", self.row_tasks, self.make_rows, self.after_rows))
        return [*found, Pass("labels", self.label_tasks, self.paint, lambda state, done: state)]

    def all_blocks(self, state: State) -> Iterator[Task]:
        """A task for every block."""
        return (self.blocks.task(number) for number in range(len(self.blocks)))

    def list_block(self, task: Task, read: Read, parts: Parts) -> Part:
        """List the foreground of a block."""
        number, edge = self.blocks.number(task.name), self.settings.get("dilate_sz", 0)
        probabilities, inner = read_block(
            self.blocks,
            number,
            read,
            edge=0 if self.semantic else edge,
            channels=3 if self.polarity else 1,
            where=self.decoder,
        )
        mine = core(probabilities, inner)
        exclusive = self.settings.get("exclusive", False)
        filled = count_foreground(mine, exclusive=exclusive)
        part = {"largest": largest_value(mine), "foreground": np.array([filled])}
        if not self.polarity:
            (union,) = threshold_masks(probabilities, self.settings["thres"])
            wanted = crop(union, inner)
            return part | list_union(self.blocks, number, crop(dilated(union, edge), inner), wanted)
        pre, post, union = polarity_masks(probabilities, self.settings["thres"], exclusive)
        pre, post = crop(pre, inner), crop(post, inner)
        either = BitMask(pre.bits | post.bits, pre.shape)
        if self.semantic:
            part["at"] = np.flatnonzero(either.unpack()).astype(np.uint32)
        else:
            bridged = crop(dilated(union, edge), inner)
            part |= list_union(self.blocks, number, bridged, either)
        if self.tabled:
            part["values"] = gather(mine, part["at"].astype(np.int64))
        if self.drops:
            return part | list_pieces(part["at"], pre, post)
        part["side"] = list_sides(part["at"], pre, post)
        if not self.semantic:
            count = len(part["union.voxels"])
            part["union.sides"] = count_sides(part["side"], part["component"], count)
        return part

    def after_listing(self, state: State, done: Iterable[tuple[Task, Part]]) -> State:
        """What each block has; grows with blocks and components."""
        names = [f"{kind}.voxels" for kind in self.kinds]
        if "union" in self.kinds:
            names += ["union.first"] + ["union.sides"] * (self.polarity and not self.drops)
        found = stitching.in_order(done, ["largest", "foreground", *names], self.blocks)
        if found.pop("largest").max() == 1:
            warn_of_mask(self.decoder)
        found["foreground"] = found["foreground"].sum()
        return found if self.kinds else {**found, "highest": np.array(2)}

    def face_tasks(self, state: State) -> Iterator[Task]:
        """A task for each block that has something to match."""
        return stitching.face_tasks(state, blocks=self.blocks, kinds=self.kinds)

    def match_faces(self, task: Task, read: Read, parts: Parts) -> Part:
        """Match the faces of a block."""
        return stitching.match_faces(task, parts, blocks=self.blocks, kinds=self.kinds)

    def after_faces(self, state: State, done: Iterable[tuple[Task, Part]]) -> State:
        """What is one component, and which pieces are kept; grows with the components."""
        new = {**state, **stitching.stitch(state, done, blocks=self.blocks, kinds=self.kinds)}
        least = self.settings["thres_small"]
        if not self.polarity:
            of = new["union.of"]
            kept = stitching.total(new["union.voxels"], of) >= least
            number = np.cumsum(kept) * kept
            return {**new, "ids": number[of], "highest": number.max(initial=0)}
        if not self.drops:
            return self._numbered(new, new.pop("union.sides"))
        for kind in ("pre", "post"):
            of = new.pop(f"{kind}.of")
            new[f"{kind}.kept"] = (stitching.total(new.pop(f"{kind}.voxels"), of) >= least)[of]
        return {**new, "highest": np.array(2)} if self.semantic else new

    def side_tasks(self, state: State) -> Iterator[Task]:
        """A task for each block that has components."""
        return side_tasks(state, self.blocks, self.kinds)

    def decide_sides(self, task: Task, read: Read, parts: Parts) -> Part:
        """Which side the listed voxels of a block have, without the small pieces."""
        return decide_sides(task, parts, counted=not self.semantic)

    def after_sides(self, state: State, done: Iterable[tuple[Task, Part]]) -> State:
        """The numbers of the synapses; grows with the components."""
        if self.semantic:
            return state
        return self._numbered(state, stitching.sides_in_order(state, done, self.blocks))

    def _numbered(self, state: State, sides: np.ndarray) -> State:
        """Number the synapses, from the voxels (L, 2) that components have on each side."""
        of = state["union.of"]
        voxels = stitching.total(sides, of)
        pre, post = voxels.T > 0
        report_one_sided(pre, post)
        painted = pre & post if self.paired else pre | post
        number = np.cumsum(painted) * painted
        return {
            "union.start": state["union.start"],
            "ids": number[of],
            "voxels": voxels.sum(axis=1)[painted],
            "first": stitching.smallest(state["union.first"], of)[painted],
            "highest": 2 * number.max(initial=0),
        }

    def row_tasks(self, state: State) -> Iterator[Task]:
        """Tasks of some whole synapses each."""
        place = self.blocks.holding(state["first"])
        batch = batches.cut(state["voxels"], place, self.batch, self.decoder)
        return batches.tasks(state["union.start"], state["ids"] - 1, batch)

    def make_rows(self, task: Task, read: Read, parts: Parts) -> Part:
        """The rows of some synapses in the table."""
        assert self.grid.resolution is not None
        found = batches.gather_list(task, parts, self.blocks, dropped=self.drops)
        taken = found["side"] > NONE
        found = {name: values[..., taken] for name, values in found.items()}
        p = weigh(found["values"], AS_THEY_ARE, self.settings["exclusive"])
        candidates = Candidates(
            shape=self.blocks.shape,
            grid=self.grid,
            index=found["index"],
            pre=p[0],
            post=p[1],
            union=p[2],
            inside=np.ones(p.shape[1], bool),
            synapse=found["component"],
            side=found["side"],
        )
        listed = describe(
            candidates,
            ids=task.work["components"] + 1,
            scored=True,
            neurons=batches.neurons_of(self.neurons, self.blocks, "synapse_table"),
        )
        return as_arrays(listed.table, listed.partners)

    def after_rows(self, state: State, done: Iterable[tuple[Task, Part]]) -> State:
        """The table; grows with the synapses."""
        return gathered(state, done, named=self.neurons is not None)

    def label_tasks(self, state: State) -> Iterator[Task]:
        """A task for every block, with the numbers of its components."""
        for number in range(len(self.blocks)):
            work = {"highest": np.asarray(state["highest"])}
            if self.semantic and not self.drops:
                work["any"] = np.array(True)
            elif self.semantic:
                own = [stitching.own(state, kind, number) for kind in ("pre", "post")]
                work["any"] = np.array(any(s.stop > s.start for s in own))
            else:
                work["ids"] = state["ids"][stitching.own(state, "union", number)]
                work["any"] = np.array(work["ids"].any())
            yield self.blocks.task(number, work)

    def paint(self, task: Task, read: Read, parts: Parts) -> Part:
        """The labels of a block."""
        assert task.box is not None
        labels = np.zeros(task.box.shape, np.min_scalar_type(int(task.work["highest"])))
        if not task.work["any"]:
            return {"labels": labels}
        part = listed(parts, task.name)
        number = 1 if self.semantic else task.work["ids"][part["component"]]
        if self.polarity:
            side = sides_of(parts, task.name, self.drops)
            shown = (side > NONE) & (number > 0)
            number = np.where(shown, 2 * number - (side == PRE), 0)
        labels.reshape(-1)[part["at"]] = number
        return {"labels": labels}


class Polarity(Baseline):
    """The passes of the one whose labels have sides."""

    polarity = True


class _Needed(Needed):
    """The foreground, and as much around it as is dilated."""

    @property
    def reach(self) -> tuple[int, int]:
        edge = 0 if self.settings.get("semantic") else self.settings["dilate_sz"]
        return 0, edge // 2

    def bound(self, levels: Levels) -> float:
        return self.settings["thres"]

    def candidates(self, block: Probabilities, levels: Levels) -> BitMask:
        if self.channels == 1:
            return threshold_masks(block, self.settings["thres"])[0]
        # pre and post lie in the union
        return polarity_masks(block, self.settings["thres"], self.exclusive)[2]


BINARY_BY_BLOCK = ByBlock(Baseline, _Needed)
POLARITY_BY_BLOCK = ByBlock(Polarity, _Needed, refiners=(PAIRED,))
