"""Synapse tables as lines from pre to post that Neuroglancer shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from connectomics.decoding.columns import column, neurons, points
from connectomics.geometry import VoxelGrid
from connectomics.neuroglancer.annotations import Lines, Property, write_lines
from connectomics.neuroglancer.volume import first_voxel

if TYPE_CHECKING:
    import pandas as pd

SIDES = ("paired", "pre_only", "post_only")


def write_neuroglancer(
    table: pd.DataFrame,
    folder: str | Path,
    *,
    grid: VoxelGrid,
) -> None:
    """Write the synapses of a table as `neuroglancer_annotations_v1`.

    A line runs from the pre to the post point of a synapse, both in the middle of their voxels; a
    synapse of one side is a line without length. Related segments are its labels, `pre_segment`
    2n - 1 and `post_segment` 2n, and where any are known its neurons.

    Args:
        table: A synapse table.
        folder: To be made.
        grid: Where the voxels of the volume lie; their size has to be known.
    """
    assert grid.resolution is not None
    ids = column(table, "synapse_id").astype(np.uint64)
    sides = column(table, "side")
    has_pre, has_post = sides != "post_only", sides != "pre_only"
    ends = {}
    for side in ("pre", "post"):
        voxels = grid.to_voxels(points(table, side))
        ends[side] = (voxels + first_voxel(grid) + 0.5)[:, ::-1]
    starts = np.where(has_pre[:, None], ends["pre"], ends["post"])
    stops = np.where(has_post[:, None], ends["post"], ends["pre"])
    relationships = {
        "pre_segment": np.where(has_pre, 2 * ids - np.uint64(1), np.uint64(0)),
        "post_segment": np.where(has_post, 2 * ids, np.uint64(0)),
    }
    named = {f"{side}_neuron": neurons(table, side) for side in ("pre", "post")}
    relationships |= {name: values for name, values in named.items() if values.any()}
    lines = Lines(
        ids=ids,
        starts=starts,
        stops=stops,
        resolution=grid.resolution,
        bounds=_bounds(np.vstack([starts, stops])),
        properties=_properties(table, sides),
        relationships=relationships,
    )
    write_lines(Path(folder), lines)


def _bounds(ends: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not len(ends):
        return np.zeros(3), np.ones(3)
    return np.floor(ends.min(0)), np.floor(ends.max(0)) + 1


def _properties(table: pd.DataFrame, sides: NDArray[np.object_]) -> list[Property]:
    def numbers(name: str, kind: type[np.generic]) -> NDArray[np.generic]:
        return column(table, name).astype(kind)

    side = np.array([SIDES.index(str(one)) for one in sides], np.uint8)
    border = numbers("touches_border", np.uint8)
    return [
        Property("confidence", numbers("confidence", np.float32), "0 to 1, higher is surer"),
        Property("polarity_margin", numbers("polarity_margin", np.float32), "lead of the sides"),
        Property("size_nm3", numbers("size_nm3", np.float32), "of both sides, in nm³"),
        Property("pre_voxels", numbers("pre_voxels", np.uint32), "voxels of the pre side"),
        Property("post_voxels", numbers("post_voxels", np.uint32), "voxels of the post side"),
        Property("side", side, "which sides were found", SIDES),
        Property("touches_border", border, "cut by the volume's border", ("no", "yes")),
    ]
