"""Sizes that no machine can hold, predicted from what the config says."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from connectomics.config.checks.volumes import splits
from connectomics.config.schema import Config
from connectomics.errors import Fault

LARGEST_FEATURES = 2**38
"""Bytes of the features at the finest level of the network, one batch of them."""
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
    filters = config.model.rsunet.filters[0]
    for where, (size, batch) in sizes.items():
        features = prod(size or (1,)) * batch * filters * 4
        if features > LARGEST_FEATURES:
            yield Fault(
                where,
                f"{batch} of {list(size or ())} voxels with {filters} filters take "
                f"{features / 2**30:,.0f} GiB, for the finest level of the network alone.",
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
