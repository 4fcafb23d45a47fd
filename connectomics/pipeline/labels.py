"""The labels of a volume, with the table of its synapses: decoded from probabilities.

These are there, are made first, or are predicted as they are decoded and not kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from connectomics.blocks import Shard
from connectomics.config import Config
from connectomics.config.schema import DecodingSection
from connectomics.data.build import HeldOut
from connectomics.data.cache_key import CacheKey, key_of, reading_result
from connectomics.data.identity import Identity, identify
from connectomics.data.io import LazyVolume
from connectomics.data.volumes import LabelledVolume
from connectomics.decoding import Decoded, doubt_of_count, foreground_doubt, steps
from connectomics.digests import code_digest
from connectomics.errors import naming, warn
from connectomics.geometry import Triple
from connectomics.pipeline.artifact import (
    Artifact,
    block_in,
    known_volumes,
    with_block,
)
from connectomics.pipeline.by_block.choosing import block_of_labels, block_to_decode
from connectomics.pipeline.by_block.counting import VOLUMES
from connectomics.pipeline.by_block.labelling import LabelsByBlock, decode_by_block
from connectomics.pipeline.by_block.lost import lacks_blocks, read_or_note
from connectomics.pipeline.by_block.workers import shard_of
from connectomics.pipeline.comparing import (
    RESOLUTION_REMEDY,
    image_of,
    open_probabilities,
)
from connectomics.pipeline.label_files import export_again, write_decoded
from connectomics.pipeline.predicted import PREDICTED_WITH, Predicted
from connectomics.pipeline.predictor import Predictor
from connectomics.pipeline.probabilities import Probabilities, probabilities_of
from connectomics.pipeline.result_folders import Asked, ask
from connectomics.pipeline.results import LABELS, VolumeResults
from connectomics.process.progress import elapsing
from connectomics.runs import Provenance
from connectomics.scoring.labels import read_neurons

HANDED_ON = ("checkpoint", "checkpoint_sha256", PREDICTED_WITH, steps.SMALL)
"""What probabilities say of how they came about, and labels after them."""


@dataclass(frozen=True)
class Labels(Artifact):
    """The labels of one volume, the table of their synapses, and its exports.

    Attributes:
        asked: The volume.
        results: Where they go.
        config: Of the stage: the decoder, the exports, and where blocks are worked on.
        provenance: How they come about.
        source: What their probabilities are made by first, or predicted by where they are not
            kept; None to decode those that are there.
    """

    asked: Asked
    results: VolumeResults
    config: Config
    provenance: Provenance
    source: Probabilities | Predicted | None = None
    stage: ClassVar[str] = "decode"
    making: ClassVar[str] = "decoding"

    @property
    def path(self) -> Path:
        """In the form they are there."""
        return self.results.labels

    @property
    def in_progress(self) -> Path:
        """See `Artifact`, as for all."""
        return self.results.in_progress(LABELS)

    @property
    def shard(self) -> Shard | None:
        """By the config."""
        return shard_of(self.config.system)

    @property
    def block_is_given(self) -> bool:
        """By the config."""
        return self.config.system.block_size is not None

    def upstream(self) -> list[Artifact]:
        """Probabilities that are kept."""
        return [self.source] if isinstance(self.source, Probabilities) else []

    @cached_property
    def probabilities(self) -> LazyVolume | Predicted:
        """What is decoded. Those that are there are taken, where they would be predicted so."""
        if isinstance(self.source, Predicted) and not self._is_there(self.source):
            return self.source
        return open_probabilities(self.asked, self.results)

    @cached_property
    def decoding(self) -> DecodingSection:
        """The decoder, as it decodes these probabilities."""
        return steps.with_least(self.config.decoding, self.probabilities.attributes)

    def _is_there(self, predicted: Predicted) -> bool:
        made = key_of(self.results.probabilities)
        if made is None or lacks_blocks(self.results.probabilities):
            return False
        given = block_of_labels(predicted, self.results) if self.block_is_given else None
        return made.digest == predicted.key(given or block_in(made.parts)).digest

    @cached_property
    def _image(self) -> tuple[Identity | None, str]:
        if isinstance(self.probabilities, Predicted):
            return self.probabilities.key(None).image, ""
        before = self.made_from()
        return image_of(self.results.probabilities, self.asked, before and before.image)

    @property
    def doubt(self) -> str:
        """What has to be said where nothing tells which volume the probabilities are of."""
        return self._image[1]

    @property
    def _sided(self) -> bool:
        """Whether each synapse has a pre and a post side."""
        return steps.output_encoding(self.config.decoding.steps[0]) == "polarity"

    def block(self) -> Triple | None:
        """By what decoding takes of memory, and predicting where that is done as well."""
        if isinstance(self.probabilities, Predicted):
            return block_of_labels(self.probabilities, self.results)
        return block_to_decode(self.probabilities, self.results, self.config.system)

    def key(self, block: Triple | None) -> CacheKey:
        """Probabilities, neurons, place, settings and code."""
        (image, _), probabilities, neurons = self._image, self.probabilities, self.asked.neurons
        known = known_volumes(self.path, self.in_progress)
        volumes = {} if image is None else {"image": image}
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
        parts = {
            "voxels": contents.get("image"),
            "probabilities": contents.get("probabilities") or (made and made.digest),
            "neurons": contents.get("neurons"),
            "decoding.steps": [
                {"name": step.name, "kwargs": steps.unlike_default(step)}
                for step in self.decoding.steps
            ],
            "voxel size": probabilities.resolution,
            "offset": probabilities.grid.offset_nm,
            "version of the code": code_digest("decoding"),
        }
        return CacheKey(with_block(parts, block), volumes)

    def lacks(self) -> str:
        """Files of blocks, and its tables, of synapses and of their neurons, beside it."""
        tabulated = self._sided and self.probabilities.resolution is not None
        wanted = tabulated, tabulated and self.asked.neurons is not None
        there = self.results.table.is_file(), self.results.partners.is_file()
        return super().lacks() or ("" if there == wanted else "lacks a table that is whole")

    def refresh(self) -> bool:
        """Write the exports that are not there."""
        return export_again(self.results, self.config.decoding.exports, self.probabilities)

    def make(self, key: CacheKey, block: Triple | None) -> bool:
        """Decode them.

        Raises:
            DataError: The decoder refuses the probabilities, or nothing can be written.
        """
        volume, results, config = self.probabilities, self.results, self.config
        if self.decoding is not config.decoding:
            print(f"decode: {steps.said_of_least(self.decoding)}")
        at_once, by_block = results.forms(LABELS)
        print(f"decode: {volume.source} → {by_block if block else at_once}")
        with closing(volume):
            decoded = self._decode_by_block(key, block) if block else self._decode_at_once()
            if decoded is None:
                return False
            write_decoded(
                results,
                decoded,
                volume,
                about=self._attributes(key),
                exports=config.decoding.exports,
                config={results.config(at_once): self.provenance.one_text()},
                stale=results.replaced_by_labels() if isinstance(volume, Predicted) else [],
            )
        if self._sided and volume.resolution is None:
            print(f"  no synapses.csv: the voxel size is not known. {RESOLUTION_REMEDY}")
        return True

    def _decode_by_block(self, key: CacheKey, block: Triple) -> LabelsByBlock | None:
        volume = self.probabilities
        decoded = decode_by_block(
            volume,
            self.decoding.steps,
            self.config.system,
            block,
            neurons=self.asked.neurons,
            folder=self.in_progress,
            key=key,
            attributes=self._attributes(key),
        )
        if decoded is not None:
            self._warn(doubt_of_count(decoded.foreground, volume.shape, **self._given()))
        return decoded

    def _decode_at_once(self) -> Decoded:
        volume, neurons = self.probabilities, self.asked.neurons
        if isinstance(volume, Predicted):
            probabilities = volume.read()
        else:
            with naming(volume.source), reading_result(Path(volume.source), "infer"):
                probabilities = read_or_note(volume)
        names = " and ".join(step.name for step in self.decoding.steps)
        with naming(volume.source), elapsing(f"decode: {names}"):
            decoded = steps.decode(
                probabilities,
                self.decoding.steps,
                grid=volume.grid,
                neurons=None if neurons is None else read_neurons(neurons),
            )
        self._warn(foreground_doubt(probabilities, **self._given()))
        return decoded

    def _attributes(self, key: CacheKey) -> Mapping[str, Any]:
        """What labels of a key say of themselves."""
        of_probabilities, decoder = self.probabilities.attributes, self.decoding.steps
        handed_on = {name: of_probabilities[name] for name in HANDED_ON if name in of_probabilities}
        return {
            **key.attributes(),
            "encoding": steps.output_encoding(decoder[0]),
            "decoder": json.dumps([step.model_dump(mode="json") for step in decoder]),
            "synthetic": of_probabilities.get("synthetic", False),
            **handed_on,
        }

    def _given(self) -> dict[str, Any]:
        """What it takes to tell whether a network says yes everywhere."""
        exclusive = bool(self.config.decoding.steps[0].kwargs.get("exclusive", False))
        return {"exclusive": exclusive, "resolution": self.probabilities.resolution}

    def _warn(self, doubt: tuple[str, str] | None) -> None:
        if doubt is not None:
            warn(self.probabilities.source, *doubt)


def labels_from(
    predictor: Predictor,
    found: Sequence[tuple[LabelledVolume, VolumeResults]],
    provenance: Provenance,
) -> list[Labels]:
    """The labels of volumes by a network, by way of probabilities that are kept or not.

    Args:
        predictor: The network.
        found: The volumes, with their folders.
        provenance: How labels and probabilities come about.
    """
    config = predictor.config
    labels = []
    for volume, results in found:
        if config.inference.save_probabilities:
            held = HeldOut(volume, volume)
            source = probabilities_of(predictor, held, results, provenance)
        else:
            source = predicted_for(predictor, volume, results)
        asked = ask(volume, config.data.test)
        labels.append(Labels(asked, results, config, provenance, source))
    return labels


def predicted_for(
    predictor: Predictor, volume: LabelledVolume, results: VolumeResults
) -> Predicted:
    """The probabilities of a volume, to be predicted when they are decoded."""
    known = known_volumes(results.labels, results.in_progress(LABELS))
    held = HeldOut(volume, volume)
    return Predicted(predictor, held, known, results.in_progress(VOLUMES))
