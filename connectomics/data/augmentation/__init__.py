"""Training patches made more various than the volumes they come from.

Every augmentation is a plain class that works alone on numpy arrays:

>>> import numpy as np
>>> image = np.arange(4, dtype=np.float32).reshape(1, 2, 2)
>>> (flipped,) = Flip(prob=1.0, axes=(2,))(image, rng=np.random.default_rng(0))
>>> flipped[0].tolist()
[[1.0, 0.0], [3.0, 2.0]]
"""

from connectomics.data.augmentation.augmenter import Augmenter
from connectomics.data.augmentation.build import (
    AUGMENTATIONS,
    build_augmentation,
    check_augmentation,
)
from connectomics.data.augmentation.defects import (
    CutNoise,
    MissingParts,
    MissingSection,
    MotionBlur,
    OutOfFocus,
)
from connectomics.data.augmentation.geometry import (
    Affine,
    Elastic,
    Flip,
    Misalignment,
    Rotate90,
    Transpose,
)
from connectomics.data.augmentation.intensity import Intensity, Noise
from connectomics.data.augmentation.interface import GeometricAugmentation, ImageAugmentation
from connectomics.data.augmentation.monai_transforms import MonaiTransform
from connectomics.data.augmentation.warp import (
    Displacement,
    SectionAffine,
    compose_geometry,
    resample,
)

__all__ = [
    "AUGMENTATIONS",
    "Affine",
    "Augmenter",
    "CutNoise",
    "Displacement",
    "Elastic",
    "Flip",
    "GeometricAugmentation",
    "ImageAugmentation",
    "Intensity",
    "Misalignment",
    "MissingParts",
    "MissingSection",
    "MonaiTransform",
    "MotionBlur",
    "Noise",
    "OutOfFocus",
    "Rotate90",
    "SectionAffine",
    "Transpose",
    "build_augmentation",
    "check_augmentation",
    "compose_geometry",
    "resample",
]
