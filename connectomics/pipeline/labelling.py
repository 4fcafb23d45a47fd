"""From probabilities to labels, unless those that are asked for are there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from connectomics.blocks import discard, working_on
from connectomics.config import Config
from connectomics.config.schema import DecodingSection
from connectomics.data.alignment import require_alignment
from connectomics.data.cache_key import CacheKey, key_of, reading_result
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.header import Resolution
from connectomics.decoding import (
    Decoded,
    doubt_of_count,
    foreground_doubt,
    steps,
)
from connectomics.errors import DataError, Fault, naming, warn
from connectomics.geometry import Triple
from connectomics.pipeline.block_labelling import LabelsByBlock, decode_by_block
from connectomics.pipeline.block_workers import shard_of
from connectomics.pipeline.choosing_blocks import block_to_decode
from connectomics.pipeline.in_progress import block_in, known_volumes
from connectomics.pipeline.label_files import export_again, write_decoded
from connectomics.pipeline.label_key import Labelling, require_as_asked
from connectomics.pipeline.label_volumes import read_neurons
from connectomics.pipeline.predicted import Predicted
from connectomics.pipeline.result_folders import Asked, image_of, require_made_with
from connectomics.pipeline.results import LABELS, VolumeResults
from connectomics.process.progress import elapsing
from connectomics.runs import Provenance

RESOLUTION_REMEDY = "Set data.test.resolution to [z, y, x] in nm."


def decode_volume(
    asked: Asked,
    results: VolumeResults,
    config: Config,
    provenance: Provenance,
    *,
    announce: bool = True,
) -> str | None:
    """Decode the probabilities of one volume, unless what they would give is there already.

    Args:
        asked: The volume.
        results: Where the probabilities lie, and where labels and tables go.
        config: Of the stage: the decoder, the exports, and whether it is done block by block.
        provenance: How the labels come about.
        announce: Whether to say so where there is nothing to do.

    Returns:
        What has to be said where the probabilities do not tell which volume they are of; None
        where this shard has done its blocks and the labels are not there yet.

    Raises:
        DataError: The probabilities are of another volume, the decoder refuses them, or nothing
            can be written.
    """
    before = key_of(results.labels)
    image, doubt = image_of(results.probabilities, asked, before and before.image)
    with open_probabilities(asked, results) as volume:
        block = block_to_decode(volume, results, config.system)
        work = Labelling(volume, image, asked.neurons, results, config, provenance)
        whole = make_labels(work, block, announce=announce)
    return doubt if whole else None


def make_labels(work: Labelling, block: Triple | None, *, announce: bool = True) -> bool:
    """Decode probabilities, unless what they would give is there already.

    Args:
        work: The labels.
        block: (z, y, x) voxels of a block; None for all at once.
        announce: Whether to say so where there is nothing to do.

    Returns:
        Whether the labels are there now; otherwise other shards have blocks to do.
    """
    volume, results, config = work.probabilities, work.results, work.config
    before = key_of(results.labels)
    known = before.volumes if before else known_volumes(work.in_progress)
    if before and _are_whole(work, before, block):
        discard(work.in_progress)
        if not export_again(results, config.decoding.exports, volume) and announce:
            print(f"decode: {results.labels} is up to date")
        return True
    key = work.key(block, known)
    if before and before.parts:
        otherwise = before.otherwise(key) or "lacks a table that is whole"
        print(f"decode: {results.labels} {otherwise}; decoding anew, the earlier goes to earlier/")
    at_once, by_block = results.forms(LABELS)
    print(f"decode: {volume.source} → {by_block if block else at_once}")
    with working_on(work.in_progress, shard_of(config.system)) if block else nullcontext():
        decoded = decode_by_block(work, block, key) if block else _decode_at_once(work)
        if decoded is None:
            return False
        if isinstance(decoded, LabelsByBlock):
            _warn(work, doubt_of_count(decoded.foreground, volume.shape, **_given(work)))
        write_decoded(
            results,
            decoded,
            volume,
            about=work.attributes(key),
            exports=config.decoding.exports,
            config={results.config(at_once): work.provenance.one_text()},
            stale=results.replaced_by_labels() if isinstance(volume, Predicted) else [],
        )
    discard(work.in_progress)
    if work.sided and volume.resolution is None:
        print(f"  no synapses.csv: the voxel size is not known. {RESOLUTION_REMEDY}")
    return True


def _are_whole(work: Labelling, before: CacheKey, block: Triple | None) -> bool:
    """Whether labels and tables that are there are those that would be made."""
    # Of what is there, any size of blocks will do unless one is given.
    there = block if work.config.system.block_size else block_in(before.parts)
    tables = work.results.table.is_file(), work.results.partners.is_file()
    return tables == work.tables and before.digest == work.key(there, before.volumes).digest


def _decode_at_once(work: Labelling) -> Decoded:
    volume, neurons = work.probabilities, work.neurons
    if isinstance(volume, Predicted):
        probabilities = volume.read()
    else:
        with reading_result(Path(volume.source), "infer"):
            probabilities = volume.read()
    names = " and ".join(step.name for step in work.config.decoding.steps)
    with naming(volume.source), elapsing(f"decode: {names}"):
        decoded = steps.decode(
            probabilities,
            work.config.decoding.steps,
            grid=volume.grid,
            neurons=None if neurons is None else read_neurons(neurons),
        )
    _warn(work, foreground_doubt(probabilities, **_given(work)))
    return decoded


def _given(work: Labelling) -> dict[str, Any]:
    """What it takes to tell whether a network says yes everywhere."""
    exclusive = bool(work.config.decoding.steps[0].kwargs.get("exclusive", False))
    return {"exclusive": exclusive, "resolution": work.probabilities.resolution}


def _warn(work: Labelling, doubt: tuple[str, str] | None) -> None:
    if doubt is not None:
        warn(work.probabilities.source, *doubt)


def ensure_labels(
    asked: Asked, results: VolumeResults, config: Config, provenance: Provenance
) -> str:
    """Make sure that the labels of a volume are those that a config asks for.

    Where they are of other settings or of other probabilities than those that are there, they
    are made anew. Labels of another program are taken as they are.

    Args:
        asked: The volume.
        results: Where its labels lie, and its probabilities if they are still there.
        config: See `decode_volume`, as for the others.
        provenance: How labels come about that are made anew.

    Returns:
        What has to be said where nothing tells which volume the labels are of.

    Raises:
        DataError: They are of another volume, or cannot be made anew.
    """
    section, key, path = config.decoding, key_of(results.labels), results.labels
    foreign = path.exists() and key is None
    if section.steps and results.probabilities.exists() and not foreign:
        doubt = decode_volume(asked, results, config, provenance, announce=False)
        assert doubt is not None  # labels are not scored by shards
        return doubt
    if not path.exists():
        problem = "is not there, and the config names no decoder to make it."
        raise DataError(str(path), problem, "Add one: decoding: {steps: [{name: synapses}]}")
    _, doubt = image_of(path, asked)
    if key is not None and key.parts:
        require_as_asked(results, section, key)
    return doubt


def open_probabilities(asked: Asked, results: VolumeResults) -> LazyVolume:
    """Open the probabilities of a volume, with the voxel size and offset that it has by now.

    Raises:
        DataError: They cannot be read, or are not of the volume's size.
    """
    path, image = results.probabilities, asked.image
    key = key_of(path)
    ours = key is not None and key.image is not None
    with reading_result(path, "infer"):
        volume = open_volume(path, resolution=None if ours and image else asked.resolution)
    if ours and image is not None and image.resolution is not None:
        volume.grid = image.grid
    if image is not None:
        require_alignment(image, volume)
    return volume


def require_decodable(
    found: Sequence[tuple[Asked, VolumeResults]], section: DecodingSection, checkpoint: Path | None
) -> None:
    """Look at the probabilities of all volumes before those of the first are decoded.

    Args:
        found: The volumes, and where their probabilities lie.
        section: The decoder, and the exports.
        checkpoint: The network they have to come from, if one is named.

    Raises:
        DataError: Some are of another network, cannot be read, or lack a voxel size.
    """
    sizes = {}
    for asked, results in found:
        require_made_with(results.probabilities, checkpoint)
        with open_probabilities(asked, results) as volume:
            sizes[str(results.probabilities)] = volume.resolution
    if faults := voxel_size_faults(sizes, section):
        raise DataError.of(faults)


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
