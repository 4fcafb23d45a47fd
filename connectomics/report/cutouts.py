"""Cut synapses out of a volume: a strip of EM sections, and outlines to lay over it."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from connectomics.data.volumes import Volume
from connectomics.geometry import Box
from connectomics.report.figures import NO_SIDE, POST, PRE, outline

Layer = tuple[str, np.ndarray, bool, np.ndarray]
"""A name, (Z, Y, X) labels, whether they have sides, and the number of each view's object."""

QUALITY = 70
DASHED = ("prediction",)
DASH = 3
"""Pixels of a dash, and between two."""

CLEAR, DIMMED = 0, 70
"""Opacity of what is no outline, and of the outlines of neighbours, of 255."""


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
    """Draw the views of a volume. Its image is read once, in slabs as it is stored.

    Args:
        image: (Z, Y, X) EM.
        views: What to show.
        layers: Labels whose outlines to draw; those of the view's own object firmly.

    Returns:
        A picture per view.
    """
    strips = _strips(image, views)
    return [
        Picture(
            view.sections,
            _webp(strip),
            {
                name: _png(_outlines(labels, view, int(ids[i]), sided, dashed=name in DASHED))
                for name, labels, sided, ids in layers
            },
        )
        for i, (view, strip) in enumerate(zip(views, strips, strict=True))
    ]


def _strips(image: Volume, views: Sequence[View]) -> list[np.ndarray]:
    wanted: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for i, view in enumerate(views):
        for place, z in enumerate(view.sections):
            wanted[z].append((i, place))
    tiles: list[list[np.ndarray | None]] = [[None] * len(view.sections) for view in views]
    depth, height, width = image.shape
    chunks = getattr(image, "chunks", None)
    thickness = chunks[0] if chunks else 1
    for first in range(0, depth, thickness):
        sections = [z for z in range(first, min(first + thickness, depth)) if z in wanted]
        if not sections:
            continue
        begin, end = sections[0], sections[-1] + 1
        slab = image.read(Box((begin, 0, 0), (end, height, width)))
        for z in sections:
            for i, place in wanted[z]:
                tiles[i][place] = _square(slab[z - begin], views[i].box)
    return [np.concatenate([t for t in strip if t is not None], axis=1) for strip in tiles]


def _square(section: np.ndarray, box: Box) -> np.ndarray:
    """The part of a (Y, X) section inside a box, 0 where there is none."""
    _, height, width = box.shape
    square = np.zeros((height, width), section.dtype)
    inside = box.clip((box.stop[0], *section.shape))
    if inside.size:
        y, x = (a - b for a, b in zip(inside.start[1:], box.start[1:], strict=True))
        part = section[inside.slices[1:]]
        square[y : y + part.shape[0], x : x + part.shape[1]] = part
    return square


def _outlines(
    labels: np.ndarray, view: View, number: int, sided: bool, *, dashed: bool
) -> np.ndarray:
    """(Y, X, 4) uint8: outlines by side, the neighbours' faint."""
    strip = np.concatenate([_square(labels[z], view.box) for z in view.sections], axis=1)
    side = view.box.shape[2]
    edges = [outline(strip[:, x : x + side]) for x in range(0, strip.shape[1], side)]
    edge = np.concatenate(edges, axis=1)
    if dashed:
        edge &= np.add.outer(*map(np.arange, strip.shape)) // DASH % 2 == 0
    own = (strip // 2 + strip % 2 if sided else strip) == number
    pixels = np.zeros((*strip.shape, 4), np.uint8)
    pixels[..., 3] = np.where(edge, np.where(own, 255, DIMMED), CLEAR)
    colours = [(strip % 2 == 1, PRE), (strip % 2 == 0, POST)] if sided else [(edge, NO_SIDE)]
    for where, colour in colours:
        pixels[where & edge, :3] = np.round(np.array(colour) * 255).astype(np.uint8)
    return pixels


def _webp(strip: np.ndarray) -> str:
    grey = strip.astype(np.float32)
    low, high = np.percentile(grey, (0.5, 99.5))
    grey = np.clip((grey - low) / max(high - low, 1e-6), 0, 1) * 255
    return _encoded(Image.fromarray(grey.astype(np.uint8)), "WEBP", quality=QUALITY)


def _png(pixels: np.ndarray) -> str:
    colours, index = np.unique(pixels.reshape(-1, 4), axis=0, return_inverse=True)
    picture = Image.fromarray(index.reshape(pixels.shape[:2]).astype(np.uint8), mode="P")
    picture.putpalette(colours[:, :3].tobytes())
    return _encoded(picture, "PNG", transparency=colours[:, 3].tobytes(), optimize=False)


def _encoded(picture: Image.Image, form: str, **options: object) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
