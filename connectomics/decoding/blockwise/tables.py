"""Synapse tables as plain arrays, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from connectomics.decoding.blockwise.contract import Part, State, Task
from connectomics.decoding.candidates import Candidates
from connectomics.decoding.table import COLUMN_TYPES, describe
from connectomics.geometry import VoxelGrid

if TYPE_CHECKING:
    import pandas as pd

TABLE, PARTNERS = "table.", "partners."


def as_arrays(table: pd.DataFrame, partners: pd.DataFrame | None) -> dict[str, np.ndarray]:
    """The columns of tables as arrays without objects: table.COLUMN and partners.COLUMN."""
    found = {}
    for name in table:
        column = table[name]
        if column.dtype.kind == "u":  # neurons, of which some may be missing
            found[f"{TABLE}{name}"] = column.to_numpy(np.uint64, na_value=0)
        else:
            kind = "U9" if name == "side" else column.dtype.name
            found[f"{TABLE}{name}"] = np.asarray(column.to_numpy(), kind)
    if partners is not None:
        found |= {f"{PARTNERS}{name}": partners[name].to_numpy() for name in partners}
    return found


def gathered(state: State, done: Iterable[tuple[Task, Part]], *, named: bool) -> State:
    """The state with the rows of all parts, by id; grows with the synapses.

    Args:
        state: The state.
        done: The parts.
        named: Whether the neurons are known.
    """
    return {**state, **in_order_of_id([part for _, part in done], named=named)}


def in_order_of_id(parts: Iterable[Part], *, named: bool) -> dict[str, np.ndarray]:
    """Join the columns that parts hold, and order them by the number of the synapse."""
    none = np.empty(0)
    nothing = Candidates(
        shape=(1, 1, 1),
        grid=VoxelGrid((1.0, 1.0, 1.0)),
        **dict.fromkeys(("pre", "post", "union"), none),
        **dict.fromkeys(("index", "synapse", "side"), none.astype(int)),
        inside=none.astype(bool),
    )
    ids = none.astype(np.int64)
    neurons = (lambda candidates: none.astype(np.uint64)) if named else None
    empty = describe(nothing, ids=ids, scored=True, neurons=neurons)
    rows = [as_arrays(*empty), *parts]
    whole = {name: np.concatenate([part[name] for part in rows]) for name in rows[0]}
    order = np.argsort(whole[f"{TABLE}synapse_id"], kind="stable")
    return {name: values[order] for name, values in whole.items()}


def tables_of(state: State) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """The synapse table and the partners, from the state before the labels; None without any."""
    import pandas as pd

    columns: dict[str, Any] = {
        name: state[f"{TABLE}{name}"] for name in COLUMN_TYPES if f"{TABLE}{name}" in state
    }
    if not columns:
        return None, None
    for name in ("pre_neuron", "post_neuron"):
        ids = columns[name]
        columns[name] = pd.arrays.IntegerArray(ids.copy(), ids == 0)
    table = pd.DataFrame(columns).astype(COLUMN_TYPES)
    named = [name for name in state if name.startswith(PARTNERS)]
    if not named:
        return table, None
    return table, pd.DataFrame({name.removeprefix(PARTNERS): state[name] for name in named})
