"""MONAI's random transforms under the roof of this package, imported only when one is named.

Transforms of grey values see the image alone. Transforms that move voxels see image, label and
mask with the same random state, and ids are looked up, never mixed.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from connectomics.errors import ConfigError, did_you_mean

# Outside MONAI's module of intensity transforms, yet they change grey values only.
OTHER_INTENSITY = (
    "RandSimulateLowResolution",
    "RandSmoothFieldAdjustContrast",
    "RandSmoothFieldAdjustIntensity",
)
SPATIAL = (
    "Rand3DElastic",
    "RandAffine",
    "RandAxisFlip",
    "RandFlip",
    "RandGridDistortion",
    "RandRotate",
    "RandRotate90",
    "RandZoom",
)
# An abstract base, and one that draws from a random state nobody can seed (MONAI 1.6).
UNUSABLE = ("RandCoarseTransform", "RandIntensityRemap")


def monai_classes() -> dict[str, type]:
    """The MONAI transforms that augmentation can use, by name.

    Random ones only: what changed every training image alike would have to change the images of
    inference too.
    """
    from monai import transforms
    from monai.transforms.intensity import array

    names = {*array.__all__, *OTHER_INTENSITY, *SPATIAL} - set(UNUSABLE)
    return {name: getattr(transforms, name) for name in names if name.startswith("Rand")}


class MonaiTransform:
    """A MONAI array transform applied to a patch.

    Args:
        name: The class in `monai.transforms`.
        settings: Its keyword arguments, `prob` among them.

    Raises:
        ConfigError: No such transform here, or it refuses its settings.
    """

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        classes = monai_classes()
        if name not in classes:
            raise ConfigError(
                name, "no random MONAI transform of that name.", did_you_mean(name, classes)
            )
        transform = classes[name]
        try:
            self.transform: Any = transform(**settings)
        except Exception as error:  # whatever MONAI makes of settings that it does not check
            raise ConfigError(name, f"MONAI refuses the settings: {error!r}.") from error
        self.name = name
        self.moves_voxels = name in SPATIAL
        self.takes_mode = "mode" in inspect.signature(transform.__call__).parameters

    def __call__(
        self,
        image: np.ndarray,
        *labels: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, ...]:
        """Apply it to a patch.

        Args:
            image: `(Z, Y, X)` float32.
            *labels: `(Z, Y, X)` integer ids, masks.
            rng: The source of chance; one draw seeds MONAI.

        Returns:
            The image, float32, and the labels, all of the shape they had.
        """
        seed = int(rng.integers(2**32))
        changed = self._run(image, seed)
        if not self.moves_voxels:
            return changed, *labels
        return changed, *(self._move_ids(label, seed) for label in labels)

    def _move_ids(self, ids: np.ndarray, seed: int) -> np.ndarray:
        # MONAI works in float32, which holds ranks exactly where it would round large ids.
        values, ranks = np.unique(ids, return_inverse=True)
        settings = {"mode": "nearest"} if self.takes_mode else {}
        moved = self._run(ranks.reshape(ids.shape), seed, **settings)
        return values[np.rint(moved).astype(np.intp)]

    def _run(self, array: np.ndarray, seed: int, **settings: str) -> np.ndarray:
        self.transform.set_random_state(seed=seed)
        channel_first = np.array(array[None], dtype=np.float32)
        changed = np.asarray(self.transform(channel_first, **settings), dtype=np.float32)[0]
        if changed.shape != array.shape:
            raise ConfigError(
                f"data.augmentation.{self.name}",
                f"turns a patch of {array.shape} into one of {changed.shape}.",
                "A patch keeps its size; change the axes or sizes it works on.",
            )
        return changed
