"""What is done with the synapses that were found: numbered, listed, painted.

The part that `Results.part` makes of a batch of S synapses with V voxels in them holds

    table.COLUMN, partners.COLUMN   (S,) their rows
    first, group                    (S,) the first voxel of each, and the group of its components
    connection.WHAT                 (N, ...) what could be duplicates, where they are joined
    BLOCK.at, .of, .side            the voxels in each block: flat index, synapse, side
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from connectomics.decoding.blockwise.contract import Part, Parts, Read, State, Task
from connectomics.decoding.blockwise.grid import Blocks
from connectomics.decoding.blockwise.tables import PARTNERS, TABLE, as_arrays, in_order_of_id
from connectomics.decoding.candidates import PRE, Candidates
from connectomics.decoding.duplicates import duplicate_pairs
from connectomics.decoding.finishing import Finished
from connectomics.decoding.merging import number_connected
from connectomics.decoding.partners import Partners

CONNECTION = ("group", "centre", "pre", "post")


@dataclass(frozen=True)
class Results:
    """What the last passes know.

    Attributes:
        blocks: The grid.
        named: Whether the neurons are known.
        duplicate_nm: The most that lies between duplicates; 0 joins none.
    """

    blocks: Blocks
    named: bool
    duplicate_nm: float

    def part(self, task: Task, given: Candidates, done: Finished) -> Part:
        """Lay out what was found in a batch."""

        def group_of(first: np.ndarray) -> np.ndarray:
            return task.work["group"][given.synapse[np.searchsorted(given.index, first)]]

        part = as_arrays(done.table, done.partners)
        part |= {"first": done.first, "group": group_of(done.first)}
        if done.connections is not None:
            first, centres, partners = done.connections
            columns = (group_of(first), centres, partners.pre, partners.post)
            part |= {f"connection.{name}": c for name, c in zip(CONNECTION, columns, strict=True)}
        chosen = done.candidates.labelled
        index, of, side = (
            values[chosen]
            for values in (done.candidates.index, done.candidates.synapse, done.candidates.side)
        )
        for number, places in self.blocks.split(index):
            name = self.blocks.name(number)
            part[f"{name}.at"] = self.blocks.to_block(number, index[places]).astype(np.uint32)
            part[f"{name}.of"], part[f"{name}.side"] = of[places], side[places]
        return part

    def after_synapses(self, state: State, done: Iterable[tuple[Task, Part]]) -> State:
        """The synapses, or which groups hold duplicates of others; grows with the synapses."""
        rows, connections = self._gathered(done)
        batches = np.array(len(rows["start"]) - 1)
        if not self.duplicate_nm:
            return self._numbered(rows, batches, np.ones(len(rows["first"]), bool))
        again = self._duplicates(connections, state["group"], state["batch"])
        keep = {f"rows.{name}": values for name, values in rows.items()}
        return {**state, **keep, "again": again}

    def after_duplicates(self, state: State, done: Iterable[tuple[Task, Part]]) -> State:
        """The synapses, where those of some groups were decided anew; grows with the synapses."""
        old = {name[5:]: values for name, values in state.items() if name.startswith("rows.")}
        new, _ = self._gathered(done)
        batches = np.array(len(old["start"]) - 1)
        shown = np.append(state["again"][old["group"]] < 0, np.ones(len(new["first"]), bool))
        new["start"] = new["start"][1:] + old["start"][-1]
        new["touched"][:, 1] += batches
        rows = {name: np.concatenate([old[name], new[name]]) for name in old}
        return self._numbered(rows, batches, shown)

    def label_tasks(self, state: State) -> Iterator[Task]:
        """A task for every block, with the numbers of the synapses that reach into it."""
        block, batch = state["touched"].T
        bounds = np.searchsorted(block, np.arange(len(self.blocks) + 1))
        start = state["start"]
        for number in range(len(self.blocks)):
            mine = batch[bounds[number] : bounds[number + 1]]
            work = {"highest": state["highest"], "batches": mine, "again": state["batches"]}
            for which in map(int, mine):
                work[f"ids{which}"] = state["ids"][start[which] : start[which + 1]]
            yield self.blocks.task(number, work)

    def paint(self, task: Task, read: Read, parts: Parts) -> Part:
        """The labels of a block."""
        assert task.box is not None
        labels = np.zeros(task.box.shape, np.min_scalar_type(int(task.work["highest"])))
        for batch in map(int, task.work["batches"]):
            ids, again = task.work[f"ids{batch}"], batch - int(task.work["again"])
            name = ("synapses", f"{batch:06d}") if again < 0 else ("duplicates", f"{again:06d}")
            part = parts(*name)
            number = ids[part[f"{task.name}.of"]]
            shown = number > 0
            value = 2 * number - (part[f"{task.name}.side"] == PRE)
            labels.reshape(-1)[part[f"{task.name}.at"][shown]] = value[shown]
        return {"labels": labels}

    def _gathered(
        self, done: Iterable[tuple[Task, Part]]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Rows and connections of all batches, in the order of the batches."""
        found: dict[int, Part] = {}
        touched = [np.empty((0, 2), np.int64)]
        for task, part in done:
            batch = int(task.name)
            wanted = [n for n in part if n.startswith((TABLE, PARTNERS, "connection."))]
            found[batch] = {name: part[name] for name in (*wanted, "first", "group")}
            blocks = [self.blocks.number(n[:-3]) for n in part if n.endswith(".at")]
            touched.append(np.array([(block, batch) for block in blocks], int).reshape(-1, 2))
        ordered = [found[batch] for batch in sorted(found)]
        none = np.empty(0, np.int64)
        empty = {**in_order_of_id([], named=self.named), "first": none, "group": none}
        empty |= {"connection.group": none, "connection.centre": np.empty((0, 3))}
        empty |= dict.fromkeys(("connection.pre", "connection.post"), none.astype(np.uint64))
        whole = {
            name: np.concatenate([values, *(part[name] for part in ordered if name in part)])
            for name, values in empty.items()
        }
        connections = {n[11:]: whole.pop(n) for n in list(whole) if n.startswith("connection.")}
        whole["start"] = np.cumsum([0, *(len(part["first"]) for part in ordered)])
        pairs = np.concatenate(touched)
        whole["touched"] = pairs[np.lexsort(pairs.T[::-1])]
        return whole, connections

    def _numbered(
        self, rows: dict[str, np.ndarray], batches: np.ndarray, shown: np.ndarray
    ) -> State:
        """Number the synapses by their first voxel, as in the whole, and order their rows."""
        count = int(shown.sum())
        ids = np.zeros(len(shown), np.int64)
        ids[np.flatnonzero(shown)[np.argsort(rows["first"][shown])]] = np.arange(1, count + 1)
        columns = {
            name: ids[shown] if name.endswith(".synapse_id") else values[shown]
            for name, values in rows.items()
            if name.startswith((TABLE, PARTNERS))
        }
        touched = rows["touched"]
        return {
            **in_order_of_id([columns], named=self.named),
            "ids": ids,
            "start": rows["start"],
            "touched": touched[np.lexsort(touched.T[::-1])],
            "batches": batches,
            "highest": np.array(2 * count),
        }

    def _duplicates(
        self, connections: dict[str, np.ndarray], group: np.ndarray, batch: np.ndarray
    ) -> np.ndarray:
        """(G,) which groups to decide anew, together: those with duplicates in several batches.

        Args:
            connections: What could be duplicates.
            group: (K,) the group of each component.
            batch: (K,) the batch of each.
        """
        count = int(group.max(initial=-1)) + 1
        nothing = np.zeros(len(connections["pre"]))
        partners = Partners(connections["pre"], connections["post"], nothing, nothing)
        pairs = duplicate_pairs(connections["centre"], partners, distance_nm=self.duplicate_nm)
        joined = number_connected(count, connections["group"][pairs]) if count else group
        batch_of = np.zeros(count, np.int64)
        batch_of[group] = batch
        low, high = np.full(count, count), np.full(count, -1)
        np.minimum.at(low, joined, batch_of)
        np.maximum.at(high, joined, batch_of)
        several = (low < high)[joined]
        again = np.full(count, -1, np.int64)
        again[several] = np.unique(joined[several], return_inverse=True)[1].reshape(-1)
        return again
