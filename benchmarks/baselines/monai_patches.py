"""The standard augmentation as a list of MONAI's dictionary transforms.

MONAI has no damaged or misaligned sections; those are left out, which is in its favour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from monai.transforms.compose import Compose
from monai.transforms.intensity.dictionary import (
    RandAdjustContrastd,
    RandGaussianNoised,
    RandScaleIntensityd,
    RandShiftIntensityd,
)
from monai.transforms.spatial.dictionary import (
    Rand3DElasticd,
    RandAffined,
    RandFlipd,
    RandRotate90d,
)

KEYS = ("image", "label")
MODES = ("bilinear", "nearest")


def monai_augmentation(spec: Mapping[str, Mapping[str, Any]]) -> Callable[[dict], Any]:
    """The same chances and strengths in MONAI's words.

    Args:
        spec: `data.augmentation` of a config.
    """
    affine, elastic = spec["affine"], spec["elastic"]
    turn = np.deg2rad(affine["rotation"])
    return Compose(
        [
            *(RandFlipd(KEYS, prob=spec["flip"]["prob"], spatial_axis=axis) for axis in range(3)),
            RandRotate90d(KEYS, prob=spec["rotate90"]["prob"], spatial_axes=(1, 2)),
            RandAffined(
                KEYS,
                prob=affine["prob"],
                rotate_range=(turn, 0, 0),
                scale_range=(0, affine["scale"], affine["scale"]),
                shear_range=(0, 0, 0, 0, affine["shear"], affine["shear"]),
                mode=MODES,
                padding_mode="reflection",
            ),
            Rand3DElasticd(
                KEYS,
                prob=elastic["prob"],
                sigma_range=(5, 8),
                magnitude_range=(0, elastic["amplitude"]),
                mode=MODES,
                padding_mode="reflection",
            ),
            RandScaleIntensityd(("image",), factors=0.2, prob=spec["intensity"]["prob"]),
            RandShiftIntensityd(("image",), offsets=0.1, prob=spec["intensity"]["prob"]),
            RandAdjustContrastd(("image",), gamma=(0.7, 1.3), prob=spec["intensity"]["prob"]),
            RandGaussianNoised(
                ("image",), std=spec["noise"]["gaussian"], prob=spec["noise"]["prob"]
            ),
        ]
    )
