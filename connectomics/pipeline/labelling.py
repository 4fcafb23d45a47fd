"""From probabilities to labels, unless those that are asked for are there already."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from connectomics.blocks import discard, working_on
from connectomics.config import Config
from connectomics.config.schema import DecodingSection, SystemSection
from connectomics.data.alignment import require_alignment
from connectomics.data.identity import Identity
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.header import Resolution
from connectomics.data.origin import Origin, origin_of, reading_result
from connectomics.data.processing import clean_neurons
from connectomics.decoding import (
    Decoded,
    doubt_of_count,
    foreground_doubt,
    steps,
)
from connectomics.errors import DataError, Fault, naming, warn
from connectomics.geometry import Triple
from connectomics.pipeline.block_labelling import LabelsByBlock, decode_by_block
from connectomics.pipeline.by_block import (
    block_in,
    choose_block,
    known_volumes,
    shard_of,
)
from connectomics.pipeline.fusing import PREDICTED_WITH, Predicted
from connectomics.pipeline.label_files import export_again, write_decoded
from connectomics.pipeline.label_origin import difference, origin_of_labels, require_as_asked
from connectomics.pipeline.results import LABELS, Asked, VolumeResults, image_of
from connectomics.runs import Provenance

RESOLUTION_REMEDY = "Set data.test.resolution to [z, y, x] in nm."
HANDED_ON = ("checkpoint", "checkpoint_sha256", PREDICTED_WITH)
"""What probabilities say of how they came about, and labels after them."""

BYTES_OF_VOXEL = 8
"""What decoding takes of memory beside the probabilities: masks, labels, and what is listed."""


def decode_volume(
    asked: Asked,
    results: VolumeResults,
    config: Config,
    *,
    provenance: Provenance,
    neurons: LazyVolume | None = None,
    resolution: Resolution | None = None,
    announce: bool = True,
) -> str | None:
    """Decode the probabilities of one volume, unless what they would give is there already.

    Args:
        asked: The volume.
        results: Where the probabilities lie, and where labels and tables go.
        config: Of the stage: the decoder, the exports, and whether it is done block by block.
        provenance: How the labels come about.
        neurons: The neuron segmentation of the volume, where there is one.
        resolution: nm per voxel (z, y, x), where neither the volume nor the probabilities say.
        announce: Whether to say so where there is nothing to do.

    Returns:
        What has to be said where the probabilities do not tell which volume they are of; None
        where this shard has done its blocks and the labels are not there yet.

    Raises:
        DataError: The probabilities are of another volume, the decoder refuses them, or nothing
            can be written.
    """
    before = origin_of(results.labels)
    image, doubt = image_of(results.probabilities, asked, before and before.image)
    with open_probabilities(asked, results, resolution) as volume:
        block = block_to_decode(volume, results, config.system)
        whole = make_labels(
            volume,
            image,
            results,
            config,
            block=block,
            provenance=provenance,
            neurons=neurons,
            announce=announce,
        )
    return doubt if whole else None


def make_labels(
    volume: LazyVolume | Predicted,
    image: Identity | None,
    results: VolumeResults,
    config: Config,
    *,
    block: Triple | None,
    provenance: Provenance,
    neurons: LazyVolume | None,
    announce: bool = True,
) -> bool:
    """Decode probabilities, unless what they would give is there already.

    Args:
        volume: The probabilities, there or to be predicted.
        image: The volume that they are of, where that is known.
        results: See `decode_volume`, as for the others.
        config: Of the stage.
        block: (z, y, x) voxels of a block; None for all at once.
        provenance: How the labels come about.
        neurons: The neuron segmentation of the volume.
        announce: Whether to say so where there is nothing to do.

    Returns:
        Whether the labels are there now; otherwise other shards have blocks to do.
    """
    section, begun = config.decoding, results.begun(LABELS)
    before = origin_of(results.labels)
    # Of what is there, any size of blocks will do unless one is given.
    there = block if config.system.block_size else before and block_in(before.parts)
    known = before.volumes if before else known_volumes(begun)
    origin_of_blocks = partial(origin_of_labels, volume, image, section, neurons, known)
    tabulated = _has_table(section, volume)
    named = tabulated and neurons is not None
    whole = (results.table.is_file(), results.partners.is_file()) == (tabulated, named)
    if whole and before and before.key == origin_of_blocks(there).key:
        discard(begun)
        if not export_again(results, section.exports, volume) and announce:
            print(f"decode: {results.labels} is up to date")
        return True
    origin = origin_of_blocks(block)
    if before and before.parts:
        print(f"decode: {results.labels} is of {difference(before, origin)}; decoding anew")
    about = _about(origin, volume, section)
    at_once, by_block = results.forms(LABELS)
    print(f"decode: {volume.source} → {by_block if block else at_once}")
    with working_on(begun, shard_of(config.system)) if block else nullcontext():
        if block is None:
            decoded = _decode_at_once(volume, section, neurons)
        else:
            decoded = decode_by_block(
                volume,
                begun,
                config,
                block=block,
                origin=origin,
                attributes=about,
                neurons=neurons,
            )
        if decoded is None:
            return False
        if isinstance(decoded, LabelsByBlock):
            given = _given(volume, section)
            _warn(volume, doubt_of_count(decoded.foreground, volume.shape, **given))
        write_decoded(
            results,
            decoded,
            volume,
            about=about,
            exports=section.exports,
            config={results.config(at_once): provenance.one_text()},
            stale=results.replaced_by_labels() if isinstance(volume, Predicted) else [],
        )
    discard(begun)
    if not tabulated and about["encoding"] == "polarity":
        print(f"  no synapses.csv: the voxel size is not known. {RESOLUTION_REMEDY}")
    return True


def _decode_at_once(
    volume: LazyVolume | Predicted, section: DecodingSection, neurons: LazyVolume | None
) -> Decoded:
    if isinstance(volume, Predicted):
        probabilities = volume.read()
    else:
        with reading_result(Path(volume.source), "infer"):
            probabilities = volume.read()
    with naming(volume.source):
        decoded = steps.decode(
            probabilities,
            section.steps,
            resolution=volume.resolution,
            offset_nm=volume.offset_nm,
            neurons=None if neurons is None else read_neurons(neurons),
        )
    _warn(volume, foreground_doubt(probabilities, **_given(volume, section)))
    return decoded


def _given(volume: LazyVolume | Predicted, section: DecodingSection) -> dict[str, Any]:
    """What it takes to tell whether a network says yes everywhere."""
    exclusive = bool(section.steps[0].kwargs.get("exclusive", False))
    return {"exclusive": exclusive, "resolution": volume.resolution}


def _warn(volume: LazyVolume | Predicted, doubt: tuple[str, str] | None) -> None:
    if doubt is not None:
        warn(volume.source, *doubt)


def _about(
    origin: Origin, volume: LazyVolume | Predicted, section: DecodingSection
) -> dict[str, Any]:
    """What labels say of themselves."""
    return {
        **origin.attributes(),
        "encoding": steps.output_encoding(section.steps[0]),
        "decoder": json.dumps(origin.parts["decoding.steps"]),
        "synthetic": volume.attributes.get("synthetic", False),
        **{name: volume.attributes[name] for name in HANDED_ON if name in volume.attributes},
    }


def memory_of(volume: LazyVolume | Predicted, voxels: int) -> int:
    """Bytes that decoding so many voxels takes, their probabilities among them."""
    return voxels * (math.prod(volume.shape[:-3]) * volume.dtype.itemsize + BYTES_OF_VOXEL)


def block_to_decode(
    volume: LazyVolume, results: VolumeResults, system: SystemSection
) -> Triple | None:
    """The size of the blocks in which probabilities are decoded; None for all at once."""
    depth, height, width = volume.shape[-3:]
    return choose_block(
        system,
        (depth, height, width),
        begun=results.begun(LABELS),
        at_once=memory_of(volume, depth * height * width),
        of_block=partial(_memory_of_block, volume),
    )


def _memory_of_block(volume: LazyVolume | Predicted, block: Triple) -> int:
    return 2 * memory_of(volume, math.prod(block))


def ensure_labels(
    asked: Asked,
    results: VolumeResults,
    config: Config,
    *,
    provenance: Provenance,
    neurons: LazyVolume | None = None,
    resolution: Resolution | None = None,
) -> str:
    """Make sure that the labels of a volume are those that a config asks for.

    Where they are of other settings or of other probabilities than those that are there, they
    are made anew. Labels of another program are taken as they are.

    Args:
        asked: The volume.
        results: Where its labels lie, and its probabilities if they are still there.
        config: See `decode_volume`, as for the others.
        provenance: How labels come about that are made anew.
        neurons: The neuron segmentation of the volume.
        resolution: nm per voxel (z, y, x).

    Returns:
        What has to be said where nothing tells which volume the labels are of.

    Raises:
        DataError: They are of another volume, or cannot be made anew.
    """
    section, origin, path = config.decoding, origin_of(results.labels), results.labels
    foreign = path.exists() and origin is None
    if section.steps and results.probabilities.exists() and not foreign:
        doubt = decode_volume(
            asked,
            results,
            config,
            provenance=provenance,
            neurons=neurons,
            resolution=resolution,
            announce=False,
        )
        assert doubt is not None  # labels are not scored by shards
        return doubt
    if not path.exists():
        problem = "is not there, and the config names no decoder to make it."
        raise DataError(str(path), problem, "Add one: decoding: {steps: [{name: synapses}]}")
    _, doubt = image_of(path, asked)
    if origin is not None and origin.parts:
        require_as_asked(results, section, origin)
    return doubt


def open_probabilities(
    asked: Asked, results: VolumeResults, resolution: Resolution | None = None
) -> LazyVolume:
    """Open the probabilities of a volume, with the voxel size and offset that it has by now.

    Raises:
        DataError: They cannot be read, or are not of the volume's size.
    """
    path, image = results.probabilities, asked.image
    origin = origin_of(path)
    ours = origin is not None and origin.image is not None
    with reading_result(path, "infer"):
        volume = open_volume(path, resolution=None if ours and image else resolution)
    if ours and image is not None and image.resolution is not None:
        volume.resolution, volume.offset_nm = image.resolution, image.offset_nm
    if image is not None:
        require_alignment(image, volume)
    return volume


def voxel_size_faults(
    sizes: Mapping[str, Resolution | None], section: DecodingSection
) -> list[Fault]:
    """Find the volumes that lack the voxel size which their decoder or an export needs.

    Args:
        sizes: nm per voxel (z, y, x) by the name of a volume, None where nobody says.
        section: The decoder, and the exports.
    """
    needy = [step.name for step in section.steps[:1] if steps.needs_resolution(step)]
    needy += ["decoding.exports"] if section.exports else []
    problem = f"has no known voxel size, which {' and '.join(needy)} cannot do without."
    unknown = [name for name, size in sizes.items() if size is None]
    return [Fault(name, problem, RESOLUTION_REMEDY) for name in unknown if needy]


def read_neurons(neurons: LazyVolume) -> np.ndarray:
    """Read the ids of a neuron segmentation, (Z, Y, X) unsigned; CREMI's marks become 0.

    Raises:
        DataError: They are no ids.
    """
    return clean_neurons(neurons.read(), neurons.source)


def _has_table(section: DecodingSection, volume: LazyVolume | Predicted) -> bool:
    sided = steps.output_encoding(section.steps[0]) == "polarity"
    return sided and volume.resolution is not None
