"""Synapse tables on disk, and in the forms that other programs take in."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from connectomics.decoding.columns import column, neurons, points
from connectomics.decoding.lines import write_neuroglancer
from connectomics.decoding.table import COLUMN_TYPES, TABLE_COLUMNS
from connectomics.errors import DataError, Fault, did_you_mean
from connectomics.files import atomic_path, write_hdf5
from connectomics.geometry import Nm, VoxelGrid

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

ROUNDING = 1e-6
"""Part of a voxel by which the position of one may miss it: index · nm / nm is not quite index."""

PARQUET_REMEDY = 'Run: pip install "pyarrow>=15"'


class Export(NamedTuple):
    """A form that other programs take in: what its file or folder is called, what writes it."""

    file_name: str
    write: Callable[[pd.DataFrame, str | Path, VoxelGrid], object]


EXPORTS: dict[str, Export] = {
    "parquet": Export("synapses.parquet", lambda table, path, _: write_table(table, path)),
    "cave": Export("synapses_cave.csv", lambda table, path, _: write_cave(table, path)),
    "neuprint": Export(
        "synapses_neuprint.csv",
        lambda table, path, grid: write_neuprint(table, path, voxel_size=_known(grid)),
    ),
    "cremi": Export(
        "synapses_cremi.h5",
        lambda table, path, grid: write_cremi(table, path, offset_nm=grid.offset_nm),
    ),
    "neuroglancer": Export(
        "neuroglancer",
        lambda table, path, grid: write_neuroglancer(table, Path(path) / "synapses", grid=grid),
    ),
}
"""The exports a config may name."""


def check_exports(exports: Sequence[str], where: str, *, encoding: str = "auto") -> list[Fault]:
    """Find exports that do not exist, those that lack a package, and labels without a table.

    Args:
        exports: Names.
        where: Their place in the config, such as `decoding.exports`.
        encoding: What the labels mean, where it is known (`output_encoding`).
    """
    faults = []
    if exports and encoding not in ("auto", "polarity"):
        problem = f"takes synapses with sides, and decoding gives {encoding} labels."
        faults.append(Fault(where, problem, "Take it out, or use a decoder of pre, post, union."))
    for i, name in enumerate(exports):
        if name not in EXPORTS:
            hint = did_you_mean(name, EXPORTS)
            faults.append(Fault(f"{where}[{i}]", f"there is no export {name!r}.", hint))
        elif name == "parquet" and not _has_parquet():
            problem = "Parquet needs pyarrow, which is not installed."
            faults.append(Fault(f"{where}[{i}]", problem, f"{PARQUET_REMEDY}, or leave it out."))
    return faults


def write_export(name: str, table: pd.DataFrame, path: str | Path, *, grid: VoxelGrid) -> None:
    """Write a synapse table in one of the forms of `EXPORTS`.

    Raises:
        DataError: It cannot be written there.
    """
    EXPORTS[name].write(table, path, grid)


def _known(grid: VoxelGrid) -> Nm:
    assert grid.resolution is not None
    return grid.resolution


def _has_parquet() -> bool:
    return importlib.util.find_spec("pyarrow") is not None


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a synapse table as CSV or Parquet, whichever the suffix of the path names.

    Raises:
        DataError: The suffix is another, Parquet is not installed, or the folder cannot be
            written.
    """
    suffix = Path(path).suffix
    if suffix not in (".csv", ".parquet"):
        raise DataError(str(path), f"{suffix!r} is no format of tables.", "Use .csv or .parquet.")
    if suffix == ".parquet" and not _has_parquet():
        raise DataError(
            str(path),
            "Parquet needs pyarrow, which is not installed.",
            f"{PARQUET_REMEDY}, or use .csv.",
        )
    with atomic_path(path) as temporary:
        if suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False, engine="pyarrow")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read back what `write_table` wrote, column types included.

    Raises:
        DataError: There is no such file, or it is no synapse table.
    """
    import pandas as pd

    if not Path(path).is_file():
        raise DataError(str(path), "no such file.", "Make it with --mode decode.")
    types: Any = COLUMN_TYPES  # an empty column of a CSV would have none, a large id be rounded
    try:
        parquet = Path(path).suffix == ".parquet"
        table = pd.read_parquet(path) if parquet else pd.read_csv(path, dtype=types)
    except (ValueError, OSError) as error:
        problem = f"cannot be read as a table: {str(error).splitlines()[0]}."
        raise DataError(str(path), problem, "Make it with --mode decode.") from error
    missing = [name for name in TABLE_COLUMNS if name not in table.columns]
    if missing:
        raise DataError(
            str(path),
            f"is no synapse table: it lacks {', '.join(missing)}.",
            "Make it with --mode decode.",
        )
    return table


def write_cave(
    table: pd.DataFrame, path: str | Path, *, voxel_size: Sequence[float] = (1.0, 1.0, 1.0)
) -> int:
    """Write the upload form of CAVE's `synapse` schema, as CSV.

    One row per synapse with both sides: id, pre_pt_position, post_pt_position, ctr_pt_position
    as [x, y, z], and size in nm³. Left out, and counted in a warning, are synapses of one side,
    which the schema has no place for, and those whose two neurons are the same, which CAVE takes
    for invalid. Positions are whole numbers, for CAVE drops fractions: the first in the voxel.

    To upload: create the table with `voxel_resolution=[1, 1, 1]`, read the CSV with
    `converters` of the three positions to `json.loads`, and give it to CAVEclient's
    `annotation.post_annotation_df(name, rows, position_columns=None)`.

    Args:
        table: A synapse table.
        path: Where to, ending in .csv.
        voxel_size: nm per unit of the positions, (z, y, x), no greater than a voxel: the
            `voxel_resolution` (there x, y, z) declared to CAVE; positions are in nm by default.

    Returns:
        How many rows were written.
    """
    import pandas as pd

    paired = column(table, "side") == "paired"
    pre, post = neurons(table, "pre"), neurons(table, "post")
    autapse = paired & (pre == post) & (pre > 0)
    rows = table.take(np.flatnonzero(paired & ~autapse))
    if len(rows) < len(table):
        logger.warning(
            "CAVE takes %d of %d synapses: %d have one side only, %d connect a neuron with itself.",
            *(len(rows), len(table), np.count_nonzero(~paired), np.count_nonzero(autapse)),
        )
    grid = VoxelGrid.of(voxel_size)
    columns: dict[str, Any] = {"id": column(rows, "synapse_id")}
    for name, point in (("pre", "pre"), ("post", "post"), ("ctr", "centre")):
        places = np.ceil(grid.to_voxels(points(rows, point)) - ROUNDING)[:, ::-1]
        columns[f"{name}_pt_position"] = list(map(json.dumps, places.astype(np.int64).tolist()))
    columns["size"] = column(rows, "size_nm3")
    with atomic_path(path) as temporary:
        pd.DataFrame(columns).to_csv(temporary, index=False)
    return len(rows)


def write_neuprint(table: pd.DataFrame, path: str | Path, *, voxel_size: Sequence[float]) -> int:
    """Write the sites of synapses as neuPrint takes them, as CSV.

    One row per site: bodyId (0 where no neuron is known), type (pre or post), x, y, z of the voxel
    it lies in (int32), confidence (empty where it is not known). Connections that share the point
    and neuron of their pre site share its row, which keeps the greatest confidence.

    Args:
        table: A synapse table.
        path: Where to, ending in .csv.
        voxel_size: nm per voxel (z, y, x) of the segmentation in neuPrint.

    Returns:
        How many rows were written.
    """
    import pandas as pd

    parts, grid = [], VoxelGrid.of(voxel_size)
    for side in ("pre", "post"):
        rows = _with_side(table, side)
        places = np.floor(grid.to_voxels(points(rows, side)) + ROUNDING)
        places = places.astype(np.int32)
        columns: dict[str, Any] = {"bodyId": neurons(rows, side), "type": side}
        columns |= {axis: places[:, 2 - k] for k, axis in enumerate("xyz")}
        parts.append(pd.DataFrame({**columns, "confidence": column(rows, "confidence")}))
    sites = pd.concat(parts, ignore_index=True).sort_values("confidence", ascending=False)
    sites = sites.drop_duplicates(["bodyId", "type", "x", "y", "z"]).sort_index()
    with atomic_path(path) as temporary:
        sites.to_csv(temporary, index=False)
    return len(sites)


def write_cremi(
    table: pd.DataFrame, path: str | Path, *, offset_nm: Sequence[float] = (0.0, 0.0, 0.0)
) -> int:
    """Write the `annotations` of the CREMI format, as HDF5.

    `annotations/ids` (N,), `types` (N,) presynaptic_site or postsynaptic_site, `locations`
    (N, 3) in nm, z y x, relative to the attribute `offset`, and `presynaptic_site/partners`
    (M, 2) ids of pre and post. Synapse n has the sites 2n - 1 and 2n, as in its labels.

    Args:
        table: A synapse table.
        path: Where to, ending in .hdf or .h5.
        offset_nm: What locations are relative to (z, y, x).

    Returns:
        How many partner pairs were written.
    """
    import h5py

    ids, types, locations = [], [], []
    for side, before in (("pre", 1), ("post", 0)):
        rows = _with_side(table, side)
        ids.append(2 * column(rows, "synapse_id").astype(np.uint64) - np.uint64(before))
        types += [f"{side}synaptic_site"] * len(rows)
        locations.append(points(rows, side) - np.asarray(offset_nm, float))
    paired = column(table, "synapse_id")[column(table, "side") == "paired"].astype(np.uint64)
    partners = np.stack([2 * paired - np.uint64(1), 2 * paired], axis=1)
    with atomic_path(path) as temporary, write_hdf5(temporary) as (file, _):
        file.attrs["file_format"] = "0.2"
        group = file.create_group("annotations")
        group.attrs["offset"] = np.asarray(offset_nm, float)
        group["ids"] = np.concatenate(ids)
        group.create_dataset("types", data=types, dtype=h5py.string_dtype())
        group["locations"] = np.concatenate(locations)
        group["presynaptic_site/partners"] = partners
    return len(partners)


def _with_side(table: pd.DataFrame, side: str) -> pd.DataFrame:
    """The synapses that have a side."""
    return table.take(np.flatnonzero(column(table, f"{side}_voxels") > 0))
