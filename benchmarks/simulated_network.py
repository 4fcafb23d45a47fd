"""A network that is not run: what one might answer to a phantom, by rule and seed.

The rules follow what networks of this project did wrong on phantoms they had not seen (four
trainings of 800 to 3,000 steps). They are sure of themselves nearly everywhere, and unsure where
things end: the edge of a label is displaced by some 20 nm over some 50 nm, weak synapses shrink,
sides are taken for each other here and there, and about one false object comes with each true
one, half of them with one side only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from connectomics.phantom import Phantom

SLOPE_NM = 4.5  # distance across an edge over which the logit changes by 1
SUREST = 7.0  # greatest logit


class Blob(NamedTuple):
    """Something that is no synapse and is answered as if it were.

    Attributes:
        centre_nm: (3,) where.
        radii_nm: (3,) half-axes of the ellipsoid.
        peak: Greatest logit of the union.
        towards: (3,) unit vector from its pre to its post side.
        border: Where along it the one side ends and the other begins, as a share of the radius:
            from -1 (all post) to 1 (all pre).
    """

    centre_nm: np.ndarray
    radii_nm: np.ndarray
    peak: float
    towards: np.ndarray
    border: float


def simulate_network(
    phantom: Phantom,
    seed: int,
    *,
    errors: float = 1.0,
    damaged: float = 0.0,
    temperature: float = 1.0,
    bias: float = 0.0,
    span: tuple[float, float] = (0.0, 1.0),
) -> np.ndarray:
    """Draw what a polarity network might say of a phantom.

    Args:
        phantom: What to look at.
        seed: Of everything random.
        errors: How much goes wrong: 1 is a network after the training of the demo, 0 a network
            that knows every edge to a few nm.
        damaged: Share of sections whose logits fall by 9, which leaves nearly nothing.
        temperature: Factor on the logits: below 1 the network is underconfident.
        bias: Added to the logits before that; 3 moves every edge outwards by 13 nm.
        span: What probabilities 0 and 1 become.

    Returns:
        (3, Z, Y, X) uint8, p * 255 of pre, post and union.
    """
    rng = np.random.default_rng(seed)
    nm = np.asarray(phantom.resolution)
    logits = _answer_synapses(phantom.label, nm, errors, rng)
    for blob in [*_decoys(phantom, rng), *_specks(phantom, rng)]:
        if rng.random() < errors:
            _draw_blob(logits, blob, nm)
    depth = len(phantom.label)
    weakness = 0.6 * errors * np.abs(rng.standard_normal(depth))
    weakness += 9.0 * (rng.random(depth) < damaged)
    logits -= weakness.astype(np.float32)[:, None, None]
    # An edge is displaced in all channels alike, then a little in each.
    logits += 4.0 * errors * _field(phantom.label.shape, (90.0, 45.0, 45.0) / nm, rng)
    for channel in logits:
        channel += errors * _field(phantom.label.shape, 30.0 / nm, rng)
        channel += 0.4 * rng.standard_normal(channel.shape, dtype=np.float32)
    np.clip(logits, -SUREST, SUREST, out=logits)
    low, high = span
    p = low + (high - low) / (1 + np.exp(-temperature * (logits + bias)))
    return (255 * p + 0.5).astype(np.uint8)


def _answer_synapses(
    label: np.ndarray, nm: np.ndarray, errors: float, rng: np.random.Generator
) -> np.ndarray:
    """(3, Z, Y, X) logits for the synapses themselves, not yet clipped."""
    pre, post = label % 2 == 1, (label > 0) & (label % 2 == 0)
    nearest = distance_transform_edt(label == 0, nm, return_distances=False, return_indices=True)
    synapse = (label[tuple(np.asarray(nearest))].astype(np.int64) + 1) // 2
    strength = rng.normal(1.0, 2.0, synapse.max() + 1)
    strength -= 5.0 * (rng.random(len(strength)) < 0.1)  # hardly seen
    union = (_distance(label == 0, nm) - _distance(label > 0, nm)) / SLOPE_NM
    union = np.minimum(union, 2 * SUREST) + errors * strength[synapse]
    lead = _distance(post, nm) - _distance(pre, nm)
    lead = np.clip(lead / SLOPE_NM, -2 * SUREST, 2 * SUREST)
    mixed_up = _field(label.shape, 45.0 / nm, rng) > 2.0 / max(errors, 1e-3)
    lead[mixed_up] *= -1
    logits = np.stack([np.minimum(union, lead), np.minimum(union, -lead), union])
    return np.maximum(logits, -3 * SUREST).astype(np.float32)


def _distance(mask: np.ndarray, nm: np.ndarray) -> np.ndarray:
    """Distance to a mask in nm."""
    return np.asarray(distance_transform_edt(~mask, nm))


def _decoys(phantom: Phantom, rng: np.random.Generator) -> list[Blob]:
    """Every other decoy is answered: vesicles as pre, densities as post, half of them as both."""
    blobs = []
    for decoy in phantom.decoys:
        radii = rng.uniform(50, 140) * rng.uniform(0.6, 1.0, 3)
        alone = 1.5 if decoy.kind == "vesicles" else -1.5
        border = alone if rng.random() < 0.5 else rng.uniform(-0.5, 0.5)
        peak = rng.normal(4.0, 3.0) if rng.random() < 0.5 else -SUREST
        blobs.append(Blob(np.asarray(decoy.centre_nm), radii, peak, _direction(rng), border))
    return blobs


def _specks(phantom: Phantom, rng: np.random.Generator) -> list[Blob]:
    """Small answers to nothing, fewer than there are synapses."""
    extent = np.asarray(phantom.label.shape) * phantom.resolution
    return [
        Blob(
            rng.uniform(0, extent),
            rng.uniform(25, 60, 3),
            rng.normal(3.0, 2.0),
            _direction(rng),
            rng.uniform(-1.5, 1.5),
        )
        for _ in range(rng.poisson(0.7 * len(phantom.synapses)))
    ]


def _direction(rng: np.random.Generator) -> np.ndarray:
    """A unit vector that lies nearly in the section plane."""
    vector = rng.normal(size=3) * (0.3, 1, 1)
    return vector / np.linalg.norm(vector)


def _draw_blob(logits: np.ndarray, blob: Blob, nm: np.ndarray) -> None:
    """Raise logits (3, Z, Y, X) to what a blob is answered with."""
    reach = blob.radii_nm + SLOPE_NM * 2 * SUREST
    low = np.maximum(np.floor((blob.centre_nm - reach) / nm), 0).astype(int)
    high = np.maximum(np.ceil((blob.centre_nm + reach) / nm).astype(int) + 1, low)
    crop = logits[:, low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    at = [
        (np.arange(n) + first) * size - centre
        for n, first, size, centre in zip(crop.shape[1:], low, nm, blob.centre_nm, strict=True)
    ]
    away = np.stack(np.meshgrid(*at, indexing="ij"), axis=-1)
    radius = float(blob.radii_nm.mean())
    depth = radius * (1 - np.linalg.norm(away / blob.radii_nm, axis=-1)) / SLOPE_NM
    union = np.minimum(depth, blob.peak)
    lead = (blob.border * radius - away @ blob.towards) / SLOPE_NM
    for channel, answer in zip(
        crop, (np.minimum(union, lead), np.minimum(union, -lead), union), strict=True
    ):
        np.maximum(channel, answer, out=channel)


def _field(shape: tuple[int, ...], sigma: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of deviation 1."""
    noise = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), np.maximum(sigma, 0.35))
    return noise / noise.std()
