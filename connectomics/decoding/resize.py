"""Label volumes at another size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from connectomics.errors import ConfigError


def resize_nearest(labels: np.ndarray, scale_factors: Sequence[float]) -> np.ndarray:
    """Resize a label volume, giving each new voxel the label at its centre.

    Args:
        labels: (Z, Y, X).
        scale_factors: Factors (z, y, x); n voxels become int(n * factor).

    Returns:
        Labels of the new size and the same dtype; `labels` itself if no size changes.

    Raises:
        ConfigError: An axis would be left without a voxel.

    >>> resize_nearest(np.array([[[1, 2, 3]]]), (1, 1, 2)).tolist()
    [[[1, 1, 2, 2, 3, 3]]]
    """
    # The small term keeps 100 * 0.29 = 28.999999999999996 from losing a voxel.
    sizes = [int(n * factor + 1e-9) for n, factor in zip(labels.shape, scale_factors, strict=True)]
    if 0 in sizes:
        raise ConfigError(
            "scale_factors",
            f"{tuple(scale_factors)} would shrink {labels.shape} voxels to {tuple(sizes)}.",
            "Choose larger factors.",
        )
    if tuple(sizes) == labels.shape:
        return labels
    nearest = [
        # floor((i + 1/2) * n / size), exactly
        (2 * np.arange(size) + 1) * n // (2 * size)
        for n, size in zip(labels.shape, sizes, strict=True)
    ]
    return labels[np.ix_(*nearest)]
