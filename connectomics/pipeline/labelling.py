"""Labels, the table of their synapses, and what other programs take in: side by side on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from connectomics.blocks import discard, working_on
from connectomics.config import Config
from connectomics.config.schema import DecodingSection, SystemSection
from connectomics.data.alignment import require_alignment
from connectomics.data.identity import Identity, identify
from connectomics.data.io import LazyVolume, open_volume, save_volume
from connectomics.data.io.header import Resolution
from connectomics.data.io.precomputed_write import write_labels
from connectomics.data.origin import Origin, origin_of, reading_result
from connectomics.data.processing import clean_neurons
from connectomics.decoding import (
    EXPORTS,
    Decoded,
    Grid,
    doubt_of_count,
    foreground_doubt,
    read_table,
    steps,
    write_export,
    write_table,
)
from connectomics.digests import code_digest
from connectomics.errors import DataError, Fault, naming, warn
from connectomics.geometry import Triple
from connectomics.keeping import replacing
from connectomics.pipeline.block_labelling import LabelsByBlock, decode_by_block
from connectomics.pipeline.by_block import (
    block_in,
    choose_block,
    known_volumes,
    shard_of,
    with_block,
)
from connectomics.pipeline.results import LABELS, Asked, VolumeResults, image_of
from connectomics.runs import Provenance

if TYPE_CHECKING:
    import pandas as pd

RESOLUTION_REMEDY = "Set data.test.resolution to [z, y, x] in nm."
CHECKPOINT = ("checkpoint", "checkpoint_sha256")
"""What probabilities say of the network, and labels after them."""

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
) -> str | None:
    """Decode the probabilities of one volume, unless what they would give is there already.

    Args:
        asked: The volume.
        results: Where the probabilities lie, and where labels and tables go.
        config: Of the stage: the decoder, the exports, and whether it is done block by block.
        provenance: How the labels come about.
        neurons: The neuron segmentation of the volume, where there is one.
        resolution: nm per voxel (z, y, x), where neither the volume nor the probabilities say.

    Returns:
        What has to be said where the probabilities do not tell which volume they are of; None
        where this shard has done its blocks and the labels are not there yet.

    Raises:
        DataError: The probabilities are of another volume, the decoder refuses them, or nothing
            can be written.
    """
    section, begun = config.decoding, results.begun(LABELS)
    before = origin_of(results.labels)
    image, doubt = image_of(results.probabilities, asked, before and before.image)
    with open_probabilities(asked, results, resolution) as volume:
        block = _block(config.system, volume, begun)
        # Of what is there, any size of blocks will do unless one is given.
        there = block if config.system.block_size else before and block_in(before.parts)
        known = before.volumes if before else known_volumes(begun)
        origin_of_blocks = partial(_origin, volume, image, section, neurons, known)
        tabulated = _has_table(section, volume)
        named = tabulated and neurons is not None
        whole = (results.table.is_file(), results.partners.is_file()) == (tabulated, named)
        if whole and before and before.key == origin_of_blocks(there).key:
            discard(begun)
            _export_again(results, section.exports, volume)
            return doubt
        origin = origin_of_blocks(block)
        if before and before.parts:
            print(f"decode: {results.labels} is of {_difference(before, origin)}; decoding anew")
        about = {
            **origin.attributes(),
            "encoding": steps.output_encoding(section.steps[0]),
            "decoder": json.dumps(origin.parts["decoding.steps"]),
            "synthetic": volume.attributes.get("synthetic", False),
            **{name: volume.attributes[name] for name in CHECKPOINT if name in volume.attributes},
        }
        at_once, by_block = results.forms(LABELS)
        print(f"decode: {results.probabilities} → {by_block if block else at_once}")
        with ExitStack() as stack:
            if block is None:
                decoded = _decode_at_once(volume, section, neurons)
            else:
                stack.enter_context(working_on(begun, shard_of(config.system)))
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
                return None
            if isinstance(decoded, LabelsByBlock):
                _doubt_blocks(decoded, volume, section)
            written = {results.config(at_once): provenance.one_text()}
            exports = section.exports
            write_decoded(results, decoded, volume, about=about, exports=exports, config=written)
        discard(begun)
    if not tabulated and about["encoding"] == "polarity":
        print(f"  no synapses.csv: the voxel size is not known. {RESOLUTION_REMEDY}")
    return doubt


def _decode_at_once(
    volume: LazyVolume, section: DecodingSection, neurons: LazyVolume | None
) -> Decoded:
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
    exclusive = _is_exclusive(section)
    doubt = foreground_doubt(probabilities, exclusive=exclusive, resolution=volume.resolution)
    if doubt is not None:
        warn(volume.source, *doubt)
    return decoded


def _is_exclusive(section: DecodingSection) -> bool:
    """Whether the channels are background, pre and post."""
    return bool(section.steps[0].kwargs.get("exclusive", False))


def _doubt_blocks(decoded: LabelsByBlock, volume: LazyVolume, section: DecodingSection) -> None:
    """Warn of a network that says yes everywhere, as where all is decoded at once."""
    doubt = doubt_of_count(
        decoded.foreground,
        volume.shape,
        exclusive=_is_exclusive(section),
        resolution=volume.resolution,
    )
    if doubt is not None:
        warn(volume.source, *doubt)


def _block(system: SystemSection, volume: LazyVolume, begun: Path) -> Triple | None:
    """The size of the blocks in which probabilities are decoded, None for all at once."""
    depth, height, width = volume.shape[-3:]
    of_voxel = math.prod(volume.shape[:-3]) * volume.dtype.itemsize + BYTES_OF_VOXEL
    return choose_block(
        system,
        (depth, height, width),
        begun=begun,
        at_once=of_voxel * depth * height * width,
        of_block=lambda block: 2 * of_voxel * math.prod(block),
    )


def _difference(before: Origin, now: Origin) -> str:
    """Say of what labels are, where others are asked for."""
    names = before.differences(now)
    if "voxels" in names and before.image and now.image:
        return before.image.difference(now.image)
    return f"other {', '.join(names)}" if names else "a table that is not whole"


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
        )
        assert doubt is not None  # labels are not scored by shards
        return doubt
    if not path.exists():
        problem = "is not there, and the config names no decoder to make it."
        raise DataError(str(path), problem, "Add one: decoding: {steps: [{name: synapses}]}")
    _, doubt = image_of(path, asked)
    if origin is not None and origin.parts:
        _require_as_asked(results, section, origin)
    return doubt


def _require_as_asked(results: VolumeResults, section: DecodingSection, origin: Origin) -> None:
    """Refuse labels of other settings or of other probabilities, where one of both is missing."""
    asked = [step.model_dump(mode="json") for step in section.steps]
    decoder = Origin({"decoding.steps": origin.parts.get("decoding.steps")})
    if asked and decoder.differences(Origin({"decoding.steps": asked})):
        raise DataError(
            str(results.labels),
            f"was decoded with {json.dumps(decoder.parts['decoding.steps'])}, the config says "
            f"{json.dumps(asked)}.",
            "Its probabilities are not there to decode them again: use --mode test, or the "
            "settings of then.",
        )
    made = origin_of(results.probabilities)
    if made and made.parts and made.key != origin.parts.get("probabilities"):
        problem = f"was made from other probabilities than {results.probabilities}."
        raise DataError(str(results.labels), problem, "Make it anew with --mode decode.")


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


def _origin(
    volume: LazyVolume,
    image: Identity | None,
    section: DecodingSection,
    neurons: LazyVolume | None,
    known: Mapping[str, Identity],
    block: Triple | None,
) -> Origin:
    """What the labels of probabilities depend on."""
    made = origin_of(Path(volume.source))
    volumes = {} if image is None else {"image": image}
    if made is None or not made.parts:
        volumes["probabilities"] = identify(volume, known.get("probabilities"))
    if neurons is not None:
        volumes["neurons"] = identify(neurons, known.get("neurons"))
    contents = {name: one.content for name, one in volumes.items()}
    parts = {
        "voxels": contents.get("image"),
        "probabilities": contents.get("probabilities") or (made and made.key),
        "neurons": contents.get("neurons"),
        "decoding.steps": [step.model_dump(mode="json") for step in section.steps],
        "voxel size": volume.resolution,
        "offset": volume.offset_nm,
        "version of the code": code_digest("decoding"),
    }
    return Origin(with_block(parts, block), volumes)


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


def write_decoded(
    results: VolumeResults,
    decoded: Decoded | LabelsByBlock,
    volume: LazyVolume,
    *,
    about: dict[str, Any] | None,
    exports: Sequence[str] = (),
    config: Mapping[Path, str] | None = None,
    stale: Sequence[Path] = (),
) -> list[Path]:
    """Write labels, table, partners and exports; what stood there is kept in `earlier/`.

    Args:
        results: Where they go.
        decoded: What there is; without a table nothing but labels is written.
        volume: What it was made from, whose voxel size and offset are those of the exports.
        about: What labels shall say of themselves; None for no labels.
        exports: Names of `EXPORTS`.
        config: Texts that say how this came about, by their places.
        stale: What goes to `earlier/` besides earlier tables and exports.

    Returns:
        The files written.
    """
    writers: dict[Path, Callable[[Path], object]] = {}
    nm, shape = volume.resolution, volume.shape[-3:]
    at_once, by_block = results.forms(LABELS)
    if isinstance(decoded, LabelsByBlock):
        writers[by_block] = decoded.store.path.rename
    elif about is not None:
        writers[at_once] = partial(
            save_volume,
            array=decoded.labels,
            resolution=nm and steps.resized_resolution(nm, shape, decoded.labels.shape),
            offset_nm=volume.offset_nm,
            attributes=about,
        )
    earlier = [at_once, by_block] if about is not None else []
    if decoded.table is not None and nm is not None:
        writers[results.table] = partial(write_table, decoded.table)
        if decoded.partners is not None:
            writers[results.partners] = partial(write_table, decoded.partners)
        for name in exports:
            writers[results.export(name)] = partial(
                _export, name, decoded.table, decoded.labels, volume
            )
    tables = [results.table, results.partners, *map(results.export, EXPORTS)]
    with replacing(*writers, stale=[*earlier, *tables, *stale], about=config) as new:
        # Labels come last: those of blocks are moved there, and are read where they are till then.
        for path, write in reversed(list(zip(new, writers.values(), strict=True))):
            write(path)
    return list(writers)


def read_neurons(neurons: LazyVolume) -> np.ndarray:
    """Read the ids of a neuron segmentation, (Z, Y, X) unsigned; CREMI's marks become 0.

    Raises:
        DataError: They are no ids.
    """
    return clean_neurons(neurons.read(), neurons.source)


def _export_again(results: VolumeResults, exports: Sequence[str], volume: LazyVolume) -> None:
    """Write the exports that are not there yet from the table that is."""
    missing = [name for name in dict.fromkeys(exports) if not results.export(name).exists()]
    if not missing or volume.resolution is None:
        print(f"decode: {results.labels} is up to date")
        return
    table = read_table(results.table)
    with replacing(*map(results.export, missing)) as new:
        for name, path in zip(missing, new, strict=True):
            print(f"decode: {results.table} → {results.export(name)}")
            with open_volume(results.labels) as labels:
                _export(name, table, labels, volume, path)


def _export(
    name: str,
    table: pd.DataFrame,
    labels: np.ndarray | LazyVolume,
    volume: LazyVolume,
    path: Path,
) -> None:
    """Write another program's form of the table, and of the labels where that shows them, too."""
    nm = volume.resolution
    assert nm is not None
    write_export(name, table, path, grid=Grid(nm, volume.offset_nm))
    if name != "neuroglancer":
        return
    z, y, x = steps.resized_resolution(nm, volume.shape[-3:], labels.shape)
    write_labels(
        path / "labels",
        labels.read if isinstance(labels, LazyVolume) else lambda box: labels[box.slices],
        (labels.shape[0], labels.shape[1], labels.shape[2]),
        labels.dtype,
        resolution=(z, y, x),
        offset_nm=volume.offset_nm,
    )


def _has_table(section: DecodingSection, volume: LazyVolume) -> bool:
    sided = steps.output_encoding(section.steps[0]) == "polarity"
    return sided and volume.resolution is not None
