"""What labels were made from, and whether those that are there are the ones that are asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectomics.config import Config
from connectomics.config.schema import DecodingSection
from connectomics.data.cache_key import CacheKey, key_of
from connectomics.data.identity import Identity, identify
from connectomics.data.io import LazyVolume
from connectomics.decoding.steps import output_encoding
from connectomics.digests import code_digest
from connectomics.errors import DataError
from connectomics.geometry import Triple
from connectomics.pipeline.in_progress import with_block
from connectomics.pipeline.predicted import PREDICTED_WITH, Predicted
from connectomics.pipeline.results import LABELS, VolumeResults
from connectomics.runs import Provenance

HANDED_ON = ("checkpoint", "checkpoint_sha256", PREDICTED_WITH)
"""What probabilities say of how they came about, and labels after them."""


@dataclass(frozen=True)
class Labelling:
    """The labels of one volume: what they are made from, how, and where they go.

    Attributes:
        probabilities: There, or to be predicted.
        image: The volume that they are of, where that is known.
        neurons: The neuron segmentation of the volume, where there is one.
        results: Where the labels go.
        config: Of the stage: the decoder, the exports, and where blocks are worked on.
        provenance: How the labels come about.
    """

    probabilities: LazyVolume | Predicted
    image: Identity | None
    neurons: LazyVolume | None
    results: VolumeResults
    config: Config
    provenance: Provenance

    @property
    def in_progress(self) -> Path:
        """Where they are made block by block."""
        return self.results.in_progress(LABELS)

    @property
    def sided(self) -> bool:
        """Whether each synapse has a pre and a post side."""
        return output_encoding(self.config.decoding.steps[0]) == "polarity"

    @property
    def tables(self) -> tuple[bool, bool]:
        """Whether synapses are tabulated, and whether their neurons are."""
        tabulated = self.sided and self.probabilities.resolution is not None
        return tabulated, tabulated and self.neurons is not None

    def key(self, block: Triple | None, known: Mapping[str, Identity]) -> CacheKey:
        """What the labels depend on.

        Args:
            block: (z, y, x) voxels of a block; None for all at once.
            known: What is known of the volumes, by an earlier run.
        """
        probabilities, neurons = self.probabilities, self.neurons
        volumes = {} if self.image is None else {"image": self.image}
        if isinstance(probabilities, Predicted):
            made = probabilities.key(block)
            volumes = {**made.volumes}
        else:
            made = key_of(Path(probabilities.source))
            if made is None or not made.parts:
                volumes["probabilities"] = identify(probabilities, known.get("probabilities"))
        if neurons is not None:
            volumes["neurons"] = identify(neurons, known.get("neurons"))
        contents = {name: one.content for name, one in volumes.items()}
        steps = self.config.decoding.steps
        parts = {
            "voxels": contents.get("image"),
            "probabilities": contents.get("probabilities") or (made and made.digest),
            "neurons": contents.get("neurons"),
            "decoding.steps": [step.model_dump(mode="json") for step in steps],
            "voxel size": probabilities.resolution,
            "offset": probabilities.grid.offset_nm,
            "version of the code": code_digest("decoding"),
        }
        return CacheKey(with_block(parts, block), volumes)

    def attributes(self, key: CacheKey) -> dict[str, Any]:
        """What labels of a key say of themselves."""
        of_probabilities = self.probabilities.attributes
        handed_on = {name: of_probabilities[name] for name in HANDED_ON if name in of_probabilities}
        return {
            **key.attributes(),
            "encoding": output_encoding(self.config.decoding.steps[0]),
            "decoder": json.dumps(key.parts["decoding.steps"]),
            "synthetic": of_probabilities.get("synthetic", False),
            **handed_on,
        }


def require_as_asked(results: VolumeResults, section: DecodingSection, key: CacheKey) -> None:
    """Refuse labels of other settings or of other probabilities, where one of both is missing."""
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
