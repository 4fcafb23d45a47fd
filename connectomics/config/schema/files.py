"""What `--mode evaluate`, `decode` and `--init` take without a config, and how it is read."""

from __future__ import annotations

from typing import Literal

from connectomics.config.schema.base import EncodingName, File, Paths, Resolution, Section
from connectomics.config.schema.system import Threads
from connectomics.config.schema.testing import ScoringSection


class FilesSystem(Section):
    """What of the section `system` of a config is of use with files."""

    num_threads: Threads | None = None


class EvaluateFiles(ScoringSection):
    """Two label volumes to compare. Files are named as everywhere: `file.h5::dataset`, ...

    `table` is the synapse table of the prediction, for confidences. `neurons` and `annotations`
    (of the truth, in the CREMI format) are for the metrics `cremi_partners` and `points`.
    `image` is the EM, which the report shows. `resolution` is nm per voxel (z, y, x), where the
    files do not say. Without `output` the scores are printed and not kept.
    """

    truth: File | None = None
    prediction: File | None = None
    image: File | None = None
    mask: File | None = None
    table: File | None = None
    neurons: File | None = None
    annotations: File | None = None
    resolution: Resolution | None = None
    prediction_encoding: EncodingName = "auto"
    output: File | None = None
    system: FilesSystem = FilesSystem()


class DecodeFiles(Section):
    """Labels of synapses with sides, to list in a table. `resolution` as in `EvaluateFiles`."""

    labels: File | None = None
    neurons: File | None = None
    resolution: Resolution | None = None
    encoding: EncodingName = "auto"
    exports: tuple[str, ...] = ()
    output: File | None = None
    system: FilesSystem = FilesSystem()


class InitFiles(Section):
    """Files of EM and labels of which `--init` makes a config.

    `image` and `label` say which is which, in pairs, where that cannot be told from the files
    (`files` are those whose part is to be found out). `resolution` is nm per voxel (z, y, x),
    where the files do not say. `encoding` says how labels are stored, where that cannot be told.
    `joined` names label files to write, one per volume, where the two sides of the synapses are
    masks of their own. `machine` is the preset to train with.
    """

    files: tuple[File, ...] = ()
    image: Paths | None = None
    label: Paths | None = None
    resolution: Resolution | None = None
    encoding: EncodingName = "auto"
    joined: Paths | None = None
    machine: Literal["auto", "cpu", "small_gpu", "gpu"] = "auto"
    output: File = "my.yaml"
    system: FilesSystem = FilesSystem()
