"""`--mode decode` on files made anywhere, without a config: labels → table of synapses, exports."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from connectomics.config.schema.files import DecodeFiles
from connectomics.data.cache_key import CacheKey, key_of
from connectomics.data.identity import identify
from connectomics.data.io import LazyVolume
from connectomics.data.processing import clean_label
from connectomics.data.survey import survey_labels
from connectomics.decoding import Decoded, check_exports, list_synapses
from connectomics.errors import DataError, Fault, warn
from connectomics.evaluation import Encoding, Interpretation, SynapseCount, interpret
from connectomics.evaluation.encoding import SIDED
from connectomics.pipeline.label_checks import label_faults
from connectomics.pipeline.label_files import write_decoded
from connectomics.pipeline.on_files.opening import open_files
from connectomics.pipeline.results import VolumeResults
from connectomics.process.fitting import Need, memory_of_machine, require_room
from connectomics.scoring.labels import read_neurons
from connectomics.scoring.pairs import stored_as


def decode(section: DecodeFiles) -> None:
    """List the synapses of a label volume, and write the exports asked for."""
    volumes = open_files(section, ("labels", "neurons"))
    volume, results = volumes["labels"], VolumeResults(Path(section.output or ""))
    if volume.resolution is None:
        remedy = "Give it as resolution=[z,y,x] in nm, such as resolution=[30,8,8]."
        raise DataError(volume.source, "does not say its voxel size.", remedy)
    _require_room(volume)
    for fault in label_faults(survey_labels(volume)):
        warn(fault.where, fault.problem, fault.remedy)
    synapses = _synapses(volume, section.encoding)
    listed = list_synapses(
        synapses.array,
        volume.grid,
        neurons=read_neurons(volumes["neurons"]) if "neurons" in volumes else None,
    )
    grouped = bool(synapses.notes)
    is_input = results.labels.resolve() == Path(volume.source.partition("::")[0]).resolve()
    if grouped and is_input:
        problem = f"is where {volume.source} lies, and the grouped labels would take its place."
        raise DataError(f"output={section.output}", problem, "Choose another folder.")
    decoded = Decoded(synapses.array, *listed)
    for line in (*synapses.notes, *_summary(decoded)):
        print(f"decode: {line}")
    written = write_decoded(
        results,
        decoded,
        volume,
        about=_about_grouped(volume) if grouped else None,
        exports=section.exports,
        stale=[] if is_input or key_of(results.labels) is None else [results.labels],
    )
    print("decode: " + "\n        ".join(map(str, written)))


def _require_room(volume: LazyVolume) -> None:
    """Refuse labels that memory cannot hold: their synapses are listed at once."""
    held = math.prod(volume.shape) * volume.dtype.itemsize
    remedy = "Cut it, and list the synapses of each part (connectomics.data.io.save_volume)."
    what = f"listing the synapses of {volume.source}"
    _, warning = require_room(Need(3 * held, held), memory_of_machine(), what, remedy)
    if warning:
        warn(volume.source, *warning.split(". ", 1))


def _about_grouped(volume: LazyVolume) -> dict[str, Any]:
    key = CacheKey(volumes={"labels": identify(volume)})
    return {**key.attributes(), "encoding": "polarity", "grouped_from": volume.source}


def decode_faults(section: DecodeFiles) -> Iterator[Fault]:
    """What the schema cannot know of settings: the exports there are."""
    yield from check_exports(section.exports, "exports")


def _synapses(volume: LazyVolume, given: Encoding) -> Interpretation:
    """Give each synapse of labels with sides an identity."""
    labels = clean_label(volume.read(), volume.source).label
    stored = stored_as(volume, given, labels)
    read = interpret("label volume", labels, stored.encoding, sided=True)
    if read.encoding in SIDED:
        return read
    guess = ", going by their values" if stored.guessed else ""
    raise DataError(
        volume.source,
        f"holds {read.encoding} labels{guess}, and a table of synapses takes pre and post sides.",
        "If they are 2n-1 on the pre and 2n on the post side of synapse n, say encoding=polarity.",
    )


def _summary(decoded: Decoded) -> Iterator[str]:
    assert decoded.table is not None
    sides = decoded.table["side"].value_counts().to_dict()
    counts = ", ".join(f"{count} {side}" for side, count in sides.items())
    found = SynapseCount.of(decoded.table["touches_border"])
    yield f"{found}{f'; {counts}' if counts else ''}"
    if decoded.partners is not None:
        autapses = int(np.count_nonzero(decoded.partners["autapse"]))
        yield f"{autapses} with both sides in one neuron"
