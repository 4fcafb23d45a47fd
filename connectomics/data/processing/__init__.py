"""Label volumes and grey values, made ready for a network."""

from __future__ import annotations

from connectomics.data.processing.build import (
    TARGETS,
    build_targets,
    channel_names,
    check_targets,
    target_channels,
)
from connectomics.data.processing.labels import (
    CleanLabel,
    check_label,
    clean_label,
    clean_neurons,
)
from connectomics.data.processing.marks import Marks, find_marks
from connectomics.data.processing.normalize import ImageStatistics, image_statistics, normalize
from connectomics.data.processing.target import binary, polarity, seg_to_polarity

__all__ = [
    "TARGETS",
    "CleanLabel",
    "ImageStatistics",
    "Marks",
    "binary",
    "build_targets",
    "channel_names",
    "check_label",
    "check_targets",
    "clean_label",
    "clean_neurons",
    "find_marks",
    "image_statistics",
    "normalize",
    "polarity",
    "seg_to_polarity",
    "target_channels",
]
