"""Putting a phantom together: tissue, synapses and decoys, sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np

from connectomics.legal import Legal, number, require_legal

from . import artefacts, drawing, texture
from .contacts import Contacts
from .ground_truth import Decoy, Synapse, paint_labels, record_decoys, record_synapses
from .placement import Scene, place_decoys, place_synapses
from .synapses import Junction
from .tissue import Tissue, build_tissue

_DECOYS_PER_SYNAPSE = 0.6
_STREAMS = ("grow", "fill", "place", "mislead", "draw", "shift", "expose", "spoil")


@dataclass(frozen=True)
class Phantom:
    """A synthetic EM volume with everything that is known about it.

    Attributes:
        image: (Z, Y, X) uint8 synthetic micrographs.
        label: (Z, Y, X) uint16 (uint32 from 32768 synapses on); synapse n has 2n-1 on its pre side
            and 2n on its post side, 0 elsewhere.
        neurons: (Z, Y, X) uint32 neuron ids; 0 is glia.
        resolution: nm per voxel, (z, y, x).
        synapses: The connections, ordered by id.
        decoys: What was put there to mislead.
        damaged_sections: Indices of the spoilt sections.
    """

    image: np.ndarray
    label: np.ndarray
    neurons: np.ndarray
    resolution: tuple[float, float, float]
    synapses: tuple[Synapse, ...]
    decoys: tuple[Decoy, ...]
    damaged_sections: tuple[int, ...]


def _numbers(low: float, high: float, count: int, wanted: str) -> Legal:
    one = number(low, high)
    return Legal(lambda values: len(values) == count and all(map(one.test, values)), wanted)


Share = Annotated[float, number(0, 1, "a share from 0 to 1")]
Amount = Annotated[float, number(0, 1000, "a number from 0 up, 1000 at most")]
Sections = Annotated[Sequence[int], _numbers(1, 10**6, 3, "three positive numbers, (z, y, x)")]
Resolution = Annotated[
    Sequence[float], _numbers(0.5, 1000, 3, "three numbers (z, y, x), 0.5 to 1000 nm")
]
Thickness = Annotated[
    Sequence[float], _numbers(1, 10_000, 2, "two distances (pre, post), 1 to 10000 nm")
]


def make_phantom(
    shape: Sections = (64, 512, 512),
    *,
    seed: Annotated[int, number(0, 2**64, "an integer from 0 up")] = 0,
    resolution: Resolution = (30.0, 8.0, 8.0),
    synapse_density_um3: Amount = 0.6,
    decoys: bool = True,
    damage: bool = True,
    jitter: bool = True,
    noise: Amount = 10.0,
    contrast: Annotated[float, number(1e-3, 100, "a number above 0, 100 at most")] = 1.0,
    crowding: Share = 0.0,
    polyadic: Share = 0.0,
    asymmetry: Share = 1.0,
    label_thickness_nm: Thickness = (97.0, 80.0),
) -> Phantom:
    """Make a synthetic serial-section EM volume with its polarity and neuron labels.

    The same arguments give the same arrays. Switching `decoys`, `damage`, `jitter` or `noise` off
    leaves the neurites and their synapses as they are.

    Args:
        shape: Sections, rows, columns.
        seed: Seed of everything random, 0 or more.
        resolution: nm per voxel, (z, y, x).
        synapse_density_um3: Connections per cubic micrometre; at least one where above 0. Fewer
            are made where the tissue has no room for them.
        decoys: Add vesicle clouds without a density and dark membranes without vesicles.
        damage: Spoil a section now and then. Labels stay on it, as annotators interpolate.
        jitter: Shift sections against each other, image and labels alike.
        noise: Standard deviation of the image noise, grey values.
        contrast: Factor on the image's contrast about its middle grey.
        crowding: Share of synaptic sites that lie a few pixels beside another, 0 to 1.
        polyadic: Share of synaptic sites with two or three post-synaptic partners, 0 to 1. Each
            connection is a synapse of its own, with its own part of the pre side.
        asymmetry: How unlike the two sides look, 0 to 1: the share that a pre side has of the
            vesicles that fit, and the share of the difference between the two densities. At 0
            hardly anything tells pre from post.
        label_thickness_nm: How far the label of an average synapse reaches from the border, on the
            pre and on the post side.

    Returns:
        The phantom.

    Raises:
        ConfigError: An argument is out of range.

    >>> phantom = make_phantom((8, 96, 96), seed=1, damage=False)
    >>> phantom.image.shape, phantom.image.dtype.name, phantom.label.dtype.name
    ((8, 96, 96), 'uint8', 'uint16')
    """
    require_legal(make_phantom, **locals())
    tissue, voxel, margin, rng = _grown(shape, resolution, seed)
    contacts = Contacts(tissue.grid.neurons, voxel, margin, rng["place"])
    pre, post = map(float, label_thickness_nm)
    scene = Scene(tissue, (pre, post), contacts, [])
    volume_um3 = float(np.prod(np.asarray(shape) * voxel)) * 1e-9
    count = max(round(synapse_density_um3 * volume_um3), 1) if synapse_density_um3 > 0 else 0
    synapses = place_synapses(scene, count, rng["place"], crowding=crowding, polyadic=polyadic)
    misleading = round(_DECOYS_PER_SYNAPSE * count) if decoys else 0
    clouds = place_decoys(scene, misleading, rng["mislead"])
    densities = place_decoys(scene, misleading, rng["mislead"])
    _draw(tissue, synapses, clouds, densities, (rng["draw"], rng["mislead"]), asymmetry)

    shifts = artefacts.section_shifts(len(tissue.image), voxel, margin, rng["shift"])
    shifts = shifts if jitter else np.zeros_like(shifts)
    label = paint_labels(synapses, tissue.image.shape)
    label = artefacts.crop_sections(label, shifts, margin)
    label, records = record_synapses(label, synapses, voxel)
    image = artefacts.crop_sections(tissue.image, shifts, margin)
    image = artefacts.expose(image, voxel, rng["expose"], noise=noise, contrast=contrast)
    damaged = artefacts.damage_sections(image, rng["spoil"]) if damage else ()
    origin = np.array([0.0, *(margin * voxel[1:])])
    return Phantom(
        image=np.clip(np.rint(image), 0, 255).astype(np.uint8),
        label=label,
        neurons=artefacts.crop_sections(tissue.grid.neurons, shifts, margin),
        resolution=(float(voxel[0]), float(voxel[1]), float(voxel[2])),
        synapses=records,
        decoys=record_decoys(clouds, "vesicles", origin)
        + record_decoys(densities, "density", origin),
        damaged_sections=damaged,
    )


class _Grown(NamedTuple):
    """Tissue with nothing drawn into it yet.

    Attributes:
        tissue: Wider than the volume, so that shifted sections have something to show.
        voxel: (3,) nm (z, y, x).
        margin: (2,) pixels by which it is wider on each side, along y and x.
        rng: A source of randomness for each step, so that one leaves the others as they are.
    """

    tissue: Tissue
    voxel: np.ndarray
    margin: np.ndarray
    rng: dict[str, np.random.Generator]


def _grown(shape: Sequence[int], resolution: Sequence[float], seed: int) -> _Grown:
    voxel = np.asarray(resolution).astype(float)
    spawned = np.random.SeedSequence(seed).spawn(len(_STREAMS))
    rng = {n: np.random.default_rng(seed) for n, seed in zip(_STREAMS, spawned, strict=True)}
    margin = np.ceil(artefacts.LARGEST_SHIFT_NM / voxel[1:]).astype(int)
    sections, rows, columns = map(int, shape)
    wide = (sections, rows + 2 * int(margin[0]), columns + 2 * int(margin[1]))
    return _Grown(build_tissue(wide, voxel, rng["grow"], rng["fill"]), voxel, margin, rng)


def _draw(
    tissue: Tissue,
    synapses: list[Junction],
    clouds: list[Junction],
    densities: list[Junction],
    rngs: tuple[np.random.Generator, np.random.Generator],
    asymmetry: float,
) -> None:
    """Draw vesicles, membranes and densities, in this order, into the tissue's image."""
    draw, mislead = rngs
    vesicles = [drawing.cloud(junction, tissue, draw, share=asymmetry) for junction in synapses]
    vesicles.append(drawing.strays(tissue, draw))
    vesicles.extend(drawing.cloud(junction, tissue, mislead) for junction in clouds)
    points = drawing.without_misleading(np.concatenate(vesicles), tissue, synapses, densities)
    drawing.draw_vesicles(points, tissue, draw)
    texture.shade(tissue.image, tissue.grid.membrane, texture.MEMBRANE_GREY)
    for junction in synapses:
        drawing.draw_density(junction, tissue, draw, asymmetry=asymmetry)
    for junction in densities:
        symmetric = bool(mislead.random() < 0.5)
        unlike = 0.0 if symmetric else asymmetry
        drawing.draw_density(junction, tissue, mislead, asymmetry=unlike)
