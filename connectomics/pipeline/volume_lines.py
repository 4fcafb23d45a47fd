"""What `--check` says and draws of volumes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from connectomics.data.counting import read_label
from connectomics.data.io.header import size_text
from connectomics.data.survey import marks_of
from connectomics.data.volumes import LabelledVolume
from connectomics.evaluation import Encoding
from connectomics.geometry import Box
from connectomics.pipeline.inspection import Labels, inspect_labels

COLUMN = 9
LOOKED_AT = 9  # sections, to find one that shows many labels


def show(name: str, lines: Sequence[str]) -> None:
    """Print lines under a name."""
    for number, line in enumerate(lines):
        print(f"{name if not number else '':<{COLUMN}} {line.strip()}")


def volume_lines(volume: LabelledVolume, encoding: Encoding) -> Iterator[str]:
    """Say what a volume is, and what synapses are in it.

    Args:
        volume: With or without labels.
        encoding: How they are stored, if the config says.
    """
    size = volume.resolution
    extent = f"{size_text(volume.shape)} voxels"
    if size is not None:
        edges = [n * nm for n, nm in zip(volume.shape, size, strict=True)]
        extent += f" of {size_text(size)} nm, {rounded(edges)} nm in all"
    source = getattr(volume.image, "source", volume.name)
    yield f"{source}{_part(volume)}: {extent}"
    if volume.label is None:
        yield "without labels"
        return
    yield from _synapses(inspect_labels(volume, encoding))


def _part(volume: LabelledVolume) -> str:
    """Where a part of a volume begins in it; empty for the beginning."""
    first = volume.origin
    return f", from voxel {size_text(first).replace(' x ', ', ')}" if any(first) else ""


def left_out(learned: LabelledVolume, held: LabelledVolume) -> Iterator[str]:
    """Say what lies between two parts of one volume."""
    for axis, (first, last) in enumerate(zip(learned.origin, held.origin, strict=True)):
        gap = last - first - learned.shape[axis]
        if last > first and gap:
            between = size_text([*held.shape[:axis], gap, *held.shape[axis + 1 :]])
            yield f"{between} voxels between train and validate are left out"


def _synapses(labels: Labels) -> Iterator[str]:
    share = f"{labels.filled:.2%} labelled"
    source = getattr(labels.volume.label, "source", labels.volume.name)
    yield f"labels {source}: {labels.encoding}; {labels.count}; {share}"
    if not len(labels.sizes):
        return
    low, middle, high = (int(n) for n in np.percentile(labels.sizes, [5, 50, 95]))
    extent = np.median(labels.high - labels.low, axis=0)
    text = f"a synapse has {low:,} / {middle:,} / {high:,} voxels (percentiles 5 / 50 / 95)"
    text += f", and spans {size_text(extent)} voxels (median)"
    if labels.volume.resolution is not None:
        text += f", {rounded(extent * np.array(labels.volume.resolution))} nm"
    yield text
    if labels.specks:
        yield f"these sizes leave out {labels.specks:,} too small for a whole synapse"


def rounded(sizes: Iterable[float]) -> str:
    """Write lengths without fractions."""
    return " x ".join(f"{size:,.0f}" for size in sizes)


def draw_section(volume: LabelledVolume, folder: Path, *, sided: bool) -> Path:
    """Draw the busiest part of a section that shows many labels, or of the first."""
    from connectomics.report.figures import busiest_view, comparison_figure, section_title

    z, labels = _shown_section(volume)
    _, y, x = busiest_view(labels[None]).slices
    section = Box((z, y.start, x.start), (z + 1, y.stop, x.stop))
    folder.mkdir(parents=True, exist_ok=True)
    return comparison_figure(
        folder / "test.png",
        {} if volume.label is None else {"labels": labels[y, x]},
        volume.image.read(section)[0],
        title=section_title(volume.name, z, volume.origin[0], synthetic=volume.synthetic),
        sides=sided,
        nm_per_pixel=volume.resolution[2] if volume.resolution else None,
    )


def _shown_section(volume: LabelledVolume) -> tuple[int, np.ndarray]:
    """The fullest of a few sections throughout; where these are empty, the first with labels."""
    labels = np.zeros(volume.shape[1:], np.uint8)
    if volume.label is None:
        return 0, labels
    depth, marks = volume.shape[0], marks_of(volume.label)

    def section(z: int) -> np.ndarray:
        box = Box((z, 0, 0), (z + 1, *volume.shape[1:]))
        return read_label(volume, box, marks=marks).label[0]

    best, most = 0, 0
    for z in sorted({(2 * n + 1) * depth // (2 * LOOKED_AT) for n in range(LOOKED_AT)}):
        found = section(z)
        if (count := np.count_nonzero(found)) > most:
            best, most, labels = z, count, found
    if most:
        return best, labels
    for z in range(depth):
        if (found := section(z)).any():
            return z, found
    return 0, labels
