"""Random probability volumes with the shapes that break decoders."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

DTYPES = (np.bool_, np.uint8, np.float16, np.float32, np.float64)
STYLES = ("boxes", "blobs", "noise")

empty_channels = st.sampled_from([None] * 9 + [0, 1, 2])
shapes = st.tuples(
    st.sampled_from([1, 2, 3, 5]),
    st.sampled_from([1, 2, 5, 16]),
    st.sampled_from([1, 2, 3, 31, 63, 64, 65, 100, 127, 128, 129, 193]),
)

settings_of_polarity = st.fixed_dictionaries(
    {
        "thres": st.sampled_from([0.0, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0]),
        "thres_small": st.sampled_from([0, 1, 2, 3, 8, 40]),
        "dilate_sz": st.sampled_from([0, 1, 2, 3, 4, 5, 8, 65]),
        "semantic": st.sampled_from([False, False, False, True]),
        "exclusive": st.booleans(),
        "scale_factors": st.sampled_from(
            [(1.0, 1.0, 1.0)] * 5 + [(1.0, 2.0, 1.5), (3.0, 1.0, 1.0)]
        ),
    }
)


def random_volume(seed, shape, style, dtype, empty=None):
    """(3, Z, Y, X) of a dtype: boxes that touch and nest, smooth blobs, or noise.

    The channel `empty` is 0 everywhere.
    """
    rng = np.random.default_rng(seed)
    if style == "boxes":
        volume = _boxes(rng, shape)
    else:
        volume = rng.random((3, *shape))
        if style == "blobs":
            volume = gaussian_filter(volume, (0, 0.7, 1.5, 1.5))
            volume = (volume - volume.min()) / (np.ptp(volume) + 1e-9)
    if empty is not None:
        volume[empty] = 0
    return as_dtype(volume, dtype)


def as_dtype(volume, dtype):
    """Probabilities on the scale of a dtype."""
    if dtype == np.bool_:
        return volume > 0.5
    return np.round(volume * 255).astype(np.uint8) if dtype == np.uint8 else volume.astype(dtype)


def _boxes(rng, shape):
    volume = np.zeros((3, *shape))
    for _ in range(rng.integers(14)):
        begin = [rng.integers(n) for n in shape]
        extent = [rng.integers(1, n // 2 + 2) for n in shape]
        box = tuple(slice(b, b + e) for b, e in zip(begin, extent, strict=True))
        volume[(rng.integers(3), *box)] = rng.random()
        if rng.random() < 0.7:
            volume[(2, *box)] = rng.random()
    return volume
