"""From the `inference` section: how the network slides, and what is kept of its output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from connectomics.config.schema import InferenceSection
from connectomics.data.io import create_volume
from connectomics.data.volumes import Volume
from connectomics.decoding.probabilities import TOLERANCE
from connectomics.geometry import Box, Triple, VoxelGrid
from connectomics.inference.by_block import predict_block, windows_of
from connectomics.inference.checks import require
from connectomics.inference.predict import in_one, predict_slabs
from connectomics.inference.windows import Network, Sliding
from connectomics.models import build_activation

LIMITS = {
    "uint8": (-TOLERANCE, 1 + TOLERANCE),
    "float16": (-65504.0, 65504.0),
    "float32": (-np.inf, np.inf),
}
"""What each dtype on disk can hold."""


def build_sliding(section: InferenceSection, precision: str, device: torch.device) -> Sliding:
    """Build the sliding window."""
    window, augmentation = section.window, section.test_time_augmentation
    dtypes = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    assert window.window_size is not None
    assert section.model.channel_activations is not None
    return Sliding(
        window.window_size,
        overlap=window.overlap,
        blending=window.blending,
        padding_mode=window.padding_mode,
        flip_axes=augmentation.flip_axes if augmentation.enabled else None,
        ensemble_mode=augmentation.ensemble_mode,
        batch_size=batch_size(window.batch_size, device),
        activation=build_activation(section.model.channel_activations),
        device=device,
        precision=dtypes.get(precision),
    )


def batch_size(wanted: int | Literal["auto"], device: torch.device) -> int:
    """How many windows are predicted at a time: those asked for, else four on a GPU.

    >>> batch_size("auto", torch.device("cpu")), batch_size(3, torch.device("cuda"))
    (1, 3)
    """
    if wanted != "auto":
        return wanted
    return 4 if device.type == "cuda" else 1


def to_stored(probabilities: np.ndarray, dtype: str) -> np.ndarray:
    """Convert probabilities to their dtype on disk: floats are p, uint8 is p·255 rounded.

    Values a little outside [0, 1] count as rounding; `uint8` holds no others.

    >>> to_stored(np.array([0.0, 0.5, 1.0], dtype=np.float32), "uint8").tolist()
    [0, 128, 255]
    """
    if dtype == "uint8":
        scaled = torch.from_numpy(probabilities).clamp(0, 1).mul_(255).round_()
        return scaled.to(torch.uint8).numpy()
    return probabilities.astype(dtype)


def write_probabilities(
    path: Path,
    network: Network,
    image: Volume,
    sliding: Sliding,
    *,
    normalise: Callable[[np.ndarray], np.ndarray],
    channels: Sequence[str],
    dtype: str,
    grid: VoxelGrid,
    attributes: dict[str, Any],
    progress: bool = True,
) -> None:
    """Predict a volume and write its probabilities, slab by slab.

    Args:
        path: The HDF5 file to write, (C, Z, Y, X).
        network: As in `predict_volume`.
        image: The volume, read a slab at a time.
        sliding: How the network slides over it.
        normalise: Grey values (z, Y, X) → float32 as in training.
        channels: The names of the network's output channels.
        dtype: `float32`, `float16` or `uint8`.
        grid: Where the voxels lie.
        attributes: What the file shall say of itself.
        progress: Say how far it is.

    Raises:
        DataError: The file cannot be written, or exists already; or a prediction is NaN,
            infinite, or nothing that the dtype can hold.
    """
    shape = (len(channels), *image.shape)
    named = {**attributes, "channels": list(channels)}
    place = {"resolution": grid.resolution, "offset_nm": grid.offset_nm}
    with create_volume(path, shape, dtype, **place, attributes=named) as file:
        settings = {"normalise": normalise, "dtype": dtype, "progress": progress}
        slabs, (_, y, x) = _stored_slabs(network, image, sliding, **settings), image.shape
        for z, part in in_steps(slabs, file.chunks[0] if file.chunks else 1):
            file.write(Box((z, 0, 0), (z + part.shape[1], y, x)), part)


def predict_stored(
    network: Network,
    image: Volume,
    sliding: Sliding,
    *,
    normalise: Callable[[np.ndarray], np.ndarray],
    dtype: str,
) -> np.ndarray:
    """Predict a volume into memory: (C, Z, Y, X), just what `write_probabilities` would write.

    Args: as there.
    """
    settings = {"normalise": normalise, "dtype": dtype, "progress": True}
    return in_one(_stored_slabs(network, image, sliding, **settings), image.shape)


def _stored_slabs(
    network: Network,
    image: Volume,
    sliding: Sliding,
    *,
    normalise: Callable[[np.ndarray], np.ndarray],
    dtype: str,
    progress: bool,
) -> Iterator[tuple[int, np.ndarray]]:
    _, height, width = image.shape
    source = image.source

    def read(first: int, stop: int) -> np.ndarray:
        return normalise(image.read(Box((first, 0, 0), (stop, height, width))))

    slabs = predict_slabs(network, read, image.shape, sliding, progress=progress, where=source)
    for z, slab in slabs:
        box = Box((z, 0, 0), (z + slab.shape[1], height, width))
        yield z, _stored(slab, box, dtype, source)


def in_steps(
    slabs: Iterable[tuple[int, np.ndarray]], depth: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Put slabs together, and cut them, such that each begins at a multiple of a depth.

    So no chunk of a file is compressed twice.

    Args:
        slabs: First sections and (C, sections, Y, X), in order, from 0 on.
        depth: Sections of a chunk.

    >>> ones = [(0, np.ones((1, 3, 1, 1))), (3, np.ones((1, 4, 1, 1)))]
    >>> [(z, part.shape[1]) for z, part in in_steps(ones, 2)]
    [(0, 2), (2, 4), (6, 1)]
    """
    held: list[np.ndarray] = []
    first = 0
    for z, slab in slabs:
        stop = z + slab.shape[1]
        border = stop // depth * depth
        if border > first:
            cut = border - z
            yield first, np.concatenate([*held, slab[:, :cut]], axis=1)
            held, first, slab = [], border, slab[:, cut:].copy()
        if slab.shape[1]:
            held.append(slab)
    if held:
        yield first, np.concatenate(held, axis=1)


def predict_stored_block(
    network: Network,
    image: Volume,
    box: Box,
    sliding: Sliding,
    *,
    normalise: Callable[[np.ndarray], np.ndarray],
    dtype: str,
    mask: Volume | None = None,
) -> np.ndarray | None:
    """Predict one block of a volume, as it is to be stored.

    Args:
        network: As in `predict_volume`.
        image: The whole volume; the block is read, and what windows that touch it see beside it.
        box: The block.
        sliding: How the network slides over the whole volume.
        normalise: Grey values (z, y, x) → float32 as in training.
        dtype: `float32`, `float16` or `uint8`.
        mask: 0 where nothing is asked for.

    Returns:
        (C, z, y, x) of the box's shape; None where there is nothing to predict: the image is 0 in
        all that these windows see, or the mask is.

    Raises:
        DataError: The image or a prediction is NaN, infinite, or nothing that the dtype can hold.
    """
    windows = windows_of(box, image.shape, sliding)
    if mask is not None and not mask.read(windows.hull).any():
        return None
    grey = image.read(windows.hull)
    if not grey.any():
        return None
    source = image.source
    block = predict_block(network, normalise(grey), windows, sliding, where=source)
    return _stored(block, box, dtype, source)


def nothing_there(channels: Sequence[str], shape: Triple, dtype: str) -> np.ndarray:
    """What is stored of a block in which there is nothing to predict: background is certain.

    >>> nothing_there(["background", "pre", "post"], (1, 1, 1), "uint8").ravel().tolist()
    [255, 0, 0]
    """
    block = np.zeros((len(channels), *shape), dtype)
    certain = to_stored(np.ones(1, np.float32), dtype)
    block[[name == "background" for name in channels]] = certain
    return block


def _stored(predicted: np.ndarray, box: Box, dtype: str, source: str) -> np.ndarray:
    """Convert what was predicted of a box to its dtype on disk, if that can hold it."""
    low, high = LIMITS[dtype]
    if not (predicted.min() >= low and predicted.max() <= high):  # NaN is neither
        remedy = "Save them as float32 (inference.save_dtype), or as probabilities "
        unfit = f"{dtype} cannot hold", f"{remedy}(inference.model.channel_activations)."
        require((predicted >= low) & (predicted <= high), predicted, box.start, source, unfit)
    return to_stored(predicted, dtype)
