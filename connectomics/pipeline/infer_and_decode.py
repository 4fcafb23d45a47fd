"""From a checkpoint to labels, without probabilities in between, unless these are there already."""

from __future__ import annotations

from connectomics.data.build import HeldOut
from connectomics.data.cache_key import key_of
from connectomics.data.volumes import LabelledVolume
from connectomics.pipeline.choosing_blocks import block_of_labels
from connectomics.pipeline.in_progress import block_in, known_volumes
from connectomics.pipeline.label_key import Labelling
from connectomics.pipeline.labelling import decode_volume, make_labels
from connectomics.pipeline.predicted import Predicted, to_be_predicted
from connectomics.pipeline.predictor import Predictor
from connectomics.pipeline.result_folders import ask
from connectomics.pipeline.results import LABELS, VolumeResults
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
    asked = ask(volume)
    predicted = probabilities_of(predictor, volume, results)
    block = block_of_labels(predicted, results)
    made = key_of(results.probabilities)
    there = block if system.block_size else made and block_in(made.parts)
    if made and made.digest == predicted.key(there).digest:
        return decode_volume(asked, results, config, provenance) is not None
    image = predicted.key(block).image
    work = Labelling(predicted, image, asked.neurons, results, config, provenance)
    return make_labels(work, block)


def probabilities_of(
    predictor: Predictor, volume: LabelledVolume, results: VolumeResults
) -> Predicted:
    """The probabilities of a volume, to be predicted when they are decoded."""
    before, held = key_of(results.labels), HeldOut(volume, volume)
    known = before.volumes if before else known_volumes(results.in_progress(LABELS))
    return to_be_predicted(predictor, held, known)
