"""What is odd about volumes and their labels, and is seldom meant. Ordinary data has none of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import binary_fill_holes

from connectomics.data.counting import label_slabs, read_label
from connectomics.data.survey import marks_of
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import Fault
from connectomics.geometry import Box

DEEPER = 1.4
"""How many times more sections differ from each other than pixels do, at least, where they are
thicker than these (twice in real EM): else they lie along another axis."""

DARKER = 0.3
"""Standard deviations between labelled voxels and the others, at least, for a volume to show
which way its contrast is. Densities of synapses are one or two darker."""

HOLES = 0.02
"""The share of labelled voxels that holes make up, at least, to be worth saying."""

CONTINUED = 0.3
"""The share of a section's labels that lie on labels two sections on, where an empty one between
them is a gap."""

CUBE = 96


class Looks(NamedTuple):
    """What a look at every section of a volume has found.

    Attributes:
        empty: Sections whose image is all of one value.
        unlabelled: Sections without labels between two whose labels go on.
        holes: Voxels in holes of labels, within sections.
        labelled: Voxels that are labelled.
        contrast: How much brighter labelled voxels are, in standard deviations; NaN for none.
    """

    empty: list[int]
    unlabelled: list[int]
    holes: int
    labelled: int
    contrast: float


def oddities(volumes: Sequence[LabelledVolume]) -> list[Fault]:
    """Find what is odd about volumes; each is read once, section by section.

    Raises:
        DataError: One cannot be read.
    """
    looks = [look(volume) for volume in volumes]
    faults: list[Fault] = []
    for volume, seen in zip(volumes, looks, strict=True):
        faults += axis_doubts(volume)
        faults += _of_sections(volume, seen)
    return [*faults, *_inverted(volumes, looks)]


def look(volume: LabelledVolume) -> Looks:
    """Look at every section of a volume."""
    empty: list[int] = []
    masks: list[np.ndarray] = []
    unlabelled: list[int] = []
    holes, z = 0, 0
    inside, outside = np.zeros(3), np.zeros(3)
    marks = marks_of(volume.label) if volume.label is not None else None
    for slab in label_slabs(volume):
        image = volume.image.read(slab)
        labels = read_label(volume, slab, marks=marks).label if marks else np.zeros_like(image)
        for section, label in zip(image, labels > 0, strict=True):
            if section.min() == section.max():
                empty.append(z)
            else:
                inside += _moments(section[label])
                outside += _moments(section[~label])
            holes += int(np.count_nonzero(binary_fill_holes(label) & ~label)) if label.any() else 0
            masks = [*masks[-2:], label]
            if len(masks) == 3 and _goes_on(*masks):
                unlabelled.append(z - 1)
            z += 1
    return Looks(empty, unlabelled, holes, int(inside[0]), _contrast(inside, outside))


def axis_doubts(volume: LabelledVolume) -> Iterator[Fault]:
    """Whether sections seem to lie along another axis than the first.

    Neighbours across sections differ more than neighbours within one, where sections are thicker
    than pixels are wide by half or more.
    """
    if volume.resolution is None or volume.resolution[0] < 1.5 * max(volume.resolution[1:]):
        return
    if min(volume.shape) < 2:
        return
    start = [max(0, (length - CUBE) // 2) for length in volume.shape]
    stop = [min(length, first + CUBE) for first, length in zip(start, volume.shape, strict=True)]
    cube = volume.image.read(Box(tuple(start), tuple(stop))).astype(np.float32)  # type: ignore[arg-type]
    steps = [float(np.abs(np.diff(cube, axis=axis)).mean()) for axis in range(3)]
    deepest = int(np.argmax(steps))
    others = [step for axis, step in enumerate(steps) if axis != deepest]
    if deepest == 0 or steps[deepest] < DEEPER * max(others):
        return
    order = "(x, y, z)" if deepest == 2 else "(y, z, x) or the like"
    yield Fault(
        _source(volume),
        f"its sections seem to lie along its {('first', 'second', 'last')[deepest]} axis, as in "
        f"{order}: neighbours differ most there ({steps[deepest]:.3g}, against "
        f"{others[0]:.3g} and {others[1]:.3g} along the others).",
        "Volumes are read as (z, y, x). In HDF5 and Zarr an attribute of the dataset says how it "
        "is stored: axes = 'xyz'. Else transpose it.",
    )


def _of_sections(volume: LabelledVolume, seen: Looks) -> Iterator[Fault]:
    where = _source(volume)
    if seen.empty and not volume.synthetic:  # phantoms have lost sections on purpose
        problem = f"{_numbered(seen.empty)} of its image {_hold(seen.empty)} one value everywhere."
        yield Fault(where, problem, "If the sections are not lost, copy them again.")
    label = getattr(volume.label, "source", where)
    if seen.unlabelled:
        problem = f"{_numbered(seen.unlabelled)}: no labels, though those before and after go on."
        yield Fault(label, problem, "Label them too, or give a `mask` that is 0 there.")
    if seen.holes > HOLES * seen.labelled:
        share = seen.holes / seen.labelled
        problem = f"its labels have holes within sections, {share:.0%} of what is labelled."
        yield Fault(label, problem, "Fill them, unless only outlines are meant to be learned.")


def _inverted(volumes: Sequence[LabelledVolume], looks: Sequence[Looks]) -> Iterator[Fault]:
    """Volumes whose synapses are bright where those of most others are dark, or the reverse."""
    shown = [
        (v, s.contrast) for v, s in zip(volumes, looks, strict=True) if s.contrast**2 > DARKER**2
    ]
    bright = [volume for volume, contrast in shown if contrast > 0]
    dark = [volume for volume, contrast in shown if contrast < 0]
    if not bright or not dark:
        return
    fewer, more = (bright, dark) if len(bright) <= len(dark) else (dark, bright)
    words = ("brighter", "darker") if fewer is bright else ("darker", "brighter")
    for volume in fewer:
        yield Fault(
            _source(volume),
            f"what is labelled is {words[0]} than the rest, and {words[1]} in {_source(more[0])}: "
            "its contrast is inverted against the other volumes.",
            "Invert one of them, such as 255 - image.",
        )


def _moments(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    return np.array([values.size, values.sum(), np.square(values).sum()])


def _contrast(inside: np.ndarray, outside: np.ndarray) -> float:
    if not inside[0] or not outside[0]:
        return float("nan")
    number, total, squares = inside + outside
    spread = np.sqrt(max(squares / number - (total / number) ** 2, 0))
    return float((inside[1] / inside[0] - outside[1] / outside[0]) / spread) if spread else 0.0


def _goes_on(before: np.ndarray, here: np.ndarray, after: np.ndarray) -> bool:
    if here.any() or not (before.any() and after.any()):
        return False
    least = min(np.count_nonzero(before), np.count_nonzero(after))
    return bool(np.count_nonzero(before & after) >= CONTINUED * least)


def _numbered(sections: Sequence[int], at_most: int = 5) -> str:
    shown = ", ".join(map(str, sections[:at_most]))
    more = f" and {len(sections) - at_most} more" if len(sections) > at_most else ""
    return f"section{'s' * (len(sections) > 1)} {shown}{more}"


def _hold(sections: Sequence[int]) -> str:
    return "holds" if len(sections) == 1 else "hold"


def _source(volume: LabelledVolume) -> str:
    return str(getattr(volume.image, "source", volume.name))
