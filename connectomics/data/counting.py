"""Whether anything of labelled volumes counts, before something learns from them or is judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum

from connectomics.data.io import LazyVolume
from connectomics.data.processing.labels import CleanLabel, clean_label
from connectomics.data.processing.marks import Marks
from connectomics.data.survey import marks_of
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import DataError, Fault, warn
from connectomics.geometry import Box, block_boxes, block_shape

VOXELS = 2**23
"""How many are read at a time, where chunks allow."""


class Counted(IntEnum):
    """What there is among the voxels that count: inside the mask, and not marked as invalid."""

    NOTHING = 0
    BACKGROUND = 1
    FOREGROUND = 2


def read_label(
    volume: LabelledVolume, box: Box | None = None, *, marks: Marks | None = None
) -> CleanLabel:
    """Read the labels of a box, and which of them count; None if all do.

    Args:
        volume: With labels.
        box: In it; all of it unless given.
        marks: Of the whole volume, see `clean_label`.

    Raises:
        DataError: There are none, or they are no labels.
    """
    if volume.label is None:
        raise DataError(volume.source, "has no labels.", "Name its label file.")
    label, counts = clean_label(volume.label.read(box), volume.label.source, marks=marks)
    if volume.mask is not None:
        given = volume.mask.read(box) > 0
        counts = given if counts is None else given & counts
    return CleanLabel(label, counts)


def label_boxes(volume: LabelledVolume) -> list[Box]:
    """The volume in boxes, as thick as the chunks of its labels, of which none is much in memory.

    They are whole sections where these are small.
    """
    _, height, width = volume.shape
    chunks = volume.label.chunks if isinstance(volume.label, LazyVolume) else None
    chunks = chunks or (1, min(height, max(1, VOXELS // width)), width)
    within = chunks[0], height, width
    return block_boxes(volume.shape, block_shape(within, chunks, VOXELS))


def what_counts(volumes: Iterable[LabelledVolume]) -> Counted:
    """Find the most that counts in labelled volumes, reading no further than to the first label.

    Raises:
        DataError: They cannot be read, or are no labels.
    """
    found = Counted.NOTHING
    for volume in volumes:
        marks = None if volume.label is None else marks_of(volume.label)
        chunks = getattr(volume.label, "chunks", None) or (1, *volume.shape[1:])
        for box in block_boxes(volume.shape, block_shape(volume.shape, chunks, VOXELS)):
            label, counts = read_label(volume, box, marks=marks)
            if (label if counts is None else label * counts).any():
                return Counted.FOREGROUND
            if counts is None or counts.any():
                found = Counted.BACKGROUND
    return found


def require_counting(volumes: list[LabelledVolume], *, refuses: bool = True) -> None:
    """Refuse to test where nothing counts, and say so where nothing is labelled.

    Args:
        volumes: Those without labels are left out.
        refuses: False to say it in either case.

    Raises:
        DataError: Nothing counts in some, each of which is named.
    """
    labelled = [volume for volume in volumes if volume.label is not None]
    found = [what_counts([volume]) for volume in labelled]
    counted = zip(labelled, found, strict=True)
    uncounted = [volume for volume, counts in counted if counts is Counted.NOTHING]
    faults = [lack_of(Counted.NOTHING, "data.test", [volume]) for volume in uncounted]
    if not faults and labelled:
        faults = [lack_of(max(found), "data.test", labelled)]
    shown = [fault for fault in faults if fault is not None]
    if uncounted and refuses:
        raise DataError.of(shown)
    for fault in shown:
        warn(fault.where, fault.problem, fault.remedy)


def lack_of(found: Counted, where: str, volumes: Iterable[LabelledVolume] = ()) -> Fault | None:
    """What is wrong with volumes of which only so much counts; None where nothing is.

    Args:
        found: From `what_counts`.
        where: Their place in the config.
        volumes: Those volumes, to name their files.
    """
    volumes = list(volumes)
    if found is Counted.NOTHING:
        return nothing_counts(where, volumes)
    return background_only(where, volumes) if found is Counted.BACKGROUND else None


def nothing_counts(where: str, volumes: Sequence[LabelledVolume]) -> Fault:
    """Say of labelled volumes, none of whose voxels count, which files leave them out."""
    labels, masks = _files(volumes, "label"), _files(volumes, "mask")
    if not masks:
        problem = f"no voxel counts: all are marked as invalid in {labels}."
        return Fault(
            where, problem, "Name another label file, or another part: z_range, y_range, x_range."
        )
    problem = f"no voxel counts: all are outside the mask {masks}, or marked as invalid in {labels}"
    return Fault(where, f"{problem}.", "The mask has to be above 0 where labels count.")


def background_only(where: str, volumes: Sequence[LabelledVolume]) -> Fault:
    """Say of volumes, none of whose labelled voxels count, which files they are in."""
    labels, masks = _files(volumes, "label"), _files(volumes, "mask")
    files = " inside ".join(filter(None, (labels, masks)))
    problem = f"the labels hold no foreground where they count{files and f': {files}'}."
    return Fault(
        where, problem, "Check the label files, the mask, and z_range, y_range and x_range."
    )


def _files(volumes: Sequence[LabelledVolume], part: str, most: int = 3) -> str:
    """The files of one part of volumes, a few by name; empty where there are none."""
    found = [one.source for v in volumes if (one := getattr(v, part)) is not None]
    if part == "mask":  # labels in memory have their marks as a mask
        found = [one for one in found if one not in {v.label.source for v in volumes if v.label}]
    rest = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + rest
