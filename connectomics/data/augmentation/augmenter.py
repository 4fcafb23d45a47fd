"""From a source crop to an augmented patch: geometry once, then grey values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from connectomics.data.augmentation.interface import (
    GeometricAugmentation,
    ImageAugmentation,
)
from connectomics.data.augmentation.monai_transforms import MonaiTransform
from connectomics.data.augmentation.warp import Origins, Size3, centred_start, trace
from connectomics.errors import DataError


@dataclass(frozen=True)
class Augmenter:
    """Augmentations in the order in which they are applied.

    Attributes:
        geometric: Composed into one map from patch to source, which is read once.
        image: Applied to grey values in 0..1.
        monai: Applied last, in 0..1 as well; their results are not clipped.
    """

    geometric: tuple[GeometricAugmentation, ...] = ()
    image: tuple[ImageAugmentation, ...] = ()
    monai: tuple[MonaiTransform, ...] = ()

    def source_size(self, patch_size: Size3) -> Size3:
        """The crop to read so that no transform looks beyond it.

        The patch lies in its middle. A smaller crop, cut off by the border of a volume, works
        as well: its mirror image fills what is missing.

        Args:
            patch_size: `(z, y, x)` voxels.
        """
        return self._sizes(patch_size)[0]

    def __call__(
        self,
        image: np.ndarray,
        label: np.ndarray,
        mask: np.ndarray | None = None,
        *,
        patch_size: Size3,
        rng: np.random.Generator,
        patch_start: Size3 | None = None,
        value_range: tuple[float, float] = (0.0, 1.0),
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Augment one sample.

        Args:
            image: `(Z, Y, X)` float32 source crop, normalised.
            label: `(Z, Y, X)` integer ids on the same grid.
            mask: `(Z, Y, X)` on the same grid, or None.
            patch_size: What to return, `(z, y, x)` voxels.
            rng: The only source of chance.
            patch_start: Where the patch begins in the crop, `(z, y, x)`. By default it lies in
                the middle; near the border of a volume, where the crop is cut off on one side,
                say where it lies.
            value_range: The grey values that mean black and white after normalisation: (0, 1)
                for "0-1"; for a z-score ((low - mean) / std, (high - mean) / std).

        Returns:
            New image (float32), label and mask of `patch_size`.

        Raises:
            DataError: The arrays differ in shape, or white is not brighter than black.
        """
        _require_same_shape(image, label=label, mask=mask)
        start = centred_start(image.shape, patch_size) if patch_start is None else patch_start
        origins = self.draw(patch_size, rng)
        return self.apply(
            origins, image, label, mask, patch_start=start, rng=rng, value_range=value_range
        )

    def draw(self, patch_size: Size3, rng: np.random.Generator) -> Origins:
        """Draw the geometry alone, for whoever reads no more of a volume than is looked at.

        Args:
            patch_size: `(z, y, x)` voxels.
            rng: The only source of chance.
        """
        sizes = self._sizes(patch_size)[1:]
        drawn = [a.sample(size, rng) for a, size in zip(self.geometric, sizes, strict=True)]
        return trace([step for step in drawn if step is not None], patch_size)

    def apply(
        self,
        origins: Origins,
        image: np.ndarray,
        label: np.ndarray,
        mask: np.ndarray | None = None,
        *,
        patch_start: Size3,
        rng: np.random.Generator,
        value_range: tuple[float, float] = (0.0, 1.0),
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Augment one sample by a geometry that was drawn; see `__call__`."""
        labels = [label] if mask is None else [label, mask]
        patch, *labels = origins.read(image, *labels, patch_start=patch_start)
        patch = np.asarray(patch, dtype=np.float32)
        if self.image or self.monai:
            patch, *labels = self._change_greys(patch, labels, rng, value_range)
        return patch, labels[0], None if mask is None else labels[1]

    def _change_greys(
        self,
        image: np.ndarray,
        labels: Sequence[np.ndarray],
        rng: np.random.Generator,
        value_range: tuple[float, float],
    ) -> tuple[np.ndarray, ...]:
        """What follows the geometry; MONAI's transforms may still move image and labels."""
        black, white = (np.float32(value) for value in value_range)
        if not black < white:
            raise DataError(
                "value_range",
                f"white ({white}) is not brighter than black ({black}).",
                "An image of one grey value holds nothing to learn from; check the file.",
            )
        rescaled = (black, white) != (0, 1)
        if rescaled:
            image = (image - black) / (white - black)
        for augmentation in self.image:
            image = augmentation(image, rng=rng)
        for transform in self.monai:
            image, *labels = transform(image, *labels, rng=rng)
        if rescaled:
            image = image * (white - black) + black
        return image, *labels

    def _sizes(self, patch_size: Size3) -> list[Size3]:
        """What each geometric augmentation reads, in order, and last what it has to give."""
        sizes = [patch_size]
        for augmentation in reversed(self.geometric):
            z, y, x = sizes[0]
            margin = augmentation.margin(sizes[0])
            sizes.insert(0, (z + 2 * margin[0], y + 2 * margin[1], x + 2 * margin[2]))
        return sizes


def _require_same_shape(image: np.ndarray, **others: np.ndarray | None) -> None:
    for name, other in others.items():
        if other is not None and other.shape != image.shape:
            raise DataError(
                name,
                f"shape {other.shape} differs from the image's {image.shape}.",
                "Crop both from the same box.",
            )
