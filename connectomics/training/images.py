"""Pictures of the validation: EM, with target and prediction outlined by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation, generate_binary_structure
from torch import Tensor

from connectomics.training.scores import ScoredChannels, dice, dice_counts, foreground_of
from connectomics.training.tensorboard import RunLogger

COLOURS = ((237, 115, 13), (13, 115, 237), (90, 220, 90), (240, 200, 40))
"""Of the first, second, ... kind of foreground: with polarity, pre is orange and post is blue."""

LEGIBLE = 160
"""Pixels of width that a section has at least: that is room for its caption."""

CAPTION = 14
"""Pixels above each picture for its caption."""


def image_grid(
    image: np.ndarray,
    target: np.ndarray,
    probability: np.ndarray,
    *,
    num_slices: int = 4,
    enlarged: int = 1,
) -> np.ndarray:
    """Arrange some sections of a patch as a grid.

    One column per section, captioned with its number: evenly spaced among those that hold
    something in the target, and of those beside them where these are too few. Rows: EM; the
    target outlined on it; the prediction outlined on it, where it is above one half.

    Args:
        image: (Z, Y, X), any range; the darkest voxel is drawn black, the brightest white.
        target: (C, Z, Y, X), 0 or 1, one channel per kind of foreground. Of three or more
            channels the third and later, such as a union, are not drawn.
        probability: (C, Z, Y, X), 0 to 1.
        num_slices: This many columns, if there are as many sections.
        enlarged: How many pixels wide a voxel is; outlines are one.

    Returns:
        (height, width, 3) uint8.
    """
    sections = _sections(target, num_slices)
    low, high = float(image.min()), float(image.max())
    grey = (image[sections] - low) / max(high - low, 1e-6) * 255
    em = np.repeat(_enlarged(grey, enlarged)[..., None], 3, axis=-1)
    rows = (
        ("EM", em),
        ("target", _outlined(em, _enlarged(target[:, sections], enlarged))),
        ("prediction", _outlined(em, _enlarged(probability[:, sections], enlarged))),
    )
    return np.vstack(
        [
            np.hstack(
                [
                    _captioned(picture, f"{name}, section {z}")
                    for z, picture in zip(sections, pictures, strict=True)
                ]
            )
            for name, pictures in rows
        ]
    )


def _sections(target: np.ndarray, most: int) -> np.ndarray:
    held = np.flatnonzero(target.any(axis=(0, 2, 3)))
    every = np.arange(target.shape[1])
    away = np.abs(every[:, None] - held).min(axis=1, initial=len(every))
    among = np.sort(np.argsort(away, kind="stable")[: max(most, len(held) or len(every))])
    count = min(most, len(among))
    return among[((np.arange(count) + 0.5) * len(among) / count).astype(int)]


def _enlarged(sections: np.ndarray, factor: int) -> np.ndarray:
    """(..., Y, X) with each voxel as a square of pixels."""
    return sections.repeat(factor, axis=-2).repeat(factor, axis=-1)


def _outlined(em: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Draw a line around what is above one half in (C, n, Y, X), on (n, Y, X, 3) EM."""
    picture, in_plane = em.copy(), generate_binary_structure(2, 1)[None]
    sides = strength[:2] if len(strength) >= 2 else strength
    for colour, channel in zip(COLOURS, sides, strict=False):
        inside = channel > 0.5
        picture[binary_dilation(inside, in_plane) & ~inside] = colour
    return picture


def _captioned(picture: np.ndarray, caption: str) -> np.ndarray:
    height, width, _ = picture.shape
    canvas = Image.new("RGB", (width + 2, height + CAPTION + 2), (20, 20, 20))
    canvas.paste(Image.fromarray(picture.clip(0, 255).astype(np.uint8)), (1, CAPTION))
    ImageDraw.Draw(canvas).text((2, 1), caption, fill=(235, 235, 235))
    return np.asarray(canvas)


class _Patch(NamedTuple):
    """A validation patch as it is to be drawn."""

    number: int
    dice: float
    picture: np.ndarray


class LogImages(pl.Callback):
    """Puts an `image_grid` of some validation patches into TensorBoard, the worst first.

    They are the same each time: the first that hold foreground, and others where these are too
    few. Each is named after its rank among them by Dice.

    Args:
        channels: Which channels are what.
        every_n_validations: How often.
        max_images: How many patches.
        num_slices: Sections per patch.
    """

    def __init__(
        self,
        channels: Sequence[ScoredChannels],
        *,
        every_n_validations: int,
        max_images: int,
        num_slices: int,
    ) -> None:
        self.channels = tuple(channels)
        self.every_n_validations = every_n_validations
        self.max_images = max_images
        self.num_slices = num_slices
        self._validations = 0
        self._seen = 0
        self._labelled: list[_Patch] = []
        self._empty: list[_Patch] = []

    def on_validation_start(self, *_: Any) -> None:
        """Begin anew."""
        self._seen, self._labelled, self._empty = 0, [], []
        self._validations += 1

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Draw the patches of this batch, until there are enough."""
        due = (self._validations - 1) % self.every_n_validations == 0
        if not due or not trainer.is_global_zero or len(self._labelled) >= self.max_images:
            return
        probability, truth = foreground_of(self.channels, outputs, batch["label"])
        for image, target, predicted in zip(batch["image"], truth, probability, strict=True):
            self._draw(image, target, predicted)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log what was drawn."""
        patches = [*self._labelled, *self._empty][: self.max_images]
        patches.sort(key=lambda patch: (np.isnan(patch.dice), patch.dice))
        for rank, patch in enumerate(patches, start=1):
            said = "nothing labelled" if np.isnan(patch.dice) else f"Dice {patch.dice:.2f}"
            picture = _captioned(patch.picture, f"patch {patch.number}, {said}")
            name = f"validation/{rank}{' (worst)' if rank == 1 and len(patches) > 1 else ''}"
            for logger in trainer.loggers:
                if isinstance(logger, RunLogger):
                    logger.log_picture(name, picture, trainer.global_step)

    def _draw(self, image: Tensor, target: Tensor, predicted: Tensor) -> None:
        into = self._labelled if bool(target.any()) else self._empty
        self._seen += 1
        if len(into) < self.max_images:
            arrays = _array(image[0]), _array(target), _array(predicted)
            factor = -(-LEGIBLE // image.shape[-1])
            grid = image_grid(*arrays, num_slices=self.num_slices, enlarged=factor)
            score = float(dice(dice_counts(predicted[None], target[None])))
            into.append(_Patch(self._seen, score, grid))


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to(device="cpu", dtype=torch.float32).numpy()
