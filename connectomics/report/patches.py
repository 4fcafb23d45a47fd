"""A picture of what a network is shown: training patches with their targets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from connectomics.files import atomic_path
from connectomics.report.figures import NO_SIDE, POST, PRE, busiest_view, side_overlay

COLUMNS = 4
IGNORED = 0.45
"""How much of their brightness voxels keep that do not count."""


class ShownPatch(NamedTuple):
    """A patch as the network gets it.

    Attributes:
        image: (Z, Y, X), any range.
        labels: (Z, Y, X): 0, and 1 for pre and 2 for post, or 1 where there are no sides.
        mask: (Z, Y, X), 0 where voxels do not count; None where all do.
    """

    image: np.ndarray
    labels: np.ndarray
    mask: np.ndarray | None = None


def patch_figure(
    path: str | Path, patches: Sequence[ShownPatch], *, title: str = "", sides: bool = True
) -> Path:
    """Write a PNG of the busiest section of each patch: EM above, targets drawn over it below.

    Args:
        path: Where to write; a file that stands there is replaced.
        patches: At least one, all of one size.
        title: The line above everything.
        sides: Whether labels are sides.

    Returns:
        The path written.
    """
    rows = -(-len(patches) // COLUMNS)
    columns = min(COLUMNS, len(patches))
    height, width = patches[0].image.shape[1:]
    shape = 2 * rows, columns
    figure = Figure(figsize=(3 * columns, 6.4 * rows * height / width + 0.8), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots(*shape, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for number, patch in enumerate(patches):
        row, column = 2 * (number // COLUMNS), number % COLUMNS
        z = busiest_view(patch.labels).start[0]
        image, labels = patch.image[z], patch.labels[z]
        for axis, drawn in zip(
            axes[row : row + 2, column], (np.zeros_like(labels), labels), strict=True
        ):
            picture = side_overlay(image, drawn, sides=sides)
            if patch.mask is not None:
                picture[patch.mask[z] == 0] *= IGNORED
            axis.imshow(picture, interpolation="nearest")
        held = np.count_nonzero(patch.labels)
        axes[row, column].set_title(f"patch {number + 1}, section {z}", fontsize=9)
        axes[row + 1, column].set_title(f"{held:,} labelled voxels in all", fontsize=8)
    keys = [Patch(color=PRE, label="pre"), Patch(color=POST, label="post")]
    keys = keys if sides else [Patch(color=NO_SIDE, label="synapse")]
    if any(patch.mask is not None and not patch.mask.all() for patch in patches):
        keys.append(Patch(color=(0.3, 0.3, 0.3), label="dark: does not count"))
    figure.legend(handles=keys, loc="lower center", ncols=len(keys), frameon=False)
    figure.suptitle(title)
    figure.tight_layout(rect=(0, 0.03, 1, 0.99))
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
    return Path(path)
