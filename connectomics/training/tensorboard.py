"""What goes to TensorBoard."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np
from pytorch_lightning.loggers import TensorBoardLogger

from connectomics.files import writing_to


class RunLogger(TensorBoardLogger):
    """TensorBoard files in one folder of the run, with the optimizer step as their only axis.

    A disk that cannot be written is a `DataError`, here as elsewhere.
    """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write scalars, but not Lightning's own epoch, of which a run here has only one."""
        kept = {name: value for name, value in metrics.items() if name != "epoch"}
        if kept:
            with writing_to(self.log_dir):
                super().log_metrics(kept, step)

    def log_picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """Write a (height, width, 3) uint8 picture; in processes but the first, do nothing."""
        with writing_to(self.log_dir):
            self.experiment.add_image(name, picture, step, dataformats="HWC")

    def save(self) -> None:
        """Bring everything to the disk; the run folder holds the config already."""
        with writing_to(self.log_dir):
            self.experiment.flush()

    def finalize(self, status: str) -> None:
        """Close the files. If that fails, the error that ended the run is the one to hear of."""
        with contextlib.suppress(OSError):
            super().finalize(status)
