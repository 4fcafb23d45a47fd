"""Whether splits share voxels that have to be apart, found before one is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from connectomics.config.schema import DataSection, SplitSection
from connectomics.data.holding_back import divide
from connectomics.data.io import open_volume
from connectomics.data.io.location import format_of, parse_location
from connectomics.data.io.sections import find_sections
from connectomics.errors import DataError, Fault
from connectomics.geometry import Box, whole

ANOTHER_PART = "another part: z_range, y_range, x_range"


class Stack(NamedTuple):
    """The part of one volume that a split takes.

    Attributes:
        name: As the config names the volume.
        sections: Which section of which file on disk (or of which phantom) each section of the
            volume is, in order. Links to a file are that file.
        whole: Its sections as a whole.
        box: What of it the split takes.
    """

    name: str
    sections: Sequence[Hashable]
    whole: Box
    box: Box

    def part(self, box: Box) -> Stack:
        """What lies in a box of the part."""
        return self._replace(box=box.shift(self.box.start))

    def planes(self) -> Iterator[tuple[int, Hashable, Box]]:
        """Each section of the part: its number, which one it is on disk, and what is taken."""
        plane = Box((0, *self.box.start[1:]), (1, *self.box.stop[1:]))
        for z in range(self.box.start[0], self.box.stop[0]):
            yield z, self.sections[z], plane


Planes = Mapping[Hashable, Sequence[Box]]
"""What is taken of each section on disk."""


class Shared(NamedTuple):
    """What two splits share of a volume.

    Attributes:
        sections: Their numbers.
        partly: Whether that is only a part of one of them.
    """

    sections: list[int]
    partly: bool


def overlap_faults(section: DataSection) -> list[Fault]:
    """Find the volumes to validate on that share voxels with volumes to test on.

    Where validation volumes are held back from those of training, it is the part held back that
    counts.

    Args:
        section: Whose volumes to validate on are there, see `validation_faults`. A test volume
            that is not there is no other's.

    Raises:
        DataError: There is no room to hold anything back.
    """
    tested = _planes(_stacks(section.test, missing_ok=True))
    where = "data.train" if section.val is None else "data.val"
    held = ", held back for validation," if section.val is None else ""
    return [
        Fault(
            where,
            f"{_named(shared, stack.name + held)} also in data.test.",
            "Tuned on what is tested, settings score better than they are. Validate on "
            f"other volumes, data.val, or {ANOTHER_PART}.",
        )
        for stack in _validated(section)
        if (shared := _shared(stack, tested)).sections
    ]


def learned_faults(split: SplitSection | None, where: str, training: DataSection) -> list[Fault]:
    """Find the volumes of a split that share voxels with those a network learned from.

    Volumes that are not there are no other's.

    Args:
        split: Volumes to validate or to test on.
        where: Its place in the config, such as "data.val".
        training: The section that the network is trained with.
    """
    learned = _planes(_learned(training))
    return [
        Fault(
            where,
            f"{_named(shared, stack.name)} also learned from.",
            "A network does better on what it learned from than on anything new. Name other "
            f"volumes, or {ANOTHER_PART}.",
        )
        for stack in _stacks(split, missing_ok=True)
        if (shared := _shared(stack, learned)).sections
    ]


def training_notes(split: SplitSection, training: DataSection) -> list[str]:
    """Say of each volume of a split what training has seen of it.

    Args:
        split: Volumes to score; all are there.
        training: The section that the network was trained with. Of its volumes, those that are no
            longer there count as no other's.

    Returns:
        One text per volume, empty where training has seen nothing of it.
    """
    uses = {
        "learned from": _planes(_learned(training)),
        "validated on": _planes(_validated(training, missing_ok=True)),
    }
    notes = []
    for stack in _stacks(split):
        seen = [
            f"{use} {'parts of ' * shared.partly}{len(shared.sections)}"
            for use, planes in uses.items()
            if (shared := _shared(stack, planes)).sections
        ]
        of = f"of its {stack.box.shape[0]} sections, so this is no held-out score"
        notes.append(f"training {' and '.join(seen)} {of}" if seen else "")
    return notes


def _shared(stack: Stack, others: Planes) -> Shared:
    """The sections of which others have voxels, too."""
    found = [
        (z, shared)
        for z, section, plane in stack.planes()
        for other in others.get(section, ())
        if (shared := plane.shared_with(other)).size
    ]
    return Shared(sorted({z for z, _ in found}), any(box != stack.whole for _, box in found))


def _named(shared: Shared, of: str) -> str:
    sections, partly = shared
    if len(sections) == 1:
        return f"{'a part of ' * partly}section {sections[0]} of {of} is"
    numbers = f"{len(sections)} sections ({sections[0]} to {sections[-1]})"
    return f"{'parts of ' * partly}{numbers} of {of} are"


def _validated(section: DataSection, *, missing_ok: bool = False) -> Iterator[Stack]:
    """What is validated on: volumes of their own, or what is held back from training."""
    if section.val is not None:
        yield from _stacks(section.val, missing_ok=missing_ok)
        return
    for stack, _, held in _divided(section, missing_ok=missing_ok):
        if held is not None:
            yield stack.part(held)


def _learned(section: DataSection) -> Iterator[Stack]:
    """What is learned from."""
    for stack, learned, _ in _divided(section, missing_ok=True):
        yield stack.part(learned)


def _divided(section: DataSection, *, missing_ok: bool) -> Iterator[tuple[Stack, Box, Box | None]]:
    """Each volume of training, and what of it is learned from, and what is held back."""
    size, fraction, gap = section.dataloader.patch_size, section.val_fraction, section.val_gap
    for stack in _stacks(section.train, missing_ok=missing_ok):
        learned, held = whole(stack.box.shape), None
        try:
            if section.val is None:
                learned, held, _ = divide(stack.name, stack.box.shape, size, fraction, gap)
        except DataError:
            if not missing_ok:
                raise
        yield stack, learned, held


def _stacks(split: SplitSection | None, *, missing_ok: bool = False) -> Iterator[Stack]:
    if split is None:
        return
    if split.phantom is not None:
        phantom = split.phantom
        name = f"the phantom of seed {phantom.seed}"
        sections = [(name, z) for z in range(phantom.shape[0])]
        yield _taken(name, sections, phantom.shape, split)
    for source in split.image or ():
        try:
            yield _stack(source, split)
        except DataError:
            if not missing_ok:
                raise


def _stack(source: str, split: SplitSection) -> Stack:
    location = parse_location(source)
    with open_volume(source) as volume:
        shape, dataset = volume.shape[-3:], volume.dataset
    depth = range(shape[0])
    match format_of(location):
        case "sections":
            sections: list[Hashable] = [_file(path) for path in find_sections(location)]
        case "remote":
            sections = [(location.url, dataset, z) for z in depth]
        case (
            "zarr" | "n5" | "precomputed"
        ):  # every array is a folder of its own, however the store is named
            array = _file(location.path / dataset)
            sections = [(array, z) for z in depth]
        case _:
            file = _file(location.path)
            sections = [(file, dataset, z) for z in depth]
    return _taken(source, sections, shape, split)


def _taken(
    name: str, sections: Sequence[Hashable], shape: Sequence[int], split: SplitSection
) -> Stack:
    return Stack(name, sections, whole((1, *shape[1:])), split.box_in(shape).clip(shape))


def _file(path: Path) -> Hashable:
    """What a file is, whatever path or link leads to it."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def _planes(stacks: Iterable[Stack]) -> Planes:
    found = defaultdict[Hashable, list[Box]](list)
    for stack in stacks:
        for _, section, plane in stack.planes():
            found[section].append(plane)
    return found
