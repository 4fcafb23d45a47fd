"""What can be wrong with the settings of the `data` section, whatever its files are."""

from __future__ import annotations

from connectomics.config.schema import DataSection, SplitSection
from connectomics.data.augmentation import check_augmentation
from connectomics.data.phantoms import phantom_faults
from connectomics.data.processing.build import check_targets
from connectomics.errors import Fault


def check_settings(section: DataSection) -> list[Fault]:
    """Find targets and augmentations, or settings of them, that do not exist."""
    faults = check_targets(section.label_transform.targets)
    faults += check_augmentation(section.augmentation)
    for name in ("train", "val", "test"):
        split: SplitSection | None = getattr(section, name)
        if split is not None and split.phantom is not None:
            faults += phantom_faults(split.phantom, f"data.{name}.phantom")
    return faults
