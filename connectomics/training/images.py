"""Pictures of the validation: EM, target, prediction, and the two sides in colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from connectomics.training.scores import ScoredChannels, foreground_of
from connectomics.training.tensorboard import RunLogger

COLOURS = ((255, 82, 60), (40, 170, 255), (90, 220, 90), (240, 200, 40))
"""Of the first, second, ... kind of foreground: with polarity, pre is red and post is blue."""

CAPTION = 14
"""Pixels above each picture for its caption."""


def image_grid(
    image: np.ndarray, target: np.ndarray, probability: np.ndarray, *, num_slices: int = 4
) -> np.ndarray:
    """Arrange some sections of a patch as a grid.

    One column per section, evenly spaced, captioned with its number. Rows: EM; target over EM;
    prediction over EM, as strong as it is probable.

    Args:
        image: (Z, Y, X), any range; the darkest voxel is drawn black, the brightest white.
        target: (C, Z, Y, X), 0 or 1, one channel per kind of foreground. Of three or more
            channels the third and later, such as a union, are not drawn.
        probability: (C, Z, Y, X), 0 to 1.
        num_slices: At most this many columns.

    Returns:
        (height, width, 3) uint8.
    """
    sections = np.unique(np.linspace(0, len(image) - 1, num_slices + 2)[1:-1].round().astype(int))
    low, high = float(image.min()), float(image.max())
    grey = (image[sections] - low) / max(high - low, 1e-6) * 255
    em = np.repeat(grey[..., None], 3, axis=-1)
    rows = (
        ("EM", em),
        ("target", _tint(em, target[:, sections])),
        ("prediction", _tint(em, probability[:, sections])),
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


def _tint(em: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Lay colours over (n, Y, X, 3) EM, as strongly as (C, n, Y, X) says."""
    picture = em.copy()
    sides = strength[:2] if len(strength) >= 2 else strength
    for colour, channel in zip(COLOURS, sides, strict=False):
        alpha = 0.6 * channel[..., None]
        picture = (1 - alpha) * picture + alpha * np.asarray(colour)
    return picture


def _captioned(picture: np.ndarray, caption: str) -> np.ndarray:
    height, width, _ = picture.shape
    canvas = Image.new("RGB", (width + 2, height + CAPTION + 2), (20, 20, 20))
    canvas.paste(Image.fromarray(picture.clip(0, 255).astype(np.uint8)), (1, CAPTION))
    ImageDraw.Draw(canvas).text((2, 1), caption, fill=(235, 235, 235))
    return np.asarray(canvas)


class LogImages(pl.Callback):
    """Puts an `image_grid` of the first validation patches into TensorBoard.

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
        self._drawn = 0

    def on_validation_start(self, *_: Any) -> None:
        """Begin anew."""
        self._drawn = 0
        self._validations += 1

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Draw the patches of this batch, until there are enough."""
        due = (self._validations - 1) % self.every_n_validations == 0
        if not due or not trainer.is_global_zero or self._drawn >= self.max_images:
            return
        probability, truth = foreground_of(self.channels, outputs, batch["label"])
        for image, target, predicted in zip(batch["image"], truth, probability, strict=True):
            if self._drawn < self.max_images:
                grid = image_grid(
                    _array(image[0]),
                    _array(target),
                    _array(predicted),
                    num_slices=self.num_slices,
                )
                for logger in trainer.loggers:
                    if isinstance(logger, RunLogger):
                        name = f"validation/{self._drawn}"
                        logger.log_picture(name, grid, trainer.global_step)
                self._drawn += 1


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to(device="cpu", dtype=torch.float32).numpy()
