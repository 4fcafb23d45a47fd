"""Whether results that are there are what a config asks for: compared before they are used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from connectomics.config import Config
from connectomics.config.schema import DecodingSection
from connectomics.data.alignment import require_alignment
from connectomics.data.cache_key import CacheKey, key_of, reading_result
from connectomics.data.identity import Identity, identify
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.header import Resolution
from connectomics.decoding import steps
from connectomics.digests import file_digest
from connectomics.errors import DataError, Fault
from connectomics.pipeline.by_block.lost import lacks_blocks
from connectomics.pipeline.predicted import PREDICTED_WITH
from connectomics.pipeline.predictor import configured_parts
from connectomics.pipeline.result_folders import Asked
from connectomics.pipeline.results import VolumeResults

RESOLUTION_REMEDY = "Set data.test.resolution to [z, y, x] in nm."


def image_of(
    path: Path, asked: Asked, guess: Identity | None = None
) -> tuple[Identity | None, str]:
    """Make sure that a result is of the volume asked for.

    Args:
        path: The result.
        asked: The volume.
        guess: What a result of another program was taken to be of before.

    Returns:
        The volume, None where neither the result nor a file tells; and what has to be said where
        the result does not tell.

    Raises:
        DataError: The result is of another volume, of another part of it, or of the same before it
            was changed.
    """
    key = key_of(path)
    known = key.image if key else None
    if asked.image is None:
        return known, "" if known else f"{path} does not say which volume it is of."
    now = identify(asked.image, known or guess)
    if known is None:
        said = f"{path} does not say which volume it is of: it is taken to be of {now.describe()}."
        return now, said
    if known.content != now.content:
        raise DataError(
            str(path),
            f"is of {known.difference(now)}, and the config asks for {now.describe()}.",
            "Make it anew with --mode infer or --mode test, or name the volume that it is of.",
        )
    return now, ""


def require_made_with(path: Path, checkpoint: Path | None) -> None:
    """Make sure that a result comes from the network of a checkpoint, where one is named.

    Raises:
        DataError: It comes from another.
    """
    if checkpoint is None or key_of(path) is None:
        return
    with open_volume(path) as volume:
        made_with = volume.attributes.get("checkpoint_sha256")
        name = volume.attributes.get("checkpoint")
    now = file_digest(checkpoint)
    if made_with and now and made_with != now:
        problem = f"comes from another network, {name}; --checkpoint is {checkpoint}."
        if str(checkpoint) == name:
            problem = f"comes from {name} as it was before; it has changed since."
        remedy = "Make it anew with --mode infer or --mode test, or name the other checkpoint."
        raise DataError(str(path), problem, remedy)


def require_as_asked(results: VolumeResults, section: DecodingSection, key: CacheKey) -> None:
    """Refuse labels of other settings or of other probabilities, where one of both is missing."""
    with reading_result(results.labels, "decode"), open_volume(results.labels) as labels:
        section = steps.with_least(section, labels.attributes)
    asked = [step.model_dump(mode="json") for step in section.steps]
    decoder = CacheKey({"decoding.steps": key.parts.get("decoding.steps")})
    if asked and (otherwise := decoder.otherwise(CacheKey({"decoding.steps": asked}))):
        raise DataError(
            str(results.labels),
            f"{otherwise}.",
            "Its probabilities are not there to decode them again: use --mode test, or the "
            "settings of then.",
        )
    made = key_of(results.probabilities)
    if made and made.parts and made.digest != key.parts.get("probabilities"):
        there = CacheKey({"probabilities": key.parts.get("probabilities")})
        otherwise = there.otherwise(CacheKey({"probabilities": made.digest}))
        problem = f"{otherwise}: {results.probabilities}."
        raise DataError(str(results.labels), problem, "Make it anew with --mode decode.")


def require_whole(path: Path) -> None:
    """Refuse what was made here and lacks blocks by now.

    Raises:
        DataError: It does.
    """
    if key_of(path) is not None and (lacking := lacks_blocks(path)):
        raise DataError(str(path), f"{lacking}.", "Make them again with --mode test.")


def other_settings(config: Config, results: VolumeResults) -> str:
    """Say where probabilities were predicted with other settings than a config now has."""
    path, mode = results.probabilities, "infer"
    key, now = key_of(path), CacheKey(configured_parts(config))
    known = key.parts if key else {}
    if key is None and results.labels.exists():  # they were not kept
        path, mode = results.labels, "test"
        with reading_result(path, "decode"), open_volume(path) as labels:
            known = labels.attributes.get(PREDICTED_WITH, {})
    before = CacheKey({name: part for name, part in known.items() if name in now.parts})
    if not before.parts or not (otherwise := before.otherwise(now)):
        return ""
    return f"{path} {otherwise}; --mode {mode} makes it anew."


def open_probabilities(asked: Asked, results: VolumeResults) -> LazyVolume:
    """Open the probabilities of a volume, with the voxel size and offset that it has by now.

    Raises:
        DataError: They cannot be read, or are not of the volume's size.
    """
    path, image = results.probabilities, asked.image
    key = key_of(path)
    ours = key is not None and key.image is not None
    require_whole(path)
    with reading_result(path, "infer"):
        volume = open_volume(path, resolution=None if ours and image else asked.resolution)
    if ours and image is not None and image.resolution is not None:
        volume.grid = image.grid
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
