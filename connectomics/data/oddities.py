"""What is odd about volumes and their labels, and is seldom meant. Ordinary data has none of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import binary_fill_holes

from connectomics.data.agreement import REACH, Agreement
from connectomics.data.axis_order import THICKER, axis_doubts
from connectomics.data.counting import read_label
from connectomics.data.processing.grey_values import require_finite_block
from connectomics.data.survey import marks_of
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import Fault
from connectomics.geometry import Box

DARKER = 0.3
"""Standard deviations between labelled voxels and the others, at least, for a volume to show
which way its contrast is. Densities of synapses are one or two darker."""

HOLES = 0.02
"""The share of labelled voxels that holes make up, at least, to be worth saying."""

CONTINUED = 0.3
"""The share of a section's labels that lie on those of the next labelled section, where the empty
ones between them are a gap."""

LONGEST_GAP = 3
"""Sections. After more, other synapses may lie where the earlier ones lay."""

EXPECTED = 15
"""So many synapses in sections without a label, going by the others, do not lack by chance, though
tissue is uneven and one synapse may be counted twice."""

VOXELS = 2**26
"""How many are read at a time; at least a section."""


class Looks(NamedTuple):
    """What a look at every section of a volume has found.

    Attributes:
        empty: Sections whose image is all of one value.
        unlabelled: Sections without labels between others whose labels go on.
        bare: The first section, and one past the last, of the longest run without labels.
        holes: Voxels in holes of labels, within sections.
        labelled: Voxels that are labelled.
        contrast: How much brighter labelled voxels are, in standard deviations; NaN for none.
        agreement: How the labels agree with the image.
    """

    empty: list[int]
    unlabelled: list[int]
    bare: tuple[int, int]
    holes: int
    labelled: int
    contrast: float
    agreement: Agreement


def oddities(volumes: Sequence[LabelledVolume], *, sided: bool = False) -> list[Fault]:
    """Find what is odd about volumes; each is read once, section by section.

    Args:
        volumes: What is to be looked at.
        sided: Odd labels are pre-synaptic, and even ones post-synaptic.

    Raises:
        DataError: One cannot be read, or holds NaN.
    """
    looks = [look(volume) for volume in volumes]
    faults: list[Fault] = []
    for volume, seen in zip(volumes, looks, strict=True):
        faults += axis_doubts(volume)
        faults += _of_sections(volume, seen)
        faults += _shifted(volume, seen.agreement)
    faults += _inverted(volumes, looks)
    return [*faults, *(_exchanged(volumes, looks) if sided else ())]


def look(volume: LabelledVolume) -> Looks:
    """Look at every section of a volume.

    Raises:
        DataError: It cannot be read, or its image holds NaN.
    """
    empty: list[int] = []
    unlabelled: list[int] = []
    last: tuple[int, np.ndarray] | None = None
    bare, agreement = (0, 0), Agreement()
    holes, z = 0, 0
    inside, outside = np.zeros(3), np.zeros(3)
    marks = marks_of(volume.label) if volume.label is not None else None
    for slab in _slabs(volume):
        image = volume.image.read(slab)
        if image.dtype.kind == "f":
            require_finite_block(volume.image, slab, image)
        labels, counts = np.zeros(image.shape, np.uint8), None
        if marks:
            labels, counts = read_label(volume, slab, marks=marks)
        for number, (section, label) in enumerate(zip(image, labels, strict=True)):
            mask = label > 0
            if section.min() == section.max():
                empty.append(z)
            else:
                inside += _moments(section[mask])
                outside += _moments(section[~mask])
            if mask.any() or (counts is not None and not counts[number].any()):
                first = last[0] + 1 if last else 0
                if last and 0 < z - first <= LONGEST_GAP and _goes_on(last[1], mask):
                    unlabelled += range(first, z)
                bare = max(bare, (first, z), key=_length)
                last = z, mask
            if mask.any():
                holes += int(np.count_nonzero(binary_fill_holes(mask) & ~mask))
            agreement.add(section, label)
            z += 1
    bare = max(bare, (last[0] + 1 if last else 0, z), key=_length)
    contrast = _contrast(inside, outside)
    return Looks(empty, unlabelled, bare, holes, int(inside[0]), contrast, agreement)


def _slabs(volume: LabelledVolume) -> Iterator[Box]:
    """Whole sections, as many as are stored together; fewer where these are wide, to hold them."""
    depth, height, width = volume.shape
    chunks = getattr(volume.label or volume.image, "chunks", None)
    thickness = max(1, min(chunks[0] if chunks else 1, VOXELS // (height * width)))
    for z in range(0, depth, thickness):
        yield Box((z, 0, 0), (min(z + thickness, depth), height, width))


def _of_sections(volume: LabelledVolume, seen: Looks) -> Iterator[Fault]:
    where = _source(volume)
    if seen.empty and not volume.synthetic:  # phantoms have lost sections on purpose
        empty = _numbered(seen.empty, _first(volume.image))
        problem = f"{empty} of its image {_hold(seen.empty)} one value everywhere."
        yield Fault(where, problem, "If the sections are not lost, copy them again.")
    label = getattr(volume.label, "source", where)
    if seen.unlabelled:
        unlabelled = _numbered(seen.unlabelled, _first(volume.label))
        problem = f"{unlabelled}: no labels, though those before and after go on."
        yield Fault(label, problem, "Label them too, or give a `mask` that is 0 there.")
    length, others = _length(seen.bare), volume.shape[0] - _length(seen.bare)
    expected = seen.agreement.synapses * length / max(1, others)
    if expected >= EXPECTED:
        first, stop = (z + _first(volume.label) for z in seen.bare)
        problem = (
            f"sections {first}-{stop - 1} have no labels, where the others would let expect "
            f"{expected:.0f} synapses: not labelled yet?"
        )
        remedy = "If so, leave them out (`z_range`), or give a `mask` that is 0 there."
        yield Fault(label, problem, remedy)
    if seen.holes > HOLES * seen.labelled:
        share = seen.holes / seen.labelled
        problem = f"its labels have holes within sections, {share:.0%} of what is labelled."
        yield Fault(label, problem, "Fill them, unless only outlines are meant to be learned.")


def _shifted(volume: LabelledVolume, agreement: Agreement) -> Iterator[Fault]:
    """Labels that fit the sections before or after their own.

    Within sections it cannot be told: real labels are a pixel or two off, all to one side.
    """
    size, shift = volume.resolution, agreement.shift
    if size is None or size[0] < THICKER * max(size[1:]) or not shift:
        return
    count = f"{abs(shift)}{' or more' if abs(shift) == REACH else ''}"
    where, way = ("before", "late") if shift > 0 else ("after", "early")
    yield Fault(
        str(getattr(volume.label, "source", volume.name)),
        f"its labels fit the image best {count} section{'s' * (abs(shift) > 1)} {where} theirs, "
        f"in {agreement.votes.max()} of {agreement.votes.sum()} sections: they seem to come too "
        f"{way}.",
        "Was a section lost, or counted from 1? Look at the pictures, and shift them along z.",
    )


def _exchanged(volumes: Sequence[LabelledVolume], looks: Sequence[Looks]) -> Iterator[Fault]:
    """Volumes whose pre side is the darker one, where in most others post is, or the reverse.

    Which of them is right cannot be told: the density is on the post side in some animals, on the
    pre side in others. So a single volume says nothing.
    """
    sides = [seen.agreement.darker_side for seen in looks]
    pre = [volume for volume, side in zip(volumes, sides, strict=True) if side == "pre"]
    post = [volume for volume, side in zip(volumes, sides, strict=True) if side == "post"]
    if not pre or not post:
        return
    (fewer, darker), (more, other) = sorted([(pre, "pre"), (post, "post")], key=lambda p: len(p[0]))
    for volume in fewer:
        yield Fault(
            str(getattr(volume.label, "source", volume.name)),
            f"its {darker} sides are darker than its {other} sides, and in {_source(more[0])} it "
            "is the other way round: pre and post may be exchanged in one of them.",
            "Look where the vesicles are, which is pre; then exchange odd and even numbers there.",
        )


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


def _goes_on(before: np.ndarray, after: np.ndarray) -> bool:
    least = min(np.count_nonzero(before), np.count_nonzero(after))
    return bool(least and np.count_nonzero(before & after) >= CONTINUED * least)


def _length(sections: tuple[int, int]) -> int:
    return sections[1] - sections[0]


def _first(array: object) -> int:
    """The section of its file that an array begins with."""
    return int(getattr(array, "origin", (0, 0, 0))[0])


def _numbered(sections: Sequence[int], first: int, at_most: int = 5) -> str:
    shown = ", ".join(str(first + z) for z in sections[:at_most])
    more = f" and {len(sections) - at_most} more" if len(sections) > at_most else ""
    return f"section{'s' * (len(sections) > 1)} {shown}{more}"


def _hold(sections: Sequence[int]) -> str:
    return "holds" if len(sections) == 1 else "hold"


def _source(volume: LabelledVolume) -> str:
    return str(getattr(volume.image, "source", volume.name))
