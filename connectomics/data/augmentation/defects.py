"""Augmentations that damage single sections or a part of the patch, as real stacks are damaged.

Only the image is damaged. The labels stay, so the network learns to see through the damage
with the help of the neighbouring sections.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from connectomics.data.augmentation.interface import ImageAugmentation, require_range
from connectomics.errors import ConfigError

Fill = Literal["black", "mean", "random"]


@dataclass(frozen=True, kw_only=True)
class MissingSection(ImageAugmentation):
    """Blank whole sections. A patch of one section keeps it.

    Attributes:
        prob: The chance of it.
        sections: Most sections to lose at once; one always remains.
        fill: What stands in their place: "black", the "mean" of the patch, or a "random" grey
            value for each.
    """

    prob: float = 0.2
    sections: int = 2
    fill: Fill = "black"

    def __post_init__(self) -> None:
        require_range(self, prob=(0, 1), sections=(1, 1000))
        _require_fill(self, self.fill)

    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the sections to lose."""
        mean = float(image.mean())
        for z in _draw_sections(len(image), min(self.sections, len(image) - 1), rng):
            image[z] = _fill_value(self.fill, mean, rng)
        return image


@dataclass(frozen=True, kw_only=True)
class MissingParts(ImageAugmentation):
    """Blank a ragged band across sections: a crack, a fold, a knife mark, a lost tile edge.

    Attributes:
        prob: The chance of it.
        sections: Most sections to damage, each with a band of its own.
        width_ratio: Largest width of the band, as a fraction of the shorter in-plane side.
        fill: As in `MissingSection`.
    """

    prob: float = 0.2
    sections: int = 2
    width_ratio: float = 0.2
    fill: Fill = "random"

    def __post_init__(self) -> None:
        require_range(self, prob=(0, 1), sections=(1, 1000), width_ratio=(0, 1))
        _require_fill(self, self.fill)

    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw sections and their bands."""
        mean = float(image.mean())
        height, width = image.shape[1:]
        for z in _draw_sections(len(image), self.sections, rng):
            across, along = _line_coordinates(height, width, rng)
            band = rng.uniform(0, self.width_ratio) * min(height, width)
            near, far = _ragged_line(along, band, rng), _ragged_line(along, band, rng)
            damaged = (across >= near) & (across <= far + band)
            image[z][damaged] = _fill_value(self.fill, mean, rng)
        return image


@dataclass(frozen=True, kw_only=True)
class MotionBlur(ImageAugmentation):
    """Blur sections along a line, as stage drift during a scan does.

    Attributes:
        prob: The chance of it.
        sections: Most sections to blur, each in a direction of its own.
        length: Longest drift, px.
    """

    prob: float = 0.2
    sections: int = 2
    length: float = 11.0

    def __post_init__(self) -> None:
        require_range(self, prob=(0, 1), sections=(1, 1000), length=(1, 1000))

    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw sections, directions and lengths."""
        for z in _draw_sections(len(image), self.sections, rng):
            length, angle = rng.uniform(1, self.length), rng.uniform(0, math.pi)
            image[z] = _blur_along(image[z], length * math.sin(angle), length * math.cos(angle))
        return image


@dataclass(frozen=True, kw_only=True)
class OutOfFocus(ImageAugmentation):
    """Blur sections evenly, as a wrong focus does.

    Attributes:
        prob: The chance of it.
        sections: Most sections to blur.
        sigma: Largest standard deviation of the Gaussian blur, px.
    """

    prob: float = 0.2
    sections: int = 2
    sigma: float = 3.0

    def __post_init__(self) -> None:
        require_range(self, prob=(0, 1), sections=(1, 1000), sigma=(0, 100))

    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw sections and the strength of the blur."""
        from scipy.ndimage import gaussian_filter

        for z in _draw_sections(len(image), self.sections, rng):
            sigma = rng.uniform(self.sigma / 4, self.sigma)
            image[z] = gaussian_filter(image[z], sigma, mode="mirror", truncate=3)
        return image


@dataclass(frozen=True, kw_only=True)
class CutNoise(ImageAugmentation):
    """Bury a box of the patch in uniform noise.

    Attributes:
        prob: The chance of it.
        length_ratio: Largest extent of the box along each axis, as a fraction of the patch.
        amplitude: Largest noise to either side, as a fraction of the grey range.
    """

    prob: float = 0.3
    length_ratio: float = 0.4
    amplitude: float = 0.3

    def __post_init__(self) -> None:
        require_range(self, prob=(0, 1), length_ratio=(0, 1), amplitude=(0, 1))

    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the box and the noise."""
        longest = [max(1, int(size * self.length_ratio)) for size in image.shape]
        extent = [int(rng.integers((most + 1) // 2, most + 1)) for most in longest]
        start = [
            int(rng.integers(size - e + 1)) for size, e in zip(image.shape, extent, strict=True)
        ]
        box = image[tuple(slice(s, s + e) for s, e in zip(start, extent, strict=True))]
        noise = rng.random(box.shape, dtype=np.float32)
        noise -= np.float32(0.5)
        noise *= np.float32(2 * rng.uniform(self.amplitude / 2, self.amplitude))
        box += noise
        return image


def _draw_sections(depth: int, most: int, rng: np.random.Generator) -> np.ndarray:
    count = int(rng.integers(1, min(most, depth), endpoint=True)) if most else 0
    return rng.choice(depth, size=count, replace=False)


def _fill_value(fill: Fill, mean: float, rng: np.random.Generator) -> float:
    if fill == "random":
        return rng.uniform()
    return mean if fill == "mean" else 0.0


def _require_fill(owner: object, fill: str) -> None:
    if fill not in ("black", "mean", "random"):
        raise ConfigError(
            f"{type(owner).__name__}.fill", f"no fill {fill!r}.", "Choices: black, mean, random."
        )


def _line_coordinates(
    height: int, width: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Distances of each pixel across and along a random line through a random pixel."""
    angle = rng.uniform(0, 2 * math.pi)
    y = np.arange(height)[:, None] - rng.uniform(0, height)
    x = np.arange(width)[None, :] - rng.uniform(0, width)
    cosine, sine = math.cos(angle), math.sin(angle)
    return y * cosine + x * sine, x * cosine - y * sine


def _ragged_line(along: np.ndarray, band: float, rng: np.random.Generator) -> np.ndarray:
    """How far the edge of a tear strays from straight at each distance along it, px."""
    knots = np.arange(along.min(), along.max() + 24, 12)
    return np.interp(along, knots, rng.normal(0, 0.5 + band / 16, len(knots)))


def _blur_along(section: np.ndarray, drift_y: float, drift_x: float) -> np.ndarray:
    """The mean of a section over a straight drift, mirrored at the border."""
    taps = 2 * math.ceil(max(abs(drift_y), abs(drift_x))) + 1
    positions = np.linspace(-0.5, 0.5, taps)
    shifts = np.rint(np.outer(positions, (drift_y, drift_x))).astype(int)
    reach = np.abs(shifts).max(axis=0)
    padded = np.pad(section, [(r, r) for r in reach], mode="symmetric")
    height, width = section.shape
    total = np.zeros_like(section)
    for dy, dx in shifts + reach:
        total += padded[dy : dy + height, dx : dx + width]
    return total / np.float32(taps)
