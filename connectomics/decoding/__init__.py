"""From probabilities to synapses: decoders on numpy arrays, without torch.

`polarity2instance` is the published baseline, `decode_synapses` what comes after it.
Importing this package is quick: numba, scipy and pandas are imported when something needs them.
"""

from __future__ import annotations

from connectomics.decoding.calibration import calibrate, fit_calibration
from connectomics.decoding.components import binary2instance
from connectomics.decoding.decoder import Decoder
from connectomics.decoding.export import (
    EXPORTS,
    check_exports,
    read_table,
    write_cave,
    write_cremi,
    write_export,
    write_neuprint,
    write_table,
)
from connectomics.decoding.foreground import doubt_of_count, foreground_doubt
from connectomics.decoding.polarity import polarity2instance
from connectomics.decoding.resize import resize_nearest
from connectomics.decoding.steps import (
    DECODERS,
    Decoded,
    check_decoding,
    decode,
    output_encoding,
)
from connectomics.decoding.synapses import BASELINE, SynapseResult, decode_synapses
from connectomics.decoding.table import (
    TABLE_COLUMNS,
    SynapseList,
    list_synapses,
    synapse_table,
)

__all__ = [
    "BASELINE",
    "DECODERS",
    "EXPORTS",
    "TABLE_COLUMNS",
    "Decoded",
    "Decoder",
    "SynapseList",
    "SynapseResult",
    "binary2instance",
    "calibrate",
    "check_decoding",
    "check_exports",
    "decode",
    "decode_synapses",
    "doubt_of_count",
    "fit_calibration",
    "foreground_doubt",
    "list_synapses",
    "output_encoding",
    "polarity2instance",
    "read_table",
    "resize_nearest",
    "synapse_table",
    "write_cave",
    "write_cremi",
    "write_export",
    "write_neuprint",
    "write_table",
]
