"""`--init`: from a user's files to a config that trains.

find → recognise → pair → read the labels → divide → choose patches and network → write
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from connectomics.config.file_settings import read_settings
from connectomics.config.schema.files import InitFiles
from connectomics.config.validation import validate_as
from connectomics.data.checks import open_on_one_grid
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.header import size_text
from connectomics.data.io.listing import list_volumes
from connectomics.data.io.spacing import agree
from connectomics.data.joining import join_sides
from connectomics.data.oddities import axis_doubts, oddities
from connectomics.data.pairing import Group, pair
from connectomics.data.recognition import Recognised, recognise
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import ConfigError, DataError, Fault
from connectomics.files import atomic_path
from connectomics.geometry import Triple, VoxelGrid
from connectomics.pipeline.components import read_config
from connectomics.pipeline.division import Division, divide_volumes
from connectomics.pipeline.first_config import (
    VAL_FRACTION,
    Choices,
    commands,
    config_text,
    experiment_of,
)
from connectomics.pipeline.inspection import Labels, inspect_labels, large_span
from connectomics.pipeline.label_checks import label_faults
from connectomics.pipeline.recipe import choose_recipe, find_machine

SETTING = re.compile(r"[+~]*[A-Za-z_][\w.\[\]]*=")
MACHINE = "machine="
GIVE_SIZE = "Give it, nm per voxel (z, y, x): resolution=[z,y,x], such as resolution=[30,8,8]."
SAY_WHICH = "Say which is which: image=FILE label=FILE."
STORED_AS = {
    "polarity": "2n-1 pre, 2n post",
    "semantic": "1 pre, 2 post",
    "instance": "a number per synapse, no sides",
    "binary": "a mask of synapses, no sides",
}


def init(words: Sequence[str]) -> None:
    """Look at files and write a config for them.

    Args:
        words: Files, and `key=value` for the keys of `InitFiles`.

    Raises:
        ConfigError: A setting is wrong, or the config is there already.
        DataError: What is wrong with the files, or cannot be told from them.
    """
    settings = read_init_settings(words)
    groups = _groups(settings)
    _require_sizes(groups)
    labels = _read_labels(_with_joined(groups, settings), settings)
    division = divide_volumes(labels)
    choices = _choose(settings, groups, labels, division)
    _print_found(labels, choices)
    _write(settings.output, config_text(choices, settings.output))
    print(f"init: wrote {settings.output}, which says why it is as it is. Next:")
    for command in commands(settings.output, choices.name):
        print(f"    {command}")


def read_init_settings(words: Sequence[str]) -> InitFiles:
    """Tell files from settings, and check both.

    Raises:
        ConfigError: There are no files, a setting is wrong, or the config is there already.
    """
    overrides = [word for word in words if SETTING.match(word) and not Path(word).exists()]
    files = [word for word in words if word not in overrides]
    machines = [word for word in overrides if word.startswith(MACHINE)]
    # In a config, machine=... picks a preset; here it is a setting like the others.
    others = [word for word in overrides if word not in machines]
    settings = read_settings(InitFiles, others, checks=[_setting_faults])
    tree = {**settings.model_dump(exclude_unset=True), "files": files}
    if machines:
        tree["machine"] = machines[-1].removeprefix(MACHINE)
    read = validate_as(InitFiles, tree)
    if read.faults:
        raise ConfigError.of(replace(fault, where=_where(fault.where)) for fault in read.faults)
    if not files and settings.image is None:
        raise ConfigError("--init", "names no file.", "Name EM and labels: --init raw.h5 syn.h5")
    if Path(settings.output).exists():
        remedy = "Choose another name, output=other.yaml, or remove it."
        raise ConfigError(f"output={settings.output}", "is there already.", remedy)
    return read.config


def _where(key: str) -> str:
    return "--init" if key.startswith("files") else f"command line: {key}"


def _setting_faults(settings: InitFiles) -> Iterator[Fault]:
    images, labels = len(settings.image or ()), len(settings.label or ())
    if images != labels:
        problem = f"{labels} for {images} images."
        yield Fault("label", problem, "Name one for each image, in the same order.")
    if not settings.output.endswith((".yaml", ".yml")):
        yield Fault("output", f"{settings.output} is no YAML file.", "Name it so: my.yaml.")


def _groups(settings: InitFiles) -> list[Group]:
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
    return [*groups, *(pair(found) if found else [])]


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


def _require_sizes(groups: Sequence[Group]) -> None:
    """Every volume has a voxel size, and sections along its first axis."""
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
        faults += axis_doubts(LabelledVolume(group.image.name, _placed(group)))
    if faults:
        raise DataError.of(faults)


def _placed(group: Group) -> LazyVolume:
    """The image, with the voxel size that one of its files says."""
    return group.image.with_grid(VoxelGrid(_size_of(group), group.image.offset_nm))


def _size_of(group: Group) -> tuple[float, float, float] | None:
    parts = (group.image, group.label, group.pre, group.post)
    return next((part.resolution for part in parts if part and part.resolution), None)


def _with_joined(groups: Sequence[Group], settings: InitFiles) -> list[Group]:
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


def _read_labels(groups: Sequence[Group], settings: InitFiles) -> list[Labels]:
    """What the labels hold, and that one network can learn from all of them."""
    found, faults = [], []
    for group in groups:
        if group.label is None:
            continue
        volume = LabelledVolume(
            group.image.name,
            _placed(group),
            label=group.label,
            mask=group.mask,
            neurons=group.neurons,
        )
        labels = inspect_labels(volume, settings.encoding)
        found.append(labels)
        faults += _label_faults(labels)
    if faults:
        raise DataError.of(faults)
    if not found:
        listed = "".join(f"\n    {group.image.source}  image" for group in groups)
        problem = f"no labels were found, and training needs some:{listed}"
        image = groups[0].image.source
        remedy = f"Name a label file, or say which it is: image={image} label=FILE."
        raise DataError("--init", problem, remedy)
    sides = {labels.sided for labels in found}
    if len(sides) > 1:
        listed = "".join(f"\n    {_source(one)}  {STORED_AS[one.encoding]}" for one in found)
        problem = f"some labels have sides, and some have none:{listed}"
        raise DataError("--init", problem, "Make a config for each kind.")
    return found


def _label_faults(labels: Labels) -> Iterator[Fault]:
    from connectomics.data.survey import survey_labels

    assert labels.volume.label is not None
    yield from label_faults(survey_labels(labels.volume.label))
    if labels.encoding == "auto" and len(labels.sizes):
        problem = "its values do not tell how its synapses are stored."
        remedy = (
            "Say it: encoding=semantic (1 pre, 2 post), polarity (2n-1 and 2n), instance or binary."
        )
        yield Fault(_source(labels), problem, remedy)
    elif labels.encoding == "auto":
        problem = "labels no synapse, so that nothing tells how they would be stored."
        remedy = "Leave the volume out here; the config may name it afterwards, in data.train."
        yield Fault(_source(labels), problem, remedy)
    elif labels.sided and not (labels.odd and labels.even):
        missing = "pre (odd numbers)" if labels.even else "post (even numbers)"
        problem = f"has no {missing}, and is read as {labels.encoding}."
        yield Fault(_source(labels), problem, "If it has no sides: encoding=instance or binary.")


def _choose(
    settings: InitFiles, groups: Sequence[Group], labels: Sequence[Labels], division: Division
) -> Choices:
    sizes = [one.volume.resolution for one in labels]
    assert sizes[0] is not None
    one_size = all(size and agree(sizes[0], size) for size in sizes)
    shapes: list[Triple] = []
    for number in (*division.train, *division.val):
        depth, height, width = labels[number].volume.shape
        first, stop = division.learned or (0, depth)
        shapes.append((stop - first, height, width))
    held = None if division.val else VAL_FRACTION
    machine = find_machine()
    if settings.machine != "auto":
        machine = settings.machine, "asked for"
    stated = any(g.image.resolution and not settings.resolution for g in groups)
    why = (
        "The voxel size is the one given." if settings.resolution else "The voxel size is what the"
    )
    why = why if settings.resolution else f"{why} {'image' if stated else 'label'} file says."
    return Choices(
        experiment_of(settings.output),
        labels,
        division,
        choose_recipe(machine, sizes[0], shapes, val_fraction=held, span=large_span(labels)),
        sizes[0] if one_size else None,
        why,
        [group.image for group in groups if group.label is None and not group.pre],
    )


def _print_found(labels: Sequence[Labels], choices: Choices) -> None:
    for one in labels:
        volume = one.volume
        size = size_text(volume.resolution or ())
        print(
            f"init: {_image(one)}: image, {size_text(volume.shape)} voxels of {size} nm (z, y, x)"
        )
        marks = ", with CREMI's marks" if one.marks.background is not None else ""
        print(
            f"init: {_source(one)}: its labels, {one.encoding}{marks} ({STORED_AS[one.encoding]}); "
            f"{one.count}; {one.filled:.2%} labelled"
        )
        for part in (volume.mask, volume.neurons):
            if isinstance(part, LazyVolume):
                kind = "mask of what counts" if part is volume.mask else "neurons"
                print(f"init: {part.source}: its {kind}")
    for image in choices.unlabelled:
        print(
            f"init: {image.source}: image without labels, left out; the config says how to use it"
        )
    recipe = choices.recipe
    print(f"init: {choices.division.why}")
    patch = size_text(recipe.patch_size)
    print(f"init: machine={recipe.machine}, as {recipe.why_machine}; patches of {patch} voxels")
    for fault in oddities([one.volume for one in labels], sided=labels[0].sided):
        print(f"init: odd: {fault}")


def _write(output: str, text: str) -> None:
    """Write the config once it is known to load, in both stages."""
    with atomic_path(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
        for mode in ("train", "test"):
            read_config(temporary, mode=mode, torch=False)
        if Path(output).exists():
            raise ConfigError(f"output={output}", "is there already.", "Choose another name.")


def _source(labels: Labels) -> str:
    return str(getattr(labels.volume.label, "source", labels.volume.name))


def _image(labels: Labels) -> str:
    return str(getattr(labels.volume.image, "source", labels.volume.name))
