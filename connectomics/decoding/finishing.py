"""The steps of `decode_synapses` after its voxels are listed: from components to synapses.

They look no further than what hangs together or lies near, so that they give the same on the list
of a whole volume as on that of any part of it that nothing near is missing from (`reach_of`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from connectomics.decoding.calibration import calibrate
from connectomics.decoding.candidates import Candidates
from connectomics.decoding.confidence import HALF_NM3, confidence, polarity_margin
from connectomics.decoding.duplicates import centres_nm, duplicate_pairs
from connectomics.decoding.mending import fill_sections, join_continuations
from connectomics.decoding.merging import join_pairs, number_kept
from connectomics.decoding.pairing import Between, pair_orphans
from connectomics.decoding.partners import Partners, name_partners, partner_table
from connectomics.decoding.polyadic import split_by_neuron, split_partners
from connectomics.decoding.sizes import drop_small_sides, drop_small_synapses
from connectomics.decoding.splitting import split_touching
from connectomics.decoding.table import BAND_NM, CLEFT_NM, Neurons, build_table
from connectomics.decoding.voting import settle_strays, trim_to_peak, vote_sides

if TYPE_CHECKING:
    import pandas as pd

Settings = Any
"""The settings of `decode_synapses` as attributes."""


class Connections(NamedTuple):
    """The connections between known neurons, before duplicates are joined.

    Attributes:
        first: (N,) flat index of the first voxel of each.
        centres_nm: (N, 3) where they lie.
        partners: (N,) each, their neurons.
    """

    first: np.ndarray
    centres_nm: np.ndarray
    partners: Partners


class Finished(NamedTuple):
    """What has become of listed components.

    Attributes:
        candidates: The voxels of synapses 0 ... S - 1, in the order of their first voxel.
        first: (S,) flat index of the first voxel of each in the list that was given.
        table: One row for each.
        partners: One row for each; None without neurons.
        connections: What could be duplicates; None without neurons.
    """

    candidates: Candidates
    first: np.ndarray
    table: pd.DataFrame
    partners: pd.DataFrame | None
    connections: Connections | None


def finish(
    found: Candidates,
    settings: Settings,
    *,
    scale: float,
    between: Between,
    neurons: Neurons | None,
) -> Finished:
    """Make synapses of components.

    Args:
        found: Components of the union that are strong enough, with sides.
        settings: See `decode_synapses`.
        scale: What `size_scale` says of the volume.
        between: Gives the mean probability of the union between two voxels.
        neurons: Gives the neuron at each voxel, where there are any.
    """
    part_nm3 = scale * settings.part_nm3
    found = _split_and_joined(found, settings, part_nm3, between)
    found = _split_partners(found, neurons, settings, part_nm3)
    connections = None
    if neurons is not None and settings.duplicate_nm:
        found, connections = _join_duplicates(found, neurons, settings.duplicate_nm)
    found = drop_small_sides(found, settings.min_side_nm3)
    found = drop_small_synapses(found, settings.min_synapse_nm3)
    sure = confidence(found, one_sided=settings.one_sided, half_nm3=scale * HALF_NM3)
    if settings.calibration is not None:
        sure = calibrate(sure, settings.calibration)
    kept = sure >= settings.min_confidence
    found, sure = found.renumber(number_kept(kept)), sure[kept]
    first, margin = found.first_voxels(), polarity_margin(found)
    if settings.mend_sections:
        found = fill_sections(found, sections=settings.mend_sections)
    partners = None if neurons is None else _name(found, neurons)
    table = build_table(found, confidence=sure, polarity_margin=margin, partners=partners)
    listed = None if partners is None else partner_table(partners, table.synapse_id.to_numpy())
    return Finished(found, first, table, listed, connections)


def _split_and_joined(
    found: Candidates, settings: Settings, part_nm3: float, between: Between
) -> Candidates:
    """Split what touches, give each voxel its side, and join what belongs together."""
    if settings.split_saddle is not None:
        found = split_touching(
            found,
            saddle=settings.split_saddle,
            sigma_nm=settings.split_sigma_nm,
            radius_nm=settings.split_radius_nm,
            part_nm3=part_nm3,
        )
    if settings.vote:
        found = vote_sides(found)
    if settings.trim:
        found = trim_to_peak(found, share=settings.trim)
    if settings.stray_share:
        found = settle_strays(found, share=settings.stray_share)
    if settings.mend_sections:
        sections, overlap = settings.mend_sections, settings.mend_overlap
        found = join_continuations(found, sections=sections, overlap=overlap)
    if settings.pair_nm:
        gap_nm, evidence = settings.pair_nm, settings.pair_evidence
        found = pair_orphans(found, between, gap_nm=gap_nm, evidence=evidence)
    return found


def reach_of(settings: Settings, resolution: tuple[float, float, float]) -> np.ndarray | None:
    """How many voxels (z, y, x) may lie between components of which `finish` makes one thing.

    None where it never does. Duplicates, which lie further apart, do not count.
    """
    reach = np.floor(settings.pair_nm / np.asarray(resolution) + 1e-6).astype(np.int64)
    reach[0] = max(reach[0], settings.mend_sections)
    return reach if settings.pair_nm or settings.mend_sections else None


def _split_partners(
    found: Candidates, neurons: Neurons | None, settings: Settings, part_nm3: float
) -> Candidates:
    """Make each connection a synapse."""
    if not settings.polyadic:
        return found
    large = {"share": settings.partner_share, "part_nm3": part_nm3}
    if neurons is None:
        return split_partners(found, apart_nm=settings.apart_nm, **large)
    return split_by_neuron(found, neurons(found), **large)


def _join_duplicates(
    found: Candidates, neurons: Neurons, distance_nm: float
) -> tuple[Candidates, Connections]:
    """Make of each connection one synapse; say what there was before."""
    partners, centres = _name(found, neurons), centres_nm(found)
    pairs = duplicate_pairs(centres, partners, distance_nm=distance_nm)
    known = (partners.pre > 0) & (partners.post > 0)
    named = Partners(*(column[known] for column in partners))
    connections = Connections(found.first_voxels()[known], centres[known], named)
    return join_pairs(found, pairs), connections


def _name(found: Candidates, neurons: Callable[[Candidates], np.ndarray]) -> Partners:
    """The partners of each synapse."""
    return name_partners(found, neurons(found), cleft_nm=CLEFT_NM, band_nm=BAND_NM)
