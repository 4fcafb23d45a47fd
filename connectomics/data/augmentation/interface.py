"""What an augmentation is: one that moves voxels, or one that changes grey values.

Both kinds are frozen dataclasses of plain settings. All chance comes from the generator that
is passed in, so the same generator state gives the same patch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from connectomics.data.augmentation.warp import Size3, Step, resample
from connectomics.errors import ConfigError


class GeometricAugmentation(ABC):
    """Moves voxels of image, label and mask together.

    Attributes:
        prob: The chance that it is applied, 0 to 1.
    """

    prob: float

    @abstractmethod
    def sample(self, shape: Size3, rng: np.random.Generator) -> Step | None:
        """Draw what happens to an array of `shape`; None if nothing does."""

    def margin(self, shape: Size3) -> Size3:
        """How many voxels beyond `shape` it may read at each end of each axis."""
        del shape
        return 0, 0, 0

    def __call__(
        self,
        image: np.ndarray,
        *labels: np.ndarray,
        rng: np.random.Generator,
        patch_size: Size3 | None = None,
    ) -> tuple[np.ndarray, ...]:
        """Apply this augmentation alone.

        Args:
            image: `(Z, Y, X)` grey values.
            *labels: `(Z, Y, X)` integer ids, masks: whatever has to move along, any dtype.
            rng: The source of chance.
            patch_size: What to return, cut from the middle. By default the size of the image,
                whose mirror image then fills what moves in from outside.

        Returns:
            New image and labels of `patch_size`.
        """
        size = patch_size or (image.shape[0], image.shape[1], image.shape[2])
        step = self.sample(size, rng)
        steps = () if step is None else (step,)
        return resample(steps, image, *labels, patch_size=size)


class ImageAugmentation(ABC):
    """Changes grey values and leaves every voxel, label and mask where it is.

    Grey values run from 0 (the darkest) to 1 (the brightest); results are clipped to that.
    `Augmenter` brings other ranges there and back.

    Attributes:
        prob: The chance that it is applied, 0 to 1.
    """

    prob: float

    @abstractmethod
    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Apply it whatever `prob`; may overwrite `image`, `(Z, Y, X)` float32 in 0..1."""

    def __call__(self, image: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
        """Apply this augmentation alone, with chance `prob`.

        Args:
            image: `(Z, Y, X)` grey values, 0 to 1. Never modified.
            rng: The source of chance.

        Returns:
            The augmented image, float32 in 0..1; `image` itself if it was not drawn.
        """
        if rng.random() >= self.prob:
            return image
        changed = self.apply(np.array(image, dtype=np.float32, order="C"), rng)
        return np.clip(changed, 0, 1, out=changed)


def require_range(owner: object, **ranges: tuple[float, float]) -> None:
    """Check that settings are numbers in their closed ranges.

    Raises:
        ConfigError: At `Class.setting`, naming the value and the range.

    >>> from types import SimpleNamespace
    >>> require_range(SimpleNamespace(prob=0.5), prob=(0, 1))
    """
    for name, (low, high) in ranges.items():
        value = getattr(owner, name)
        if not isinstance(value, (int, float)) or not low <= value <= high:
            raise ConfigError(
                f"{type(owner).__name__}.{name}",
                f"{value!r} is not in range.",
                f"Give a number between {low} and {high}.",
            )
