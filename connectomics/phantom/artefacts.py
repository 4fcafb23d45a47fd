"""What sectioning and imaging do to the tissue: shifts, drift, blur, noise, damaged sections."""

from __future__ import annotations

import numpy as np

LARGEST_SHIFT_NM = 48.0


def section_shifts(
    count: int, resolution: np.ndarray, margin: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw the misalignment of each section: a pixel or so, and now and then a larger slip.

    Args:
        count: Number of sections.
        resolution: (3,) nm per voxel.
        margin: (2,) largest shift in pixels (y, x).
        rng: Source of randomness.

    Returns:
        (count, 2) int64 pixel shifts (y, x).
    """
    shifts = rng.normal(scale=6.0, size=(count, 2))
    slipped = rng.random(count) < 0.04
    shifts[slipped] += rng.normal(scale=20.0, size=(int(slipped.sum()), 2))
    return np.clip(np.rint(shifts / resolution[1:]), -margin, margin).astype(np.int64)


def crop_sections(volume: np.ndarray, shifts: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Cut the margin away, each section at its own shift."""
    height, width = np.array(volume.shape[1:]) - 2 * margin
    out = np.empty((len(volume), height, width), volume.dtype)
    for section, (y, x) in enumerate(shifts + margin):
        out[section] = volume[section, y : y + height, x : x + width]
    return out


def expose(
    image: np.ndarray,
    resolution: np.ndarray,
    rng: np.random.Generator,
    *,
    noise: float,
    contrast: float,
) -> np.ndarray:
    """Image the sections: slight blur, brightness and contrast drift, noise.

    Args:
        image: (Z, Y, X) float32 grey values.
        resolution: (3,) nm per voxel.
        rng: Source of randomness.
        noise: Standard deviation of the noise, grey values.
        contrast: Factor on the contrast about the middle grey.

    Returns:
        (Z, Y, X) float32.
    """
    from scipy.ndimage import gaussian_filter

    out = np.empty_like(image)
    gain = contrast * (1.08 + _drift(len(image), rng) * 0.07)
    offset = _drift(len(image), rng) * 6.0
    for section, plane in enumerate(image):
        plane = gaussian_filter(plane, 5.0 / resolution[1:], truncate=3.0)
        grain = rng.standard_normal(plane.shape, dtype=np.float32)
        # Shot noise grows with the signal.
        grain *= noise * np.sqrt(0.35 + 0.65 * np.clip(plane, 0, 255) / 130.0)
        out[section] = (plane - 138.0) * gain[section] + 134.0 + offset[section] + grain
    return out


def _drift(count: int, rng: np.random.Generator) -> np.ndarray:
    """A slow wander along the stack plus an independent part for every section."""
    wander = np.cumsum(rng.normal(scale=0.25, size=count))
    wander = wander - wander.mean()
    return np.clip(wander, -1.2, 1.2) + rng.normal(scale=0.7, size=count)


def damage_sections(image: np.ndarray, rng: np.random.Generator) -> tuple[int, ...]:
    """Spoil about one section in thirty, in place, never two in a row.

    Returns:
        The indices of the spoilt sections.
    """
    count = len(image)
    wanted = int(rng.poisson(count / 30)) if count < 16 else max(1, int(rng.poisson(count / 30)))
    order = rng.permutation(np.arange(1, max(count - 1, 1)))
    spoilt: list[int] = []
    for section in order:
        if len(spoilt) < wanted and all(abs(section - other) > 1 for other in spoilt):
            kind = _DAMAGE[rng.integers(len(_DAMAGE))]
            image[section] = kind(image[section], rng)
            spoilt.append(int(section))
    return tuple(sorted(spoilt))


def _exposure(plane: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Far too dark or far too bright."""
    if rng.random() < 0.5:
        return 0.35 * plane + rng.uniform(0, 15)
    return 0.4 * plane + rng.uniform(135, 160)


def _missing(plane: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lost: nothing but the empty film, or black."""
    grey = 0.0 if rng.random() < 0.5 else rng.uniform(180, 225)
    return np.full_like(plane, grey)


def _smear(plane: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dragged in one direction."""
    from scipy.ndimage import shift

    angle = rng.uniform(0, np.pi)
    step = np.array([np.sin(angle), np.cos(angle)]) * rng.uniform(1.0, 2.0)
    steps = range(-4, 5)
    dragged = [shift(plane, k * step, order=1, mode="nearest") for k in steps]
    return np.mean(dragged, axis=0)


def _fold(plane: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A dark band where the section lies double."""
    away = _distance_to_line(plane.shape, rng)
    width = rng.uniform(5, 14)
    band = 1.0 / (1.0 + np.exp((np.abs(away) - width) / 1.5))
    return plane * (1 - 0.78 * band)


def _knife_mark(plane: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A few parallel scratches, bright with a dark rim."""
    away = _distance_to_line(plane.shape, rng)
    out = plane.copy()
    for offset in (0.0, *rng.uniform(-60, 60, int(rng.integers(1, 4)))):
        width = rng.uniform(1.0, 3.0)
        out += rng.uniform(50, 90) * np.exp(-0.5 * ((away - offset) / width) ** 2)
        out -= 45.0 * np.exp(-0.5 * ((away - offset - 2.5 * width) / width) ** 2)
    return out


def _distance_to_line(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Signed distance in pixels of every pixel to a random, slightly bent line."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    centre = rng.uniform(0.25, 0.75, 2) * shape
    across = (y - centre[0]) * np.cos(angle) - (x - centre[1]) * np.sin(angle)
    along = (y - centre[0]) * np.sin(angle) + (x - centre[1]) * np.cos(angle)
    return across + 4.0 * np.sin(along / rng.uniform(40, 90))


_DAMAGE = (_exposure, _exposure, _missing, _smear, _fold, _knife_mark)
