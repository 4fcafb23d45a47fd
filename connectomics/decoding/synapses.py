"""The decoder beyond the baseline: probabilities to synapses, each with its row in a table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from connectomics.decoding.candidates import Candidates
from connectomics.decoding.decoder import Decoder
from connectomics.decoding.evidence import find_candidates, gather_neurons, union_between
from connectomics.decoding.finishing import finish
from connectomics.decoding.hysteresis import keep_strong
from connectomics.decoding.levels import AS_THEY_ARE, measure_levels
from connectomics.decoding.probabilities import check_probabilities
from connectomics.decoding.settings import (
    Calibration,
    Distance,
    Flag,
    Gap,
    Probability,
    Saddle,
    Sections,
    Share,
    Threshold,
    Thresholds,
    Volume,
)
from connectomics.decoding.sizes import size_scale
from connectomics.decoding.table import check_resolution
from connectomics.geometry import VoxelGrid
from connectomics.legal import require_legal

if TYPE_CHECKING:
    import pandas as pd

    from connectomics.decoding.blockwise.by_block import ByBlock

BASELINE: dict[str, Any] = {
    "adapt": False,
    "min_piece_nm3": 128 * 30.0 * 8.0 * 8.0,
    "hysteresis": None,
    "trim": 0.0,
    "split_saddle": None,
    "vote": False,
    "stray_share": 0.0,
    "mend_sections": 0,
    "pair_nm": 0.0,
    "polyadic": False,
    "duplicate_nm": 0.0,
    "min_confidence": 0.0,
    "min_side_nm3": 0.0,
    "min_synapse_nm3": 0.0,
}
"""Settings with which `decode_synapses` is the baseline: every point off, the early filter on."""

_NO_SETTINGS = ("where", "probabilities", "resolution", "neurons", "offset_nm")


class SynapseResult(NamedTuple):
    """What a decoder finds.

    Attributes:
        labels: (Z, Y, X) unsigned: the pre voxels of synapse n carry 2n - 1, its post voxels 2n.
        table: One row per synapse (`TABLE_COLUMNS`).
        partners: One row per synapse: synapse_id, pre_neuron, pre_margin, post_neuron,
            post_margin, autapse. None without neurons.
    """

    labels: np.ndarray
    table: pd.DataFrame
    partners: pd.DataFrame | None


def decode_synapses(
    probabilities: np.ndarray,
    *,
    resolution: Sequence[float],
    neurons: np.ndarray | None = None,
    offset_nm: Sequence[float] = (0.0, 0.0, 0.0),
    exclusive: Flag = False,
    adapt: Flag = True,
    thres: Threshold = 0.5,
    bridge_nm: Distance = 40.0,
    min_piece_nm3: Volume = 0.0,
    hysteresis: Thresholds = (0.3, 0.5),
    core_nm3: Volume = 0.25e6,
    trim: Share = 0.5,
    split_saddle: Saddle = 0.7,
    split_sigma_nm: Distance = 32.0,
    split_radius_nm: Distance = 60.0,
    part_nm3: Volume = 0.75e6,
    vote: Flag = True,
    stray_share: Share = 0.2,
    mend_sections: Sections = 1,
    mend_overlap: Share = 0.4,
    pair_nm: Distance = 60.0,
    pair_evidence: Probability = 0.2,
    polyadic: Flag = True,
    partner_share: Share = 0.2,
    apart_nm: Gap = 24.0,
    duplicate_nm: Distance = 250.0,
    calibration: Calibration = None,
    min_confidence: Probability = 0.42,
    one_sided: Share = 0.45,
    min_side_nm3: Volume = 20e3,
    min_synapse_nm3: Volume = 40e3,
) -> SynapseResult:
    """Decode pre- and post-synaptic probabilities into synapses, and list them.

    The baseline's rule (`polarity2instance`) finds components of the union and the sides in
    them. Every setting below that says "off" can be switched off on its own; with the settings
    `BASELINE` all are, and the labels are the baseline's. Distances are in nm and volumes in
    nm³, so that the same settings serve other voxel sizes. With `adapt` they serve other
    networks and smaller synapses, too: probabilities are read between the volume's own background
    and its surest voxels (`measure_levels`), and what counts as large shrinks with the synapses
    it holds (`size_scale`).

    1. `hysteresis` lets the union reach down to a low threshold where it holds enough that
       exceeds the high one; `trim` then cuts each synapse at a share of its own strength.
    2. `split_saddle` splits what touches (`split_touching`).
    3. `vote` gives each voxel to the likelier side, `stray_share` takes the vote from strays.
    4. `mend_sections` joins what a damaged section cuts, `pair_nm` pairs sides found apart.
    5. `polyadic` makes each post partner of one pre side a synapse of its own.
    6. `neurons` name the partners, and split what spans several.
    7. `duplicate_nm` joins synapses between the same neurons at the same place.
    8. `min_confidence` drops what is unlikely, most of what is `one_sided` with it;
       `calibration` says how likely that is.
    9. `min_side_nm3` and `min_synapse_nm3` drop what is too small, last of all.

    Args:
        probabilities: (3, Z, Y, X), as `polarity2instance` takes them.
        resolution: nm per voxel (z, y, x).
        neurons: (Z, Y, X) ids of a neuron segmentation; 0 is none.
        offset_nm: Position of voxel (0, 0, 0) in nm (z, y, x), for the table.
        exclusive: The channels are background, pre and post, and exclude each other.
        adapt: Read probabilities, `core_nm3`, `part_nm3` and confidence relative to what this
            volume holds; False takes them as they are.
        thres: Probability above which a voxel is foreground.
        bridge_nm: Edge of the square by which the union is dilated in each section, to bridge
            gaps within a synapse.
        min_piece_nm3: Pieces of one side smaller than this are dropped first; 0 drops none.
        hysteresis: Low and high threshold of the union; None is off.
        core_nm3: Volume above the high threshold that a component needs.
        trim: Share of the synapse's own strength that the union needs at a voxel; 0 is off.
        split_saddle: Synapses are split where the evidence between them falls below this share
            of the weaker one's peak; None is off.
        split_sigma_nm: Smoothing of that evidence.
        split_radius_nm: Peaks nearer than this are one synapse.
        part_nm3: A part split off needs this volume on each side, and a polyadic partner or a
            neuron's part needs it too.
        vote: Give each voxel of the union to the likelier side; False keeps the thresholds.
        stray_share: A piece of a side smaller than this share of the largest is a stray; 0 is
            off.
        mend_sections: Damaged sections in a row across which a synapse is joined; 0 is off.
        mend_overlap: Share of the smaller cross-section that has to overlap for that.
        pair_nm: The most that lies between a pre and a post side that are paired; 0 is off.
        pair_evidence: Mean probability of the union they need on the line between them.
        polyadic: Split synapses with several post partners; False is off.
        partner_share: A post piece or neuron is a partner from this share of the largest on.
        apart_nm: Post pieces nearer than this are one.
        duplicate_nm: The most that lies between the centres of duplicates; 0 is off.
        calibration: What `fit_calibration` returned; None leaves confidences as they are.
        min_confidence: Synapses less sure than this are dropped; 0 is off.
        one_sided: What a side that was found alone is worth beside a pair, in [0, 1]. By default
            it stays, flagged, only where the network is nearly certain of it; 1 keeps, and 0
            drops, every one.
        min_side_nm3: Sides smaller than this are dropped; 0 is off.
        min_synapse_nm3: Synapses smaller than this are dropped; 0 is off.

    Returns:
        Labels, numbered from 1 without gaps, and their table. What is left one-sided is
        flagged in the table's column `side`.

    Raises:
        DataError: The volume, the neurons or the resolution are not what they should be, or
            most of the volume would be synapse (`TooMuchForegroundError`).
        ConfigError: A setting is out of its range.
    """
    where = "decode_synapses"
    chosen = {name: value for name, value in locals().items() if name not in _NO_SETTINGS}
    require_legal(decode_synapses, **chosen)
    nm = check_resolution(where, resolution)
    volume = check_probabilities(probabilities, channels=3, where=where)
    from connectomics.compiling import announced_compilation

    with announced_compilation():
        levels = measure_levels(volume, nm, exclusive=exclusive) if adapt else AS_THEY_ARE
        found = find_candidates(
            volume,
            VoxelGrid.of(nm, offset_nm),
            thres=thres,
            low=None if hysteresis is None else hysteresis[0],
            exclusive=exclusive,
            bridge_nm=bridge_nm,
            min_piece_nm3=min_piece_nm3,
            levels=levels,
        )
        scale = size_scale(found) if adapt else 1.0
        if hysteresis is not None:
            found = keep_strong(found, high=hysteresis[1], core_nm3=scale * core_nm3)
            found = found.only(found.synapse >= 0)
        done = finish(
            found,
            SimpleNamespace(**chosen),
            scale=scale,
            between=partial(union_between, volume, levels=levels, exclusive=exclusive),
            neurons=None if neurons is None else partial(gather_neurons, neurons, where=where),
        )
    return SynapseResult(_paint(done.candidates), done.table, done.partners)


def _by_block() -> ByBlock:
    from connectomics.decoding.blockwise.synapses import BY_BLOCK

    return BY_BLOCK


SYNAPSES = Decoder(
    decode_synapses,
    channels=3,
    encoding="polarity",
    space={
        "hysteresis[0]": [0.1, 0.45],
        "hysteresis[1]": [0.45, 0.85],
        "trim": [0.0, 0.8],
        "split_saddle": [0.4, 0.95],
        "bridge_nm": [0.0, 100.0],
        "polyadic": [True, False],
        "min_confidence": [0.0, 0.7],
        "min_side_nm3": [1e4, 3e6],
        "min_synapse_nm3": [2e4, 6e6],
    },
    least="min_synapse_nm3",
    fixed=("exclusive", "calibration"),
    lists=True,
    by_block=_by_block,
)


def _paint(found: Candidates) -> np.ndarray:
    """(Z, Y, X) labels 2n - 1 and 2n for synapses 0, 1, ..., in the narrowest type."""
    labels = np.zeros(found.shape, np.min_scalar_type(2 * found.count))
    chosen = found.labelled
    values = 2 * found.synapse[chosen].astype(np.int64) + found.side[chosen]
    labels.reshape(-1)[found.index[chosen]] = values
    return labels
