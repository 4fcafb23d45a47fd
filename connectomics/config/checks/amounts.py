"""Sizes that no machine can hold, predicted from what the config says."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from connectomics.config.checks.volumes import splits
from connectomics.config.schema import Config
from connectomics.errors import Fault

LARGEST_BATCH = 2**31
"""Voxels; a network keeps tens of numbers for each, and a kernel counts them in 32 bits."""
LARGEST_PHANTOM = 2**30
"""Voxels; drawing one takes tens of bytes for each."""


def check_amounts(config: Config) -> Iterator[Fault]:
    """A batch of patches or windows fits into some machine, and so does a phantom."""
    loader, window = config.data.dataloader, config.inference.window
    sizes = {
        "data.dataloader.patch_size": (loader.patch_size, loader.batch_size),
        "inference.window.window_size": (
            window.window_size,
            1 if window.batch_size == "auto" else window.batch_size,
        ),
    }
    for where, (size, batch) in sizes.items():
        voxels = prod(size or (1,)) * batch
        if voxels > LARGEST_BATCH:
            yield Fault(
                where,
                f"{batch} of {list(size or ())} are {voxels:.3g} voxels, more than any machine "
                f"computes at once, {LARGEST_BATCH:.3g}.",
                "Make it smaller, or the batch_size beside it.",
            )
    for name, split in splits(config).items():
        if split.phantom and prod(split.phantom.shape) > LARGEST_PHANTOM:
            voxels = prod(split.phantom.shape)
            yield Fault(
                f"data.{name}.phantom.shape",
                f"{voxels:.3g} voxels are more than can be drawn, {LARGEST_PHANTOM:.3g}.",
                "Make it smaller.",
            )
