"""The synapse table: one row per connection, positions in nm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from connectomics.decoding.candidates import Candidates
from connectomics.decoding.confidence import confidence, polarity_margin
from connectomics.decoding.evidence import gather, gather_neurons, weigh
from connectomics.decoding.extent import measure_extent
from connectomics.decoding.levels import AS_THEY_ARE
from connectomics.decoding.listed_labels import ListedLabels, candidates_of
from connectomics.decoding.partners import Partners, name_partners, partner_table
from connectomics.decoding.probabilities import check_probabilities
from connectomics.errors import DataError
from connectomics.geometry import VOXEL_NM, VoxelGrid

if TYPE_CHECKING:
    import pandas as pd

COLUMN_TYPES = {
    "synapse_id": "int64",
    **{f"{point}_{axis}_nm": "float64" for point in ("pre", "post", "centre") for axis in "xyz"},
    "pre_voxels": "int64",
    "post_voxels": "int64",
    "size_nm3": "float64",
    "confidence": "float64",
    "polarity_margin": "float64",
    "side": "str",
    "pre_neuron": "UInt64",
    "post_neuron": "UInt64",
    "touches_border": "bool",
}
"""Columns of a synapse table, in their order, and the type of each, as pandas names it."""

TABLE_COLUMNS = tuple(COLUMN_TYPES)
"""Columns of a synapse table, in their order."""

Neurons = Callable[[Candidates], np.ndarray]
"""Gives the neuron at each of V voxels, (V,) uint64; 0 is none."""

CLEFT_NM, BAND_NM = 16.0, 64.0


def synapse_table(
    labels: np.ndarray,
    *,
    resolution: Sequence[float],
    offset_nm: Sequence[float] = (0.0, 0.0, 0.0),
    probabilities: np.ndarray | None = None,
    exclusive: bool = False,
    neurons: np.ndarray | None = None,
) -> pd.DataFrame:
    """List the synapses of a polarity label volume, predicted or annotated.

    A point is the voxel of the object it names that lies nearest to the object's centroid; its
    position is index · resolution + offset. What a synapse lacks is empty (NaN, <NA>).

    Args:
        labels: (Z, Y, X) integers: the pre voxels of synapse n carry 2n - 1, its post voxels 2n.
        resolution: nm per voxel (z, y, x).
        offset_nm: Position of voxel (0, 0, 0) in nm (z, y, x).
        probabilities: (3, Z, Y, X), as the decoder read them, for confidence and margin.
        exclusive: The channels of `probabilities` are background, pre and post.
        neurons: (Z, Y, X) ids, for the partners; 0 is none.

    Returns:
        `TABLE_COLUMNS`, one row per synapse, by id. `synapse_id` is n. `confidence` lies in
        [0, 1] and is not calibrated; `polarity_margin` is the mean lead of a voxel's side over
        the other, in [-1, 1]. `side` is paired, pre_only or post_only. `touches_border` says
        that a voxel lies on the volume's border.

    Raises:
        DataError: The arrays do not fit each other, or are not what they should be.

    >>> labels = np.array([[[0, 1, 1, 1, 2, 0]]])
    >>> table = synapse_table(labels, resolution=(30, 8, 8), offset_nm=(60, 0, 0))
    >>> table[["pre_x_nm", "pre_z_nm", "post_x_nm", "side"]].values.tolist()
    [[16.0, 60.0, 32.0, 'paired']]
    """
    return list_synapses(
        labels,
        VoxelGrid.of(check_resolution("synapse_table", resolution), offset_nm),
        probabilities=probabilities,
        exclusive=exclusive,
        neurons=neurons,
    ).table


class SynapseList(NamedTuple):
    """The synapses of a label volume.

    Attributes:
        table: See `synapse_table`.
        partners: See `partner_table`; None without neurons.
    """

    table: pd.DataFrame
    partners: pd.DataFrame | None


def list_synapses(
    labels: np.ndarray | ListedLabels,
    grid: VoxelGrid,
    *,
    probabilities: np.ndarray | None = None,
    exclusive: bool = False,
    neurons: Any = None,
) -> SynapseList:
    """List the synapses of a label volume, and how sure it is which neurons they connect.

    Of listed voxels, a synapse is described as on the whole volume if they hold all that are
    labelled in the box around it.

    Args:
        labels: See `synapse_table`.
        grid: Where the voxels lie.
        probabilities: See `synapse_table`.
        exclusive: See `synapse_table`.
        neurons: See `synapse_table`.

    Raises:
        DataError: As `synapse_table`.
    """
    where = "synapse_table"
    check_resolution(where, grid.resolution)
    ids, candidates = candidates_of(where, labels, grid)
    if probabilities is not None:
        volume = check_probabilities(probabilities, channels=3, where=where)
        if volume.shape != candidates.shape:
            raise DataError(
                where,
                f"the labels have shape {candidates.shape}, the probabilities {volume.shape}.",
                "Give the probabilities that the labels were decoded from.",
            )
        p = weigh(gather(volume, candidates.index), AS_THEY_ARE, exclusive)
        candidates = candidates.weigh(*p)
    return describe(
        candidates,
        ids=ids,
        scored=probabilities is not None,
        neurons=None if neurons is None else partial(gather_neurons, neurons, where=where),
    )


def describe(
    candidates: Candidates,
    *,
    ids: np.ndarray,
    scored: bool,
    neurons: Neurons | None,
) -> SynapseList:
    """List the synapses of labelled voxels; each has at least one.

    Args:
        candidates: Synapses 0 ... S - 1 with sides.
        ids: (S,) what to call them.
        scored: Whether the probabilities are known, so that confidence and margin are.
        neurons: Gives the neuron at each voxel, where there are any.
    """
    scores: dict[str, Any] = {}
    if scored:
        scores = {
            "confidence": confidence(candidates),
            "polarity_margin": polarity_margin(candidates),
        }
    partners = None
    if neurons is not None:
        neuron = neurons(candidates)
        partners = name_partners(candidates, neuron, cleft_nm=CLEFT_NM, band_nm=BAND_NM)
    table = build_table(candidates, ids=ids, partners=partners, **scores)
    return SynapseList(table, None if partners is None else partner_table(partners, ids))


def build_table(
    candidates: Candidates,
    *,
    ids: np.ndarray | None = None,
    confidence: np.ndarray | None = None,
    polarity_margin: np.ndarray | None = None,
    partners: Partners | None = None,
) -> pd.DataFrame:
    """Lay out the table of listed voxels; every synapse has at least one.

    Args:
        candidates: Synapses 0 ... S - 1 with sides.
        ids: (S,) what to call them; n = 1 ... S by default.
        confidence: (S,), or None where it is not known.
        polarity_margin: (S,), or None.
        partners: Their neurons, or None.
    """
    import pandas as pd

    count = candidates.count
    unknown = np.full(count, np.nan)
    extent = measure_extent(candidates)
    pre, post = extent.voxels.T
    points = candidates.grid.to_nm(extent.points)
    columns: dict[str, Any] = {"synapse_id": np.arange(1, count + 1) if ids is None else ids}
    for i, name in enumerate(("pre", "post", "centre")):
        columns |= {f"{name}_{axis}_nm": points[:, i, 2 - k] for k, axis in enumerate("xyz")}
    columns |= {
        "pre_voxels": pre,
        "post_voxels": post,
        "size_nm3": (pre + post) * candidates.voxel_nm3,
        "confidence": unknown if confidence is None else confidence,
        "polarity_margin": unknown if polarity_margin is None else polarity_margin,
        "side": np.where(post == 0, "pre_only", np.where(pre == 0, "post_only", "paired")),
        "pre_neuron": _neuron_ids(None if partners is None else partners.pre, count),
        "post_neuron": _neuron_ids(None if partners is None else partners.post, count),
        "touches_border": extent.at_border,
    }
    return pd.DataFrame(columns, columns=list(TABLE_COLUMNS)).astype(COLUMN_TYPES)


def check_resolution(where: str, resolution: Sequence[float] | None) -> tuple[float, float, float]:
    """The resolution as three plain numbers.

    Raises:
        DataError: It is not three numbers that can be the edges of a voxel.
    """
    values = () if resolution is None else tuple(float(size) for size in resolution)
    if len(values) != 3 or not all(VOXEL_NM[0] <= size < float("inf") for size in values):
        raise DataError(
            where,
            f"the resolution is {resolution!r}.",
            "Give nm per voxel (z, y, x), such as (30, 8, 8); in YAML: data.test.resolution.",
        )
    z, y, x = values
    return z, y, x


def _neuron_ids(neuron: np.ndarray | None, count: int) -> Any:
    """Ids as whole numbers that may be missing."""
    import pandas as pd

    ids = np.zeros(count, np.uint64) if neuron is None else neuron
    return pd.arrays.IntegerArray(ids.astype(np.uint64), ids == 0)
