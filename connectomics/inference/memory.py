"""How much memory predicting will take, known from the shapes before the first window."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from connectomics.inference.blending import axis_windows, flip_combinations
from connectomics.inference.windows import Sliding
from connectomics.models.live_bytes import COMPILED, Live, Network, live_bytes
from connectomics.process.fitting import Need

UNKEPT = 0.5
"""The share of what was counted that kernels need in any case where nothing is kept for the way
back; a GPU took down to two thirds of it (`docs/memory.md`)."""


class Footprint(NamedTuple):
    """Bytes that predicting takes beside the network.

    Attributes:
        windows: A batch of windows on its way through the network.
        sums: The probabilities of the windows of one slab, still being added to.
        image: That slab.
    """

    windows: Live
    sums: int
    image: int

    @property
    def predicted(self) -> int:
        """With what kernels need for themselves, and finished sums on their way out."""
        return self.windows.with_scratch + 2 * self.sums + self.image

    def need(self, *, apart: bool, compiled: bool = False) -> Need:
        """What it takes of the memory in which the network computes.

        Args:
            apart: Sums may be added up elsewhere, where they do not fit beside the network.
            compiled: The network is.
        """
        sums = 0 if apart else self.sums
        least = (COMPILED if compiled else UNKEPT) * self.windows.peak + sums + self.image
        return Need(self.predicted, int(least))


def footprint(
    network: nn.Module, sliding: Sliding, extent: tuple[int, int], *, channels: tuple[int, int]
) -> Footprint:
    """Find out what predicting takes; nothing is allocated for that.

    Args:
        network: The network.
        sliding: How it slides.
        extent: (Y, X) of a slab: of the volume, or of what a block sees of it.
        channels: Of the image, and of the probabilities.
    """
    device, window = torch.device(sliding.device or "cpu"), sliding.window_size
    batch = sliding.batch_size
    if not sliding.whole_batches:  # a slab may have fewer windows
        batch = min(batch, _windows(sliding, extent))
    passes = min(2, len(flip_combinations(sliding.flip_axes)))
    low = sliding.precision is not None

    def run(call: Network) -> None:
        images = torch.zeros(batch, channels[0], *window)
        merged: Tensor | None = None
        with torch.autocast(device.type, dtype=sliding.precision, enabled=low):
            for _ in range(passes):
                output = call(images.flip([2]) if passes > 1 else images).float()
                if sliding.activation is not None:
                    output = sliding.activation(output)
                merged = output if merged is None else merged.lerp(output, 0.5)

    with torch.no_grad():
        windows = live_bytes(network, run, device)
    slab = window[0] * math.prod(max(n, w) for n, w in zip(extent, window[1:], strict=True))
    return Footprint(windows, 4 * channels[1] * slab, 4 * slab)


def _windows(sliding: Sliding, extent: tuple[int, int]) -> int:
    """How many windows a slab of (Y, X) has."""
    axes = zip(extent, sliding.window_size[1:], strict=True)
    return math.prod(
        len(axis_windows(max(n, w), w, sliding.overlap, sliding.blending).starts) for n, w in axes
    )
