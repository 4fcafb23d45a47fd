"""The windows of slabs: what the network gives for them, added up with their weights."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, product
from types import EllipsisType
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from connectomics.errors import DataError
from connectomics.inference.blending import AxisWindows, flip_combinations
from connectomics.inference.sums import NewSections, Sums

logger = logging.getLogger(__name__)

Network = Callable[[Tensor], Tensor]
PADDING: dict[str, Literal["reflect", "edge", "constant"]] = {
    "reflect": "reflect",
    "replicate": "edge",
    "constant": "constant",
}


@dataclass(frozen=True)
class Sliding:
    """How a network slides over a volume; see `predict_volume` for the settings."""

    window_size: tuple[int, int, int]
    overlap: float = 0.5
    blending: str = "bump"
    padding_mode: str = "reflect"
    flip_axes: str | Sequence[Sequence[int]] | None = None
    ensemble_mode: Literal["mean", "max"] = "mean"
    batch_size: int = 1
    activation: Callable[[Tensor], Tensor] | None = None
    device: str | torch.device | None = None
    precision: torch.dtype | None = None
    whole_batches: bool = False  # a compiled network takes no others

    def __post_init__(self) -> None:
        if len(self.window_size) != 3 or min(self.window_size) < 1:
            raise DataError("window_size", f"{self.window_size} is not three positive sizes.")
        if not 0 <= self.overlap < 1:
            raise DataError("overlap", f"{self.overlap} is not in [0, 1).")
        if self.padding_mode not in PADDING:
            raise DataError(
                "padding_mode", f"{self.padding_mode!r} is none.", f"Choices: {', '.join(PADDING)}."
            )


class Place(NamedTuple):
    """Which of the windows along each axis one is."""

    z: int
    y: int
    x: int


class Windows:
    """Predicts the windows of slabs and adds them up with their weights.

    Nothing here waits for a GPU: what is queued for a slab is computed while the host reads the
    next one and writes the one before.

    Args:
        network: As in `predict_volume`.
        sliding: How it slides.
        axes: The windows along z, y and x.
    """

    def __init__(
        self,
        network: Network,
        sliding: Sliding,
        axes: Sequence[AxisWindows],
    ) -> None:
        self.network = network
        self.sliding = sliding
        self.axes = axes
        self.flips = flip_combinations(sliding.flip_axes)
        self.device = torch.device(sliding.device or _device_of(network))
        self._weights: tuple[Tensor, ...] = ()
        self._sums_on: torch.device | None = None

    def predicted(self, slabs: Iterable[Tensor]) -> Iterator[tuple[Place, Tensor]]:
        """What the network gives for the windows of slabs, in order.

        A batch that the last windows of a slab do not fill goes on with the next slab's.

        Args:
            slabs: (z, Y, X) float32, normalised, those under each of the windows along z.

        Yields:
            Each window's place and (C, z, y, x).
        """
        for batch in self._batches(slabs):
            yield from self._predict_batch(batch)

    def _predict_batch(self, batch: list[tuple[Place, Tensor]]) -> Iterator[tuple[Place, Tensor]]:
        seen = [window for _, window in batch]
        inputs = torch.stack(seen) if len(seen) > 1 else seen[0][None]
        return zip([place for place, _ in batch], self.predict(inputs[:, None]), strict=True)

    def _batches(self, slabs: Iterable[Tensor]) -> Iterator[list[tuple[Place, Tensor]]]:
        _, y, x = self.axes
        size = self.sliding.batch_size
        if not self.sliding.whole_batches:
            size = min(size, self._of_slab)  # by which memory is foreseen
        batch: list[tuple[Place, Tensor]] = []
        for layer, slab in enumerate(slabs):
            voxels = slab.to(self.device, non_blocking=True)
            for j, i in product(range(len(y.starts)), range(len(x.starts))):
                batch.append((Place(layer, j, i), voxels[self._box(j, i)]))
                if len(batch) == size:
                    yield batch
                    batch.clear()
            batch[:] = [(place, window.clone()) for place, window in batch]
            del slab, voxels  # before the next one is fetched
        if batch:
            yield batch

    def finished(
        self, slabs: Iterable[Tensor], new: NewSections | None = None
    ) -> Iterator[tuple[int, Tensor]]:
        """The sums of all windows, each part when no window to come touches it.

        Args:
            slabs: (z, Y, X) float32, normalised, those under each of the windows along z.
            new: Makes the sections to add to; None for zeros, which lie on the device where it has
                the room.

        Yields:
            The first section of a part and (C, sections, Y, X) float32, in order.
        """
        z, predicted = self.axes[0], self.predicted(slabs)
        sums = Sums(z, new or self._zeros)
        for layer, start in enumerate(z.starts):
            self._add(sums, predicted, layer)
            yield start, sums.finished()

    @torch.inference_mode()
    def _add(self, sums: Sums, predicted: Iterator[tuple[Place, Tensor]], layer: int) -> None:
        with self._autocast():  # around all batches, so that weights are converted once
            for place, window in islice(predicted, self._of_slab):
                sums.reach(layer, len(window))
                device = sums.parts[0].device
                of_z, of_y, of_x = (
                    axis[n] for axis, n in zip(self._weights_on(device), place, strict=True)
                )
                weight = of_z[:, None, None] * (of_y[:, None] * of_x)
                sums.add(window.to(device), weight, self._box(place.y, place.x))

    @property
    def _of_slab(self) -> int:
        """How many windows a slab has."""
        return len(self.axes[1].starts) * len(self.axes[2].starts)

    def _box(self, j: int, i: int) -> tuple[EllipsisType | slice, ...]:
        """A window of a slab."""
        _, y, x = self.axes
        return np.s_[..., y.starts[j] : y.starts[j] + y.size, x.starts[i] : x.starts[i] + x.size]

    @torch.inference_mode()
    def once(self, inputs: Tensor) -> Tensor:
        """The network alone on (B, 1, z, y, x), in the precision of `finished`."""
        with self._autocast():
            return self.network(inputs)

    def _autocast(self) -> torch.autocast:
        dtype = self.sliding.precision
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)

    def _zeros(self, channels: int, first: int, stop: int) -> Tensor:
        z, y, x = self.axes
        plane = y.starts[-1] + y.size, x.starts[-1] + x.size
        if self._sums_on is None:
            self._sums_on = _with_room(self.device, 4 * channels * z.size * math.prod(plane))
        return torch.zeros((channels, stop - first, *plane), device=self._sums_on)

    def _weights_on(self, device: torch.device) -> tuple[Tensor, ...]:
        if not self._weights:
            self._weights = tuple(torch.from_numpy(axis.weights).to(device) for axis in self.axes)
        return self._weights

    def predict(self, inputs: Tensor) -> Tensor:
        """(B, 1, z, y, x) → (B, C, z, y, x): the running mean, or maximum, over flips."""
        count = len(inputs)
        if self.sliding.whole_batches and count < self.sliding.batch_size:
            inputs = torch.cat(
                [inputs, inputs[:1].expand(self.sliding.batch_size - count, *inputs.shape[1:])]
            )
        result: Tensor | None = None
        for passes, axes in enumerate(self.flips, start=1):
            dims = [axis + 2 for axis in axes]
            output = self.run(inputs.flip(dims)).flip(dims) if dims else self.run(inputs)
            if result is None:
                result = output
            elif self.sliding.ensemble_mode == "max":
                result = torch.maximum(result, output)
            else:
                result = result.lerp(output, 1 / passes)
        assert result is not None
        return result[:count]

    def run(self, inputs: Tensor) -> Tensor:
        """(B, 1, z, y, x) → (B, C, z, y, x): what the network gives, activated."""
        output = self.network(inputs).float()
        if output.shape[2:] != inputs.shape[2:]:
            raise DataError(
                "network",
                f"gives {tuple(output.shape[2:])} voxels for {tuple(inputs.shape[2:])}.",
                "A network for predict_volume keeps the size of its input.",
            )
        if self.sliding.activation is None:
            return output
        # An infinite logit would be a probability of 0 or 1: x + 0 * x is x, or NaN for those.
        return self.sliding.activation(torch.add(output, output, alpha=0))


def _with_room(device: torch.device, nbytes: int) -> torch.device:
    """Where sums are added up: on the device, unless three of their size do not fit there."""
    if device.type != "cuda" or 3 * nbytes <= torch.cuda.mem_get_info(device)[0]:
        return device
    logger.warning(
        "The sums of a slab (%.1f GiB) do not fit on the GPU beside the network and are added up "
        "in the memory of the machine; system.block_size makes them smaller.",
        nbytes / 2**30,
    )
    return torch.device("cpu")


def _device_of(network: Network) -> torch.device:
    if isinstance(network, torch.nn.Module):
        parameter = next(network.parameters(), None)
        if parameter is not None:
            return parameter.device
    return torch.device("cpu")


@contextmanager
def evaluating(network: Network) -> Iterator[None]:
    """Batch norm and dropout behave as in a test, whatever state the network came in."""
    training = isinstance(network, torch.nn.Module) and network.training
    if training:
        network.eval()
    try:
        yield
    finally:
        if training:
            network.train()
