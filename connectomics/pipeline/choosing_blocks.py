"""How large the blocks of each result are, by what predicting and decoding take of memory.

Here the network is not counted; what is announced of predicting is counted with it
(`inference/memory.py`).
"""

from __future__ import annotations

import math
from functools import partial

from connectomics.config import Config
from connectomics.config.schema import SystemSection
from connectomics.data.io import LazyVolume
from connectomics.data.volumes import LabelledVolume
from connectomics.geometry import Triple
from connectomics.pipeline.block_size import choose_block
from connectomics.pipeline.predicted import Predicted
from connectomics.pipeline.predictor import Predictor
from connectomics.pipeline.results import LABELS, PROBABILITIES, VolumeResults

COPIES = 4
"""Float32 copies of what is predicted, and of what the network sees, that memory holds at once."""

BYTES_OF_VOXEL = 8
"""What decoding takes of memory beside the probabilities: masks, labels, and what is listed."""


def block_of(predictor: Predictor, volume: LabelledVolume, results: VolumeResults) -> Triple | None:
    """The size of the blocks in which a volume is predicted; None for all at once."""
    config, shape = predictor.config, volume.shape
    return choose_block(
        config.system,
        shape,
        begun=results.begun(PROBABILITIES),
        at_once=_predicted_at_once(config, shape),
        of_block=partial(_predicted_block, config, shape),
        gpus=predictor.gpus,
    )


def block_to_decode(
    volume: LazyVolume, results: VolumeResults, system: SystemSection
) -> Triple | None:
    """The size of the blocks in which probabilities are decoded; None for all at once."""
    depth, height, width = volume.shape[-3:]
    return choose_block(
        system,
        (depth, height, width),
        begun=results.begun(LABELS),
        at_once=_decoded(volume, volume.shape[-3:]),
        of_block=lambda block: 2 * _decoded(volume, block),
    )


def block_of_labels(predicted: Predicted, results: VolumeResults) -> Triple | None:
    """The size of the blocks in which a volume is predicted and decoded; None for all at once."""
    config, shape = predicted.config, predicted.volume.shape
    return choose_block(
        config.system,
        shape,
        begun=results.begun(LABELS),
        at_once=_predicted_at_once(config, shape) + _decoded(predicted, shape),
        of_block=lambda block: max(
            _predicted_block(config, shape, block), 2 * _decoded(predicted, block)
        ),
        gpus=predicted.predictor.gpus,
    )


def _predicted_at_once(config: Config, shape: Triple) -> int:
    """Bytes that predicting a whole volume takes, which goes in slabs along z."""
    window = config.inference.window.window_size
    assert window is not None
    depth = min(window[0], shape[0])
    return COPIES * 4 * (config.model.out_channels + 1) * depth * shape[1] * shape[2]


def _predicted_block(config: Config, shape: Triple, block: Triple) -> int:
    """Bytes that predicting a block takes."""
    window = config.inference.window.window_size
    assert window is not None
    hull = [min(b + 2 * w, n) for b, w, n in zip(block, window, shape, strict=True)]
    slab = window[0] * hull[1] * hull[2]
    channels = config.model.out_channels
    return 4 * (2 * math.prod(hull) + 2 * channels * slab + COPIES * channels * math.prod(block))


def _decoded(volume: LazyVolume | Predicted, shape: tuple[int, ...]) -> int:
    """Bytes that decoding a part of (Z, Y, X) takes, its probabilities among them."""
    of_voxel = math.prod(volume.shape[:-3]) * volume.dtype.itemsize + BYTES_OF_VOXEL
    return math.prod(shape) * of_voxel
