"""Whether splits share sections that have to be apart, found before a voxel is read."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from connectomics.config.schema import DataSection, SplitSection
from connectomics.data.holding_back import divide
from connectomics.data.io import open_volume
from connectomics.data.io.location import format_of, parse_location
from connectomics.data.io.sections import find_sections
from connectomics.errors import DataError, Fault
from connectomics.geometry import Triple


class Stack(NamedTuple):
    """The sections of one volume of a split.

    Attributes:
        name: As the config names the volume.
        shape: (Z, Y, X) of the part that the split takes.
        sections: Which section of which file on disk (or of which phantom) each is, in order.
            Links to a file are that file.
        first: The number of the first section.
    """

    name: str
    shape: Triple
    sections: tuple[Hashable, ...]
    first: int


def overlap_faults(section: DataSection) -> list[Fault]:
    """Find the volumes to validate on that share sections with volumes to test on.

    Where validation volumes are held back from those of training, it is the part held back that
    counts. A test volume is taken to be whole in y and x, as it always is.

    Args:
        section: Whose volumes to validate on are there, see `validation_faults`. A test volume
            that is not there is no other's.

    Raises:
        DataError: There is no room to hold anything back.
    """
    tested = _numbers(_stacks(section.test, missing_ok=True))
    where = "data.train" if section.val is None else "data.val"
    held = ", held back for validation," if section.val is None else ""
    return [
        Fault(
            where,
            f"{_named(shared, stack.name + held)} also in data.test.",
            "Tuned on what is tested, settings score better than they are. Validate on "
            "other volumes, data.val, or other sections, z_range.",
        )
        for stack in _validated(section)
        if (shared := _shared(stack, tested))
    ]


def learned_faults(split: SplitSection | None, where: str, training: DataSection) -> list[Fault]:
    """Find the volumes of a split that share sections with those a network learned from.

    Volumes that are not there are no other's.

    Args:
        split: Volumes to validate or to test on.
        where: Its place in the config, such as "data.val".
        training: The section that the network is trained with.
    """
    learned = _numbers(_learned(training))
    return [
        Fault(
            where,
            f"{_named(shared, stack.name)} also learned from.",
            "A network does better on what it learned from than on anything new. Name other "
            "volumes, or other sections, z_range.",
        )
        for stack in _stacks(split, missing_ok=True)
        if (shared := _shared(stack, learned))
    ]


def training_notes(split: SplitSection, training: DataSection) -> list[str]:
    """Say of each volume of a split what training has seen of it.

    Args:
        split: Volumes to score; all are there.
        training: The section that the network was trained with. Of its volumes, those that are no
            longer there count as no other's.

    Returns:
        One text per volume, empty where training has seen none of its sections.
    """
    uses = {
        "learned from": _numbers(_learned(training)),
        "validated on": _numbers(_validated(training, missing_ok=True)),
    }
    notes = []
    for stack in _stacks(split):
        seen = [
            f"{use} {len(shared)}"
            for use, sections in uses.items()
            if (shared := _shared(stack, sections))
        ]
        of = f"of its {len(stack.sections)} sections, so this is no held-out score"
        notes.append(f"training {' and '.join(seen)} {of}" if seen else "")
    return notes


def _shared(stack: Stack, others: Mapping[Hashable, int]) -> list[int]:
    """The numbers of the sections that are also among others."""
    return sorted({number for key, number in _numbers([stack]).items() if key in others})


def _named(sections: list[int], of: str) -> str:
    if len(sections) == 1:
        return f"section {sections[0]} of {of} is"
    return f"{len(sections)} sections ({sections[0]} to {sections[-1]}) of {of} are"


def _validated(section: DataSection, *, missing_ok: bool = False) -> Iterator[Stack]:
    """What is validated on: volumes of their own, or what is held back from training."""
    if section.val is not None:
        yield from _stacks(section.val, missing_ok=missing_ok)
        return
    for stack, _, first in _divided(section, missing_ok=missing_ok):
        yield stack._replace(sections=stack.sections[first:], first=stack.first + first)


def _learned(section: DataSection) -> Iterator[Stack]:
    """What is learned from; where rows are held back, that is a part of every section."""
    for stack, stop, _ in _divided(section, missing_ok=True):
        yield stack._replace(sections=stack.sections[:stop])


def _divided(section: DataSection, *, missing_ok: bool) -> Iterator[tuple[Stack, int, int]]:
    """Each volume of training, how many sections are learned from, and the first held back."""
    size, fraction, gap = section.dataloader.patch_size, section.val_fraction, section.val_gap
    for stack in _stacks(section.train, missing_ok=missing_ok):
        stop = first = stack.shape[0]
        try:
            if section.val is None:
                learned, held, _ = divide(stack.name, stack.shape, size, fraction, gap)
                stop, first = learned.stop[0], held.start[0]
        except DataError:
            if not missing_ok:
                raise
        yield stack, stop, first


def _stacks(split: SplitSection | None, *, missing_ok: bool = False) -> Iterator[Stack]:
    if split is None:
        return
    if split.phantom is not None:
        phantom = split.phantom
        name = f"the phantom of seed {phantom.seed}"
        yield _cut(name, phantom.shape, [(name, z) for z in range(phantom.shape[0])], split)
    for source in split.image or ():
        try:
            yield _stack(source, split)
        except DataError:
            if not missing_ok:
                raise


def _stack(source: str, split: SplitSection) -> Stack:
    location = parse_location(source)
    with open_volume(source) as volume:
        depth, height, width = volume.shape
        dataset = volume.dataset
    match format_of(location):
        case "sections":
            sections: list[Hashable] = [_file(path) for path in find_sections(location)]
        case "remote":
            sections = [(location.url, dataset, z) for z in range(depth)]
        case (
            "zarr" | "n5" | "precomputed"
        ):  # every array is a folder of its own, however the store is named
            array = _file(location.path / dataset)
            sections = [(array, z) for z in range(depth)]
        case _:
            file = _file(location.path)
            sections = [(file, dataset, z) for z in range(depth)]
    return _cut(source, (depth, height, width), sections, split)


def _cut(name: str, shape: Triple, sections: list[Hashable], split: SplitSection) -> Stack:
    first, stop = split.z_range or (0, shape[0])
    kept = tuple(sections[first:stop])
    return Stack(name, (len(kept), *shape[1:]), kept, first)


def _file(path: Path) -> Hashable:
    """What a file is, whatever path or link leads to it."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def _numbers(stacks: Iterator[Stack] | list[Stack]) -> Mapping[Hashable, int]:
    """The number of every section in its volume."""
    return {key: s.first + i for s in stacks for i, key in enumerate(s.sections)}
