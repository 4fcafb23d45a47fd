"""Pictures: an EM section with the sides of its synapses drawn over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from connectomics.evaluation import Labels
from connectomics.evaluation.volumes import blocks_of, read
from connectomics.files import atomic_path
from connectomics.geometry import Box
from connectomics.mapping import Part, map_blocks

PRE = (0.93, 0.45, 0.05)  # orange and blue stay apart for colour-blind eyes
POST = (0.05, 0.45, 0.93)
NO_SIDE = (0.10, 0.75, 0.45)
LARGEST_SIDE = 1024


def side_overlay(
    section: np.ndarray, labels: np.ndarray, *, sides: bool = True, opacity: float = 0.35
) -> np.ndarray:
    """Draw the labels of one section over its EM image: filled faintly, outlined firmly.

    Args:
        section: (Y, X) grey values of any scale.
        labels: (Y, X) label ids, 0 is background. With `sides`, odd ids are pre-synaptic
            (orange) and even ids post-synaptic (blue); without, all are green.
        sides: Whether parity carries the side.
        opacity: Of the fill, in [0, 1].

    Returns:
        (Y, X, 3) float32 in [0, 1].

    Raises:
        ValueError: The shapes differ.
    """
    if section.shape != labels.shape:
        raise ValueError(f"section {section.shape} and labels {labels.shape} differ in shape")
    grey = section.astype(np.float32)
    low, high = np.percentile(grey, (0.5, 99.5))
    grey = np.clip((grey - low) / max(high - low, 1e-6), 0, 1)
    picture = np.repeat(grey[..., None], 3, axis=-1)
    edge = outline(labels)
    masks = (
        [((labels % 2 == 1), PRE), ((labels > 0) & (labels % 2 == 0), POST)]
        if sides
        else [(labels > 0, NO_SIDE)]
    )
    for mask, colour in masks:
        picture[mask] = (1 - opacity) * picture[mask] + opacity * np.array(colour)
        picture[mask & edge] = colour
    return picture


def outline(labels: np.ndarray) -> np.ndarray:
    """Labelled pixels with a 4-neighbour of another label."""
    edge = np.zeros(labels.shape, dtype=bool)
    for axis in (0, 1):
        differs = np.diff(labels.astype(np.int64), axis=axis) != 0
        before = [(0, 1) if a == axis else (0, 0) for a in (0, 1)]
        after = [(1, 0) if a == axis else (0, 0) for a in (0, 1)]
        edge |= np.pad(differs, before) | np.pad(differs, after)
    return edge & (labels > 0)


def busiest_view(*labels: Labels) -> Box:
    """Find the section with most labelled voxels, all together, and its busiest part.

    Args:
        labels: (Z, Y, X) each; of large ones a block at a time is in memory.

    Returns:
        One section; all of it, unless it is too large to be printed.

    >>> labels = np.zeros((3, 2, 2), int)
    >>> labels[1, 0] = 4
    >>> busiest_view(labels)
    Box(start=(1, 0, 0), stop=(2, 2, 2))
    """
    depth, height, width = labels[0].shape
    counts = np.zeros(depth, np.int64)
    boxes = blocks_of(*labels)
    parts = map_blocks(partial(_labelled_by_section, labels), boxes, "sections compared")
    for box, part in zip(boxes, parts, strict=True):
        counts[box.start[0] : box.stop[0]] += part["voxels"]
    z = int(np.argmax(counts))
    rows, columns = np.zeros(height, np.int64), np.zeros(width, np.int64)
    for box in boxes:
        if box.start[0] <= z < box.stop[0]:
            part = Box((z, *box.start[1:]), (z + 1, *box.stop[1:]))
            there = np.any([read(one, part)[0] > 0 for one in labels], axis=0)
            rows[part.slices[1]] += np.count_nonzero(there, axis=1)
            columns[part.slices[2]] += np.count_nonzero(there, axis=0)
    y, x = _busiest_run(rows), _busiest_run(columns)
    return Box((z, y.start, x.start), (z + 1, y.stop, x.stop))


def _labelled_by_section(labels: Sequence[Labels], box: Box) -> Part:
    counts = [np.count_nonzero(read(one, box), axis=(1, 2)) for one in labels]
    return {"voxels": np.sum(counts, axis=0)}


def section_title(name: str, z: int, first: int, *, synthetic: bool = False) -> str:
    """What a picture of a section is called.

    Args:
        name: Of the volume.
        z: The section, counted in what is tested on.
        first: Of the file, the section with which that begins.
        synthetic: Whether it is synthetic EM.

    >>> section_title("em", 3, 39)
    'em, section 42 (section 3 of what is tested on)'
    """
    part = f" (section {z} of what is tested on)" if first else ""
    return f"{name}{' (synthetic EM)' if synthetic else ''}, section {z + first}{part}"


def comparison_figure(
    path: str | Path,
    panels: Mapping[str, np.ndarray],
    section: np.ndarray,
    *,
    title: str = "",
    sides: bool = True,
    nm_per_pixel: float | None = None,
) -> Path:
    """Write a PNG of one EM section, and beside it the same with each labelling drawn over it.

    Args:
        path: Where to write; a file that stands there is replaced.
        panels: (Y, X) labels by the name to write over them, such as truth and prediction.
        section: (Y, X) EM.
        title: The line above everything.
        sides: Whether parity carries the side.
        nm_per_pixel: Draws a scale bar of 500 nm where given.

    Returns:
        The path written.
    """
    shown = {"EM": np.zeros(section.shape, dtype=np.uint8), **panels}
    height, width = section.shape
    figure = Figure(figsize=(5 * len(shown), 5 * height / width + 0.7), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    for axis, (name, labels) in zip(axes, shown.items(), strict=True):
        axis.imshow(side_overlay(section, labels, sides=sides), interpolation="nearest")
        axis.set_title(name)
        axis.set_axis_off()
    if nm_per_pixel:
        _draw_scale_bar(axes[0], height, 500 / nm_per_pixel, "500 nm")
    patches = [Patch(color=PRE, label="pre"), Patch(color=POST, label="post")]
    figure.legend(
        handles=patches if sides else [Patch(color=NO_SIDE, label="synapse")],
        loc="upper right",
        ncols=2,
        frameon=False,
    )
    figure.suptitle(title)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
    return Path(path)


def _draw_scale_bar(axis: Axes, height: int, pixels: float, text: str) -> None:
    x, y = height * 0.04, height * 0.95
    bar = axis.plot([x, x + pixels], [y, y], color="white", linewidth=4, solid_capstyle="butt")
    bar[0].set_path_effects([withStroke(linewidth=7, foreground="black")])
    words = axis.text(x, y - height * 0.015, text, color="white", fontsize=9, va="bottom")
    words.set_path_effects([withStroke(linewidth=2.5, foreground="black")])


def _busiest_run(counts: np.ndarray) -> slice:
    if len(counts) <= LARGEST_SIDE:
        return slice(0, len(counts))
    sums = np.convolve(counts, np.ones(LARGEST_SIDE, dtype=int), mode="valid")
    start = int(np.argmax(sums))
    return slice(start, start + LARGEST_SIDE)
