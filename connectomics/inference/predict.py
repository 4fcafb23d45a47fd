"""A network slides over a volume: windows, blending, flips.

The volume is worked off in slabs along z. When the windows move on, the sections behind them
are finished and leave; so the memory needed is that of one slab, whatever the volume's depth.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from connectomics.errors import DataError
from connectomics.inference.blending import AxisWindows, axis_windows, flip_combinations
from connectomics.process.progress import Progress

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

    def __post_init__(self) -> None:
        if len(self.window_size) != 3 or min(self.window_size) < 1:
            raise DataError("window_size", f"{self.window_size} is not three positive sizes.")
        if not 0 <= self.overlap < 1:
            raise DataError("overlap", f"{self.overlap} is not in [0, 1).")
        if self.padding_mode not in PADDING:
            raise DataError(
                "padding_mode", f"{self.padding_mode!r} is none.", f"Choices: {', '.join(PADDING)}."
            )


def predict_volume(
    network: Network,
    image: np.ndarray,
    *,
    window_size: tuple[int, int, int],
    overlap: float = 0.5,
    blending: str = "bump",
    padding_mode: str = "reflect",
    flip_axes: str | Sequence[Sequence[int]] | None = None,
    **settings: Any,
) -> np.ndarray:
    """Predict a whole volume held in memory.

    Args:
        network: Maps (B, 1, z, y, x) float32 tensors to (B, C, z, y, x).
        image: (Z, Y, X), normalised as the network was trained.
        window_size: (z, y, x) voxels the network sees at once. May exceed the volume, which
            is then padded inside and cropped back.
        overlap: Share of a window that the next one covers again, in [0, 1).
        blending: `bump`, `gaussian` or `constant`; see `window_profile`.
        padding_mode: `reflect`, `replicate` or `constant` (zeros), for windows that exceed
            the volume.
        flip_axes: Test-time augmentation: None, `all` or a list of axis combinations.
        **settings: `batch_size` (windows at a time, 1), `activation` (applied to the
            network's output before flips are averaged, none), `ensemble_mode` (`mean` over
            flips, or `max`), `device` (the network's own) and `precision` (a torch dtype for
            autocast, none).

    Returns:
        (C, Z, Y, X) float32, of exactly the image's shape.

    Raises:
        DataError: The image is not three-dimensional, or a setting is out of range.

    >>> half = predict_volume(lambda x: 0 * x + 0.5, np.zeros((3, 8, 8)), window_size=(4, 5, 5))
    >>> half.shape, bool(np.allclose(half, 0.5))
    ((1, 3, 8, 8), True)
    """
    if image.ndim != 3:
        raise DataError("predict_volume", f"the image has shape {image.shape}, not (Z, Y, X).")
    sliding = Sliding(
        window_size,
        overlap=overlap,
        blending=blending,
        padding_mode=padding_mode,
        flip_axes=flip_axes,
        **settings,
    )
    slabs = predict_slabs(network, lambda z0, z1: image[z0:z1], image.shape, sliding)
    return np.concatenate([slab for _, slab in slabs], axis=1)


def predict_slabs(
    network: Network,
    read: Callable[[int, int], np.ndarray],
    shape: tuple[int, ...],
    sliding: Sliding,
    *,
    progress: bool = False,
    where: str = "predict_volume",
) -> Iterator[tuple[int, np.ndarray]]:
    """Predict a volume slab by slab, for volumes larger than memory.

    Args:
        network: As in `predict_volume`.
        read: Gives the normalised sections z0 to z1 as (z1 - z0, Y, X).
        shape: (Z, Y, X) of the volume.
        sliding: How to slide.
        progress: Say how far it is.
        where: The volume, for messages.

    Yields:
        `(z, slab)`: the first section and the finished (C, sections, Y, X) float32, in order;
        together they are the volume.

    Raises:
        DataError: The image, or what the network makes of it, is NaN or infinite somewhere.
    """
    padded = tuple(max(n, w) for n, w in zip(shape, sliding.window_size, strict=True))
    z_windows, y_windows, x_windows = (
        axis_windows(length, size, sliding.overlap, sliding.blending)
        for length, size in zip(padded, sliding.window_size, strict=True)
    )
    voxels = int(np.prod(shape))
    shown = Progress("infer", voxels, "voxels", rate="voxels", visible=progress)
    predict = Windows(network, sliding)
    ends = (*z_windows.starts[1:], padded[0])
    buffer: Tensor | None = None  # (C, window z, Y, X): sections still being added to
    with shown, evaluating(network):
        for start, end, z_weights in zip(z_windows.starts, ends, z_windows.weights, strict=True):
            image = _read_padded(read, start, shape, sliding)
            require(np.isfinite(image), image, (start, 0, 0), where, IMAGE)
            added = predict(image, z_weights, y_windows, x_windows)
            buffer = added if buffer is None else buffer.add_(added)
            sections = min(end, shape[0]) - start
            slab = buffer[:, :sections, : shape[1], : shape[2]].contiguous().cpu().numpy()
            require(np.isfinite(slab), slab, (start, 0, 0), where, NETWORK)
            yield start, slab
            shown.add(slab[0].size, work=slab[0].size)
            buffer = _advance(buffer, end - start)


def require(
    legal: np.ndarray,
    values: np.ndarray,
    start: tuple[int, int, int],
    where: str,
    said: tuple[str, str],
) -> None:
    """Insist that all values of a part of a volume are legal.

    Args:
        legal: Whether each is, bool of the shape of `values`.
        values: (Z, Y, X) or (C, Z, Y, X).
        start: The first voxel (z, y, x) of the part.
        where: The volume.
        said: What is wrong, before the value, and the remedy.

    Raises:
        DataError: The first that is not, with its voxel and channel.
    """
    if legal.all():
        return
    place = np.unravel_index(int(np.argmin(legal)), legal.shape)
    *channel, z, y, x = (int(i) for i in place)
    of_channel = f", channel {channel[0]}" if channel else ""
    z, y, x = z + start[0], y + start[1], x + start[2]
    voxel = f"voxel ({z}, {y}, {x}) (z, y, x){of_channel}"
    raise DataError(where, f"{said[0]} {values[place]} at {voxel}.", said[1])


IMAGE = (
    "the image, as the network would see it, is",
    "Replace such voxels, for instance numpy.nan_to_num(image), and save it again.",
)
NETWORK = (
    "the network gives",
    "Its weights or activations overflow: use precision 32-true or another checkpoint.",
)


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


def _read_padded(
    read: Callable[[int, int], np.ndarray], start: int, shape: tuple[int, ...], sliding: Sliding
) -> np.ndarray:
    """Read the sections under the windows at `start`, padded to at least a window."""
    stop = min(start + sliding.window_size[0], shape[0])
    image = np.asarray(read(start, stop), dtype=np.float32)
    missing = [max(0, w - n) for n, w in zip(image.shape, sliding.window_size, strict=True)]
    if not any(missing):
        return image
    return np.pad(image, [(0, n) for n in missing], mode=PADDING[sliding.padding_mode])


def _advance(buffer: Tensor, sections: int) -> Tensor:
    moved = torch.zeros_like(buffer)
    moved[:, : buffer.shape[1] - sections] = buffer[:, sections:]
    return moved


class Windows:
    """Predicts the windows of one slab and adds them up with their weights."""

    def __init__(self, network: Network, sliding: Sliding) -> None:
        self.network = network
        self.sliding = sliding
        self.flips = flip_combinations(sliding.flip_axes)
        self.device = torch.device(sliding.device or _device_of(network))

    @torch.inference_mode()
    def __call__(
        self, image: np.ndarray, z_weights: np.ndarray, y: AxisWindows, x: AxisWindows
    ) -> Tensor:
        """(z, Y, X) image → (C, z, Y, X) weighted sum, on the device where it has the room."""
        places = list(product(range(len(y.starts)), range(len(x.starts))))
        voxels = torch.from_numpy(np.ascontiguousarray(image)).to(self.device)
        total: Tensor | None = None
        weights = (torch.empty(0),) * 3
        for first in range(0, len(places), self.sliding.batch_size):
            batch = places[first : first + self.sliding.batch_size]
            boxes = [
                np.s_[y.starts[j] : y.starts[j] + y.size, x.starts[i] : x.starts[i] + x.size]
                for j, i in batch
            ]
            predicted = self.predict(torch.stack([voxels[:, *box] for box in boxes])[:, None])
            if total is None:
                size = (predicted.shape[1], *image.shape)
                total = torch.zeros(size, device=_with_room(self.device, 4 * math.prod(size)))
                axes = (z_weights, y.weights, x.weights)
                weights = tuple(torch.from_numpy(axis).to(total.device) for axis in axes)
            for window, box, (j, i) in zip(predicted, boxes, batch, strict=True):
                weight = (weights[0][:, None, None] * weights[1][j][:, None]) * weights[2][i]
                total[:, :, *box].addcmul_(window.to(total.device), weight)
        assert total is not None
        return total

    def predict(self, inputs: Tensor) -> Tensor:
        """(B, 1, z, y, x) → (B, C, z, y, x): the running mean, or maximum, over flips."""
        result: Tensor | None = None
        for count, axes in enumerate(self.flips, start=1):
            dims = [axis + 2 for axis in axes]
            output = self.run(inputs.flip(dims)).flip(dims)
            if result is None:
                result = output
            elif self.sliding.ensemble_mode == "max":
                result = torch.maximum(result, output)
            else:
                result = result + (output - result) / count
        assert result is not None
        return result

    def run(self, inputs: Tensor) -> Tensor:
        """(B, 1, z, y, x) → (B, C, z, y, x): what the network gives, activated."""
        precision = self.sliding.precision
        with torch.autocast(self.device.type, dtype=precision, enabled=precision is not None):
            output = self.network(inputs)
        output = output.float()
        if output.shape[2:] != inputs.shape[2:]:
            raise DataError(
                "network",
                f"gives {tuple(output.shape[2:])} voxels for {tuple(inputs.shape[2:])}.",
                "A network for predict_volume keeps the size of its input.",
            )
        return self.sliding.activation(output) if self.sliding.activation else output


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
