"""From a checkpoint to labels, without probabilities in between, unless these are there already."""

from __future__ import annotations

import math
from functools import cache, partial

from connectomics.data.build import HeldOut, measure
from connectomics.data.io import LazyVolume
from connectomics.data.origin import origin_of
from connectomics.data.volumes import LabelledVolume
from connectomics.geometry import Triple
from connectomics.pipeline.block_predicting import memory_of_block, memory_of_slab
from connectomics.pipeline.by_block import block_in, choose_block, known_volumes
from connectomics.pipeline.fusing import Predicted
from connectomics.pipeline.labelling import decode_volume, make_labels, memory_of
from connectomics.pipeline.predicting import origin_of_probabilities
from connectomics.pipeline.predictor import Predictor
from connectomics.pipeline.results import LABELS, VolumeResults, ask
from connectomics.runs import Provenance


def label_volume(
    predictor: Predictor, volume: LabelledVolume, results: VolumeResults, provenance: Provenance
) -> bool:
    """Predict and decode one volume, unless what that would give is there already.

    Probabilities that are there, and are those that would be predicted, are decoded as they are.

    Args:
        predictor: The network.
        volume: The volume.
        results: Its folder.
        provenance: How the labels come about.

    Returns:
        Whether the labels are there now; otherwise other shards have blocks to do.

    Raises:
        DataError: The volume cannot be read, the decoder refuses what is predicted, or nothing
            can be written.
    """
    config, system = predictor.config, predictor.config.system
    neurons = volume.neurons if isinstance(volume.neurons, LazyVolume) else None
    predicted = probabilities_of(predictor, volume, results)
    block = block_of_labels(predicted, results)
    made = origin_of(results.probabilities)
    there = block if system.block_size else made and block_in(made.parts)
    if made and made.key == predicted.origin(there).key:
        doubt = decode_volume(ask(volume), results, config, provenance=provenance, neurons=neurons)
        return doubt is not None
    return make_labels(
        predicted,
        predicted.origin(block).image,
        results,
        config,
        block=block,
        provenance=provenance,
        neurons=neurons,
    )


def probabilities_of(
    predictor: Predictor, volume: LabelledVolume, results: VolumeResults
) -> Predicted:
    """The probabilities of a volume, to be predicted when they are decoded."""
    before, held = origin_of(results.labels), HeldOut(volume, volume)
    known = before.volumes if before else known_volumes(results.begun(LABELS))
    return Predicted(
        predictor,
        volume,
        partial(measure, [volume], predictor.config.data.image_transform, predictor.pooled),
        cache(partial(origin_of_probabilities, predictor.parts(volume.shape), held, known)),
    )


def block_of_labels(predicted: Predicted, results: VolumeResults) -> Triple | None:
    """The size of the blocks in which a volume is predicted and decoded; None for all at once."""
    config, shape = predicted.config, predicted.volume.shape

    def of_block(block: Triple) -> int:
        decoding = 2 * memory_of(predicted, math.prod(block))
        return max(memory_of_block(config, shape, block), decoding)

    return choose_block(
        config.system,
        shape,
        begun=results.begun(LABELS),
        at_once=memory_of_slab(config, shape) + memory_of(predicted, math.prod(shape)),
        of_block=of_block,
        gpus=predicted.predictor.gpus,
    )
