"""`--init`: from a user's files to a config that trains.

find → recognise → pair → read the labels → divide → choose patches and network → write
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from connectomics.config.file_settings import read_settings
from connectomics.config.schema.files import InitFiles
from connectomics.config.validation import validate_as
from connectomics.data.io import LazyVolume
from connectomics.data.io.header import size_text
from connectomics.data.io.spacing import agree
from connectomics.data.oddities import oddities
from connectomics.data.pairing import Group
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import ConfigError, DataError, Fault
from connectomics.files import atomic_path
from connectomics.geometry import Triple
from connectomics.pipeline.components import read_config
from connectomics.pipeline.division import Division, divide_volumes
from connectomics.pipeline.first_config import (
    VAL_FRACTION,
    Choices,
    commands,
    config_text,
    experiment_of,
)
from connectomics.pipeline.grouping import find_groups, placed, require_sizes, with_joined
from connectomics.pipeline.inspection import STORED_AS, Labels, inspect_labels, large_span
from connectomics.pipeline.label_checks import label_faults
from connectomics.pipeline.recipe import choose_recipe, find_machine
from connectomics.process.cpus import use_threads

SETTING = re.compile(r"[+~]*[A-Za-z_][\w.\[\]]*=")
MACHINE = "machine="
FEW_TO_LEARN = 20
"""With fewer it is said; it can be tried all the same."""

FEW_TO_TEST = 20
"""With fewer, a synapse is more than 5 % of the score."""


def init(words: Sequence[str]) -> None:
    """Look at files and write a config for them.

    Args:
        words: Files, and `key=value` for the keys of `InitFiles`.

    Raises:
        ConfigError: A setting is wrong, or the config is there already.
        DataError: What is wrong with the files, or cannot be told from them.
    """
    settings = read_init_settings(words)
    use_threads(settings.system.num_threads)
    groups = find_groups(settings)
    require_sizes(groups, settings.resolution)
    labels = _read_labels(with_joined(groups, settings), settings)
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
        remedy = "Name one for each image, in the same order."
        if settings.joined:
            remedy = "Two masks to be joined, and their image, are named without image= and label=."
        yield Fault("label", problem, remedy)
    if not settings.output.endswith((".yaml", ".yml")):
        yield Fault("output", f"{settings.output} is no YAML file.", "Name it so: my.yaml.")


def _read_labels(groups: Sequence[Group], settings: InitFiles) -> list[Labels]:
    """What the labels hold, and that one network can learn from all of them."""
    found, faults = [], []
    for group in groups:
        if group.label is None:
            continue
        volume = LabelledVolume(
            group.image.name,
            placed(group),
            label=group.label,
            mask=group.mask,
            neurons=group.neurons,
        )
        labels = inspect_labels(volume, settings.encoding)
        found.append(labels)
        faults += _label_faults(labels)
    if faults:
        raise DataError.of(faults)
    sides = {labels.sided for labels in found}
    if len(sides) > 1:
        listed = "".join(f"\n    {one.source}  {STORED_AS[one.encoding]}" for one in found)
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
        yield Fault(labels.source, problem, remedy)
    elif labels.encoding == "auto":
        problem = "labels no synapse, so that nothing tells how they would be stored."
        remedy = "Leave the volume out here; the config may name it afterwards, in data.train."
        yield Fault(labels.source, problem, remedy)
    elif labels.sided and not (labels.odd and labels.even):
        missing = "pre (odd numbers)" if labels.even else "post (even numbers)"
        problem = f"has no {missing}, and is read as {labels.encoding}."
        yield Fault(labels.source, problem, "If it has no sides: encoding=instance or binary.")


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
        print(f"init: {one.image}: image, {size_text(volume.shape)} voxels of {size} nm (z, y, x)")
        marks = ", with CREMI's marks" if one.marks.background is not None else ""
        print(
            f"init: {one.source}: its labels, {one.encoding}{marks} ({STORED_AS[one.encoding]}); "
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
    _print_shared_out(choices)
    for fault in oddities([one.volume for one in labels], sided=labels[0].sided):
        print(f"init: odd: {fault}")


def _print_shared_out(choices: Choices) -> None:
    """Say how many synapses are left for each use, and where that is few."""
    found = choices.shared_out
    for use, count in found.items():
        print(f"init: to {use}: {count}")
    if (learned := found["learn from"].number) < FEW_TO_LEARN:
        print(
            f"init: few: {learned} to learn from. Label more, or name another volume with labels "
            "beside it."
        )
    if 0 < (tested := found["test on"].number) < FEW_TO_TEST:
        more = (
            "A second volume with test in its name is tested on as a whole."
            if choices.division.tested
            else "Label more to test on."
        )
        print(
            f"init: few: {tested} to test on, so that one found or missed moves a score by "
            f"{1 / tested:.0%}. {more}"
        )


def _write(output: str, text: str) -> None:
    """Write the config once it is known to load, in both stages."""
    with atomic_path(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
        for mode in ("train", "test"):
            read_config(temporary, mode=mode, torch=False)
        if Path(output).exists():
            raise ConfigError(f"output={output}", "is there already.", "Choose another name.")
