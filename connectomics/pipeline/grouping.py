"""From a user's files to volumes whose image and labels are known, and belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from connectomics.config.schema.files import InitFiles
from connectomics.data.axis_order import axis_doubts
from connectomics.data.checks import open_on_one_grid
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.header import size_text
from connectomics.data.io.listing import list_volumes
from connectomics.data.io.spacing import doubt
from connectomics.data.joining import join_sides
from connectomics.data.pairing import Group, pair
from connectomics.data.recognition import Recognised, recognise
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import DataError, Fault
from connectomics.geometry import Nm, VoxelGrid

GIVE_SIZE = "Give it, nm per voxel (z, y, x): resolution=[z,y,x], such as resolution=[30,8,8]."
SAY_WHICH = "Say which is which: image=FILE label=FILE."


def find_groups(settings: InitFiles) -> list[Group]:
    """The volumes, as the user pairs them, and as the others pair by themselves."""
    groups = [
        _as_given(image, label, settings)
        for image, label in zip(settings.image or (), settings.label or (), strict=True)
    ]
    sources = [name for file in settings.files for name in list_volumes(file)]
    found = _recognised(list(dict.fromkeys(sources)), settings)
    for one in found:
        if one.doubt:
            taken = "an image" if one.kind == "image" else "labels"
            print(f"init: {one.volume.source} {one.doubt}: taken for {taken}")
        if one.kind == "other":
            print(f"init: {one.volume.source} {one.why}: left out")
    groups += pair(found) if found else []
    if not any(group.label or group.pre or group.post for group in groups):
        raise _no_labels(groups, [one for one in found if one.kind == "other"])
    return groups


def _no_labels(groups: Sequence[Group], left_out: Sequence[Recognised]) -> DataError:
    listed = "".join(f"\n    {group.image.source}  image" for group in groups)
    listed += "".join(f"\n    {one.volume.source}  left out: {one.why}" for one in left_out)
    problem = f"no labels were found, and training needs some:{listed}"
    image = groups[0].image.source
    remedy = f"Name a label file, or say which it is: image={image} label=FILE."
    return DataError("--init", problem, remedy)


def _as_given(image: str, label: str, settings: InitFiles) -> Group:
    opened, faults = open_on_one_grid(
        {"its.image": image, "label": label}, resolution=settings.resolution, integers=["label"]
    )
    if faults:
        raise DataError.of(faults)
    return Group(opened["its.image"], label=opened["label"])


def _recognised(sources: Sequence[str], settings: InitFiles) -> list[Recognised]:
    found, faults = [], []
    for source in sources:
        try:
            found.append(recognise(open_volume(source, resolution=settings.resolution)))
        except DataError as error:
            faults += error.faults
    for one in found:
        if one.kind == "unclear":
            problem = f"may be an image or labels: {one.why}."
            faults.append(Fault(one.volume.source, problem, SAY_WHICH))
    if faults:
        raise DataError.of(faults)
    return found


def require_sizes(groups: Sequence[Group], given: Nm | None) -> None:
    """Every volume has a voxel size that can be meant, and sections along its first axis."""
    faults = []
    for group in groups:
        size = _size_of(group)
        if size is None:
            faults.append(Fault(group.image.source, "does not say its voxel size.", GIVE_SIZE))
        elif not np.allclose(size, _size_of(groups[0]) or size, rtol=0.25):
            theirs, first = size_text(size), groups[0].image.source
            problem = (
                f"has voxels of {theirs} nm, {first} of {size_text(_size_of(groups[0]) or ())}."
            )
            remedy = "A network learns one voxel size: name volumes of one, or resample them."
            faults.append(Fault(group.image.source, problem, remedy))
        if size and size != given and doubt(size):
            problem = f"its voxel size, {size_text(size)} nm (z, y, x), can hardly be meant."
            typed = ",".join(f"{n:g}" for n in size)
            remedy = f"Correct it in the file; or, if it is right, say so: resolution=[{typed}]"
            faults.append(Fault(group.image.source, problem, remedy))
        faults += axis_doubts(LabelledVolume(group.image.name, placed(group), label=group.label))
    if faults:
        raise DataError.of(faults)


def placed(group: Group) -> LazyVolume:
    """The image, with the voxel size that one of its files says."""
    return group.image.with_grid(VoxelGrid(_size_of(group), group.image.offset_nm))


def _size_of(group: Group) -> tuple[float, float, float] | None:
    parts = (group.image, group.label, group.pre, group.post)
    return next((part.resolution for part in parts if part and part.resolution), None)


def with_joined(groups: Sequence[Group], settings: InitFiles) -> list[Group]:
    """Groups whose two masks of sides are one label volume, written where the user says."""
    parted = [group for group in groups if group.label is None and (group.pre or group.post)]
    targets = settings.joined or ()
    faults = [fault for group in parted if (fault := _half_fault(group))]
    if not faults and parted and len(targets) != len(parted):
        examples = ",".join(f"syn{n + 1}.h5" for n in range(len(parted)))
        example = f"[{examples}]" if len(parted) > 1 else "syn.h5"
        remedy = f"To write it, 1 for pre and 2 for post: joined={example}"
        for group in parted:
            assert group.pre
            assert group.post
            problem = (
                f"is a mask of pre sides, and {group.post.source} one of post sides; a config "
                "names one file for both."
            )
            faults.append(Fault(group.pre.source, problem, remedy))
    if targets and not parted:
        faults.append(
            Fault("joined", "no two masks of pre and post sides were found.", "Take it out.")
        )
    if faults:
        raise DataError.of(faults)
    made = iter(targets)
    return [_join(one, next(made)) if any(one is p for p in parted) else one for one in groups]


def _half_fault(group: Group) -> Fault | None:
    """That a mask of one side is alone."""
    one, sides = group.pre or group.post, ("pre", "post") if group.pre else ("post", "pre")
    if one is None or (group.pre and group.post):
        return None
    problem = f"is named as a mask of {sides[0]} sides, and there is none of {sides[1]} sides."
    remedy = f"Name it too; or, if it holds both: image={group.image.source} label={one.source}"
    return Fault(one.source, problem, remedy)


def _join(group: Group, target: str) -> Group:
    assert group.pre
    assert group.post
    print(f"init: wrote {join_sides(group.pre, group.post, target)}")
    return replace(group, label=open_volume(target), pre=None, post=None)
