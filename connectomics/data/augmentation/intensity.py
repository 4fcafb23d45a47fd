"""Augmentations of grey values: how a microscope's settings and detector differ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from connectomics.data.augmentation.interface import ImageAugmentation, require_range


@dataclass(frozen=True, kw_only=True)
class Intensity(ImageAugmentation):
    """Change brightness, contrast and gamma, in part section by section.

    Contrast scales a section about its own mean. Every quantity is drawn once for the patch and
    once for each section, and mixed.

    Attributes:
        prob: The chance of it.
        brightness: Largest change to either side, as a fraction of the grey range.
        contrast: Largest change of contrast: a factor between 1 - contrast and 1 + contrast.
        gamma: Largest change of gamma: an exponent between 1 / (1 + gamma) and 1 + gamma.
        section_variation: Share of the change that each section draws for itself: 0 changes
            all sections alike, 1 each on its own.
    """

    prob: float = 0.8
    brightness: float = 0.1
    contrast: float = 0.2
    gamma: float = 0.3
    section_variation: float = 0.3

    def __post_init__(self) -> None:
        require_range(
            self,
            prob=(0, 1),
            brightness=(0, 1),
            contrast=(0, 1),
            gamma=(0, 10),
            section_variation=(0, 1),
        )

    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw and apply brightness, contrast and gamma."""
        shift, factor, exponent = (
            limit * self._draw(len(image), rng)
            for limit in (self.brightness, self.contrast, math.log1p(self.gamma))
        )
        from connectomics.data.augmentation import kernels

        mean = image.mean(axis=(1, 2))
        curves = _GREYS ** np.exp(exponent)[:, np.newaxis]
        kernels.change_exposure(image, mean, 1 + factor, shift, curves)
        return image

    def _draw(self, depth: int, rng: np.random.Generator) -> np.ndarray:
        shared, own = rng.uniform(-1, 1), rng.uniform(-1, 1, depth)
        mixed = (1 - self.section_variation) * shared + self.section_variation * own
        return mixed.astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Noise(ImageAugmentation):
    """Add detector noise: gaussian, the same everywhere, and shot noise, stronger where bright.

    Shot noise is Poisson in the counted electrons; its normal approximation is used, with a
    variance in proportion to the grey value.

    Attributes:
        prob: The chance of it.
        gaussian: Largest standard deviation, as a fraction of the grey range.
        shot: Largest standard deviation at the brightest grey value, likewise.
    """

    prob: float = 0.5
    gaussian: float = 0.05
    shot: float = 0.05

    def __post_init__(self) -> None:
        require_range(self, prob=(0, 1), gaussian=(0, 1), shot=(0, 1))

    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the two standard deviations and the noise."""
        gaussian, shot = rng.uniform(0, self.gaussian), rng.uniform(0, self.shot)
        from connectomics.data.augmentation import kernels

        drawn = rng.integers(0, 2**16, image.size, dtype=np.uint16)
        variances = np.float32(gaussian**2), np.float32(shot**2)
        kernels.add_noise(image, drawn, _normal_deviates(), *variances)
        return image


_GREYS = np.linspace(0, 1, 4097, dtype=np.float32)
"""So fine that straight lines between them err by a tenth of a grey value of 8 bits at most."""


@cache
def _normal_deviates() -> np.ndarray:
    """65,536 equally likely values of the normal distribution, float32.

    Looking one up takes a third of the time that drawing one does. Beyond four standard
    deviations, where 1 in 15,000 lies, they thin out.
    """
    from scipy.special import ndtri

    values = ndtri((np.arange(2**16) + 0.5) / 2**16)
    return (values / values.std()).astype(np.float32)
