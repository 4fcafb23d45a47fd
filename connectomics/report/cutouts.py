"""Cut synapses out of a volume: a strip of EM sections, and outlines to lay over it."""

from __future__ import annotations

import base64
import io
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from connectomics.data.volumes import Volume
from connectomics.evaluation import Labels
from connectomics.evaluation.volumes import read
from connectomics.geometry import Box
from connectomics.report.figures import NO_SIDE, POST, PRE, outline

Layer = tuple[str, Labels, bool, np.ndarray]
"""A name, (Z, Y, X) labels, whether they have sides, and the number of each view's object."""

QUALITY = 70
FILLED = ("prediction",)
"""Labels that are a tint where there are others too, whose outline is then seen on it."""

PIXELS_AT_ONCE = 2**22
"""Of the views that are read before they are drawn: 20 MiB with two labels of 16 bits."""

LARGEST_SLAB = 2**25
"""Voxels of a slab, as thick as chunks are, that is read whole; of a larger one boxes are."""

OUTLINED, TINTED = (255, 70), (90, 25)
"""Opacity of outlines and tints, of the synapse itself and of its neighbours, of 255."""


class View(NamedTuple):
    """What is shown of a synapse.

    Attributes:
        sections: z of each picture in the strip.
        box: Its sections, and in the plane the square that is shown, which may reach outside.
    """

    sections: tuple[int, ...]
    box: Box


class Picture(NamedTuple):
    """A strip of square sections side by side, to be embedded in a page.

    Attributes:
        sections: z of each.
        em: WebP, base64.
        layers: Transparent PNG of the outlines, base64, by the name of the labels.
    """

    sections: tuple[int, ...]
    em: str
    layers: dict[str, str]


def cut_out(image: Volume, views: Sequence[View], layers: Sequence[Layer]) -> list[Picture]:
    """Draw the views of a volume. Image and labels are read in order, in boxes as they are stored.

    Args:
        image: (Z, Y, X) EM.
        views: What to show.
        layers: Labels whose outlines to draw; those of the view's own object firmly.

    Returns:
        A picture per view.
    """
    pictures: dict[int, Picture] = {}
    for some in _batches(views):
        of_some = [(name, labels, sided, ids[some]) for name, labels, sided, ids in layers]
        drawn = _drawn(image, [views[i] for i in some], of_some)
        pictures.update(zip(some, drawn, strict=True))
    return [pictures[i] for i in range(len(views))]


def _batches(views: Sequence[View]) -> Iterator[list[int]]:
    """Which views to have in memory together: few, and near each other along z."""
    order = sorted(range(len(views)), key=lambda i: views[i].sections)
    pixels = max((len(view.sections) * math.prod(view.box.shape[1:]) for view in views), default=1)
    most = max(1, PIXELS_AT_ONCE // pixels)
    for first in range(0, len(order), most):
        yield order[first : first + most]


def _drawn(image: Volume, views: Sequence[View], layers: Sequence[Layer]) -> Iterator[Picture]:
    strips = _strips(image, views)
    filled = {name: len(layers) > 1 and name in FILLED for name, *_ in layers}
    drawn = {name: _strips(labels, views) for name, labels, _, _ in layers}
    for i, view in enumerate(views):
        overlays = {
            name: _png(_overlay(drawn[name][i], view, int(ids[i]), sided, filled=filled[name]))
            for name, _, sided, ids in layers
        }
        yield Picture(view.sections, _webp(strips[i], view), overlays)


def _strips(volume: Volume | Labels, views: Sequence[View]) -> list[np.ndarray]:
    """The sections of each view side by side, from a volume that is read in order."""
    _, height, width = volume.shape
    chunks = getattr(volume, "chunks", None) or (1, height, width)
    wanted: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for i, view in enumerate(views):
        for place, z in enumerate(view.sections):
            wanted[z // chunks[0]].append((i, place))
    tiles: list[list[np.ndarray | None]] = [[None] * len(view.sections) for view in views]
    for slab in sorted(wanted):
        sections = [views[i].sections[place] for i, place in wanted[slab]]
        first = min(sections)
        slab_box = Box((first, 0, 0), (max(sections) + 1, height, width))
        # All of a slab at once where that is not much, as its views share chunks.
        held = read(volume, slab_box) if slab_box.size <= LARGEST_SLAB else None
        for i, place in wanted[slab]:
            view = views[i]
            z = view.sections[place]
            box = Box((z, *view.box.start[1:]), (z + 1, *view.box.stop[1:]))
            clipped = box.clip(volume.shape)
            if held is None:
                part = read(volume, clipped)
            else:
                part = held[clipped.shift((-first, 0, 0)).slices]
            tiles[i][place] = _square(part[0], clipped, box)
    return [np.concatenate([t for t in strip if t is not None], axis=1) for strip in tiles]


def _square(part: np.ndarray, there: Box, box: Box) -> np.ndarray:
    """A section of a box, of which only what is `there` is in the volume; 0 elsewhere."""
    _, height, width = box.shape
    square = np.zeros((height, width), part.dtype)
    square[there.shift([-a for a in box.start]).slices[1:]] = part
    return square


def _overlay(
    strip: np.ndarray, view: View, number: int, sided: bool, *, filled: bool
) -> np.ndarray:
    """(Y, X, 4) uint8: outlines or tints by side, the neighbours' faint."""
    shown = strip > 0
    opacity = TINTED
    if not filled:
        shown = np.concatenate([outline(part) for part in _sections(strip, view)], axis=1)
        opacity = OUTLINED
    own = (strip // 2 + strip % 2 if sided else strip) == number
    pixels = np.zeros((*strip.shape, 4), np.uint8)
    pixels[..., 3] = np.where(shown, np.where(own, *opacity), 0)
    colours = [(strip % 2 == 1, PRE), (strip % 2 == 0, POST)] if sided else [(shown, NO_SIDE)]
    for where, colour in colours:
        pixels[where & shown, :3] = np.round(np.array(colour) * 255).astype(np.uint8)
    return pixels


def _sections(strip: np.ndarray, view: View) -> list[np.ndarray]:
    return np.split(strip, len(view.sections), axis=1)


def _webp(strip: np.ndarray, view: View) -> str:
    grey = np.concatenate([_stretched(part) for part in _sections(strip, view)], axis=1)
    return _encoded(Image.fromarray(grey), "WEBP", quality=QUALITY)


def _stretched(section: np.ndarray) -> np.ndarray:
    """A section from black to white, as sections may differ much in brightness."""
    low, high = np.percentile(section, (0.5, 99.5)).astype(np.float32)
    grey = (section.astype(np.float32) - low) / max(high - low, 1e-6)
    return (np.clip(grey, 0, 1) * 255).astype(np.uint8)


def _png(pixels: np.ndarray) -> str:
    packed, index = np.unique(pixels.view(np.uint32), return_inverse=True)
    colours = packed.view(np.uint8).reshape(-1, 4)
    picture = Image.fromarray(index.reshape(pixels.shape[:2]).astype(np.uint8), mode="P")
    picture.putpalette(colours[:, :3].tobytes())
    return _encoded(picture, "PNG", transparency=colours[:, 3].tobytes(), optimize=False)


def _encoded(picture: Image.Image, form: str, **options: object) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
