"""From probabilities to synapses: decoders on numpy arrays, without torch.

Importing this package is quick: numba and scipy are imported when a decoder first runs.
"""

from __future__ import annotations

from connectomics.decoding.components import binary2instance
from connectomics.decoding.polarity import polarity2instance
from connectomics.decoding.resize import resize_nearest
from connectomics.decoding.steps import (
    DECODERS,
    INPUT_CHANNELS,
    check_decoding,
    decode,
    output_encoding,
)

__all__ = [
    "DECODERS",
    "INPUT_CHANNELS",
    "binary2instance",
    "check_decoding",
    "decode",
    "output_encoding",
    "polarity2instance",
    "resize_nearest",
]
