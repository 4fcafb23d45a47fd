"""Which folder of results is of which volume.

Probabilities and labels say what they were made from (`CacheKey`): the voxels of the volume, the
settings, the code. A stage that finds its result made from just that leaves it. What is of
another volume is never taken for it, whatever the folder is called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from connectomics.config.schema import SplitSection
from connectomics.data.build import find_images, open_split
from connectomics.data.checks import names_neurons
from connectomics.data.identity import Identity, canonical, identify
from connectomics.data.io import LazyVolume
from connectomics.data.io.header import Resolution
from connectomics.data.io.location import parse_location
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import DataError
from connectomics.naming import folder_names
from connectomics.pipeline.artifact import known_volumes
from connectomics.pipeline.results import FILES_REMEDY, LABELS, PROBABILITIES, VolumeResults


@dataclass(frozen=True)
class Asked:
    """A volume whose results are asked for.

    Attributes:
        name: Its folder is named after it.
        source: As the user wrote it.
        image: None where the volume is not there any more, and only its results are.
        ranges: What is asked for of it along z, y and x, as a split says it.
        neurons: Its neuron segmentation, where there is one.
        resolution: nm per voxel (z, y, x), where neither the volume nor its results say.
    """

    name: str
    source: str
    image: LazyVolume | None = None
    ranges: tuple[tuple[int, int] | None, ...] = (None, None, None)
    neurons: LazyVolume | None = None
    resolution: Resolution | None = None

    def describe(self, known: Identity | None = None) -> str:
        """Name it, with the part that it is where that is known."""
        return self.source if self.image is None else identify(self.image, known).describe()


def ask(volume: LabelledVolume, split: SplitSection | None = None) -> Asked:
    """Ask for the results of an open volume, of the split that names it."""
    image, neurons = volume.image, volume.neurons
    assert isinstance(image, LazyVolume)
    return Asked(
        volume.name,
        image.source,
        image,
        neurons=neurons if isinstance(neurons, LazyVolume) else None,
        resolution=split.resolution if split else None,
    )


def asked_of(split: SplitSection | None) -> list[Asked]:
    """The volumes that a split names, whether they are there or not.

    Raises:
        DataError: One is there, and something is wrong with it.
    """
    if split is None:
        return []
    opened = open_split(split, "data.test") if names_neurons(split) else []
    neurons = {one.source: one.neurons for one in map(ask, opened)}
    return [
        Asked(*found, split.ranges, neurons.get(found[1]), split.resolution)
        for found in find_images(split, "data.test")
    ]


def results_of_volumes(
    parent: Path, volumes: Sequence[LabelledVolume]
) -> list[tuple[LabelledVolume, VolumeResults]]:
    """Give each volume the folder of its results, see `folders_of`."""
    return list(zip(volumes, folders_of(parent, [ask(one) for one in volumes]), strict=True))


def folders_of(parent: Path, asked: Sequence[Asked]) -> list[VolumeResults]:
    """Give each volume the folder of its results, there or to be made.

    Where results are of the volume, that is the one, whatever it is called and whatever other
    volumes are asked for. Else it is a new one, named after the volume; or one of that name
    whose results do not say which volume they are of.
    """
    there = _known_results(parent)
    chosen: dict[int, VolumeResults] = {}
    for is_of in (_is_at, _is_same):
        for i, one in enumerate(asked):
            free = (found for found in there if i not in chosen and found not in chosen.values())
            found = [found for found in free if is_of(there[found], one)]
            if found:  # a part that begins where the volume does may be of it, too
                chosen[i] = max(found, key=lambda results: math.prod(there[results].shape))
    rest = [i for i in range(len(asked)) if i not in chosen]
    taken = [results.folder.name for results in there]
    new = _folders(parent, [asked[i].name for i in rest], taken)
    return [results for _, results in sorted([*chosen.items(), *zip(rest, new, strict=True)])]


def _folders(parent: Path, names: Sequence[str], taken: Sequence[str] = ()) -> list[VolumeResults]:
    return [VolumeResults(parent / name) for name in folder_names(names, taken)]


def _known_results(parent: Path) -> dict[VolumeResults, Identity]:
    """The folders with results, or begun ones, that say of which volume, and that volume."""
    known = {}
    for folder in sorted(parent.glob("*/"), key=lambda path: (len(path.name), path.name)):
        results = VolumeResults(folder)
        for name in (PROBABILITIES, LABELS):
            volumes = known_volumes(results.first, results.in_progress(name))
            if "image" in volumes:
                known[results] = volumes["image"]
    return known


def _is_at(known: Identity, asked: Asked) -> bool:
    """Whether results are of the place asked for, whatever is there by now."""
    path, dataset = canonical(asked.source), parse_location(asked.source).dataset
    if str(path) != known.path or dataset not in (None, known.dataset):
        return False
    if asked.image is not None:
        part = (asked.image.origin, asked.image.shape)
        return (
            part == (known.origin, known.shape) and asked.image.dataset.strip("/") == known.dataset
        )
    return all(
        first == 0 if given is None else given == (first, first + length)
        for given, first, length in zip(asked.ranges, known.origin, known.shape, strict=True)
    )


def _is_same(known: Identity, asked: Asked) -> bool:
    """Whether results are of the voxels asked for, wherever these were then."""
    image = asked.image
    if image is None or (image.shape, image.dtype.name) != (known.shape, known.dtype):
        return False
    return identify(image, known).content == known.content


def existing_results(
    parent: Path, asked: Sequence[Asked], *, all_of_them: bool = False
) -> list[tuple[Asked, VolumeResults]]:
    """Find the results of volumes.

    Args:
        parent: The folder of all results.
        asked: The volumes; where none are, all that have probabilities.
        all_of_them: Whether each must have results, if only labels; otherwise one must have
            probabilities, and it is said which have none.

    Raises:
        DataError: Some, or all, have none.
    """
    there = [results for results in map(VolumeResults, sorted(parent.glob("*/"))) if results.made()]
    if not asked:
        asked = [Asked(results.folder.name, str(results.folder)) for results in there]
        pairs = list(zip(asked, there, strict=True))
    else:
        pairs = list(zip(asked, folders_of(parent, asked), strict=True))
    found = [
        (one, results)
        for one, results in pairs
        if results.probabilities.exists() or (all_of_them and results.labels.exists())
    ]
    missing = [pair for pair in pairs if pair not in found]
    if not found or (all_of_them and missing):
        problem = "holds no probabilities."
        if there:
            wanted = ", ".join(one.describe() for one, _ in missing)
            others = ", ".join(results.describe() for results in there)
            problem = f"holds no probabilities of {wanted} (data.test), only of {others}."
        remedy = f"Make them first with --mode infer, or all with --mode test.\n{FILES_REMEDY}"
        raise DataError(str(parent), problem, remedy)
    for one, results in missing:
        print(f"  {results.probabilities} is not there; make it with --mode infer ({one.source})")
    return found
