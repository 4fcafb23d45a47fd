"""What labels were made from, and whether those that are there are the ones that are asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from connectomics.config.schema import DecodingSection
from connectomics.data.identity import Identity, identify
from connectomics.data.io import LazyVolume
from connectomics.data.origin import Origin, origin_of
from connectomics.digests import code_digest
from connectomics.errors import DataError
from connectomics.geometry import Triple
from connectomics.pipeline.by_block import with_block
from connectomics.pipeline.fusing import Predicted
from connectomics.pipeline.results import VolumeResults


def origin_of_labels(
    volume: LazyVolume | Predicted,
    image: Identity | None,
    section: DecodingSection,
    neurons: LazyVolume | None,
    known: Mapping[str, Identity],
    block: Triple | None,
) -> Origin:
    """What the labels of probabilities depend on."""
    volumes = {} if image is None else {"image": image}
    if isinstance(volume, Predicted):
        made = volume.origin(block)
        volumes = {**made.volumes}
    else:
        made = origin_of(Path(volume.source))
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


def difference(before: Origin, now: Origin) -> str:
    """Say of what labels are, where others are asked for."""
    names = before.differences(now)
    if "voxels" in names and before.image and now.image:
        return before.image.difference(now.image)
    return f"other {', '.join(names)}" if names else "a table that is not whole"


def require_as_asked(results: VolumeResults, section: DecodingSection, origin: Origin) -> None:
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
