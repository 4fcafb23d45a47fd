"""Which labels belong to which image, by shape, place and name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectomics.data.alignment import alignment_faults
from connectomics.data.io import LazyVolume
from connectomics.data.io.header import size_text
from connectomics.data.io.location import SEPARATOR
from connectomics.data.recognition import Recognised, own_words
from connectomics.errors import DataError, Fault

PAIRS = "Say which belong together, in pairs: image=[A.h5,B.h5] label=[C.h5,D.h5]."
NEARLY = 2
"""Voxels along an axis. Shapes that differ by no more belong together, and one lacks something."""

OPTIONAL = ("mask", "neurons")


@dataclass(frozen=True)
class Group:
    """An image and what lies on it, None where there is none.

    Attributes:
        image: The image.
        label: Synapses.
        pre: A mask of pre sides alone.
        post: A mask of post sides alone.
        mask: 0 where voxels do not count.
        neurons: A segmentation of neurons.
    """

    image: LazyVolume
    label: LazyVolume | None = None
    pre: LazyVolume | None = None
    post: LazyVolume | None = None
    mask: LazyVolume | None = None
    neurons: LazyVolume | None = None


def pair(found: Sequence[Recognised]) -> list[Group]:
    """Put images together with what lies on them, in the order of the images.

    A volume belongs to an image that covers the same voxels by all that the files say. Of several
    such, it is the one whose name has most in common with its own, in the same file before others.

    Raises:
        DataError: There is no image, or labels have none, or several fit equally well.
    """
    images = [one.volume for one in found if one.kind == "image"]
    if not images:
        listed = "".join(f"\n    {one.volume.source}  {one.why}" for one in found)
        remedy = "Name the EM too, or say which it is: image=FILE label=FILE."
        raise DataError("--init", f"none of these is an image:{listed}", remedy)
    faults: list[Fault] = []
    parts: list[dict[str, list[Recognised]]] = [{} for _ in images]
    for one in found:
        if one.kind in ("image", "other", "unclear"):
            continue
        fitting = [n for n, image in enumerate(images) if _fits(one.volume, image)]
        best = _nearest(one.volume, {n: images[n] for n in fitting})
        if len(best) > 1:
            listed = ", ".join(images[n].source for n in best)
            problem = f"fits {listed} by its shape, and its name does not say which."
            faults.append(Fault(one.volume.source, problem, PAIRS))
        elif best:
            parts[best[0]].setdefault(one.kind, []).append(one)
        elif one.kind not in OPTIONAL:
            faults.append(_nothing_fits(one.volume, images))
    groups = []
    for image, held in zip(images, parts, strict=True):
        faults += [
            _too_many(image, kind, held[kind]) for kind in held if len(_best(held[kind])) > 1
        ]
        groups.append(Group(image, **{kind: _best(held[kind])[0].volume for kind in held}))
    if faults:
        raise DataError.of(dict.fromkeys(faults))
    return groups


def _fits(volume: LazyVolume, image: LazyVolume) -> bool:
    return not alignment_faults({"image": image, "other": volume})


def _nearest(volume: LazyVolume, images: dict[int, LazyVolume]) -> list[int]:
    """The numbers of the images whose names have most in common with a volume's."""
    words, file = own_words(volume.source), volume.source.partition(SEPARATOR)[0]

    def nearness(image: LazyVolume) -> float:
        theirs = own_words(image.source)
        shared = len(words & theirs) / len(words | theirs) if words | theirs else 1.0
        return shared + 2 * (image.source.partition(SEPARATOR)[0] == file)

    scores = {number: nearness(image) for number, image in images.items()}
    return [n for n, score in scores.items() if score == max(scores.values())]


def _best(parts: Sequence[Recognised]) -> Sequence[Recognised]:
    """Of several labels, those that are named after synapses, if any is."""
    return [part for part in parts if part.is_named_synapses] or parts


def _too_many(image: LazyVolume, kind: str, parts: Sequence[Recognised]) -> Fault:
    sources = [part.volume.source for part in _best(parts)]
    listed = "".join(f"\n    {source}" for source in sources)
    problem = f"{len(sources)} volumes may be its {kind}:{listed}"
    remedy = f"Name the one that is meant: image={image.source} label={sources[0]}"
    return Fault(image.source, problem, remedy)


def _nothing_fits(volume: LazyVolume, images: Sequence[LazyVolume]) -> Fault:
    """Why labels fit no image, by what comes nearest."""
    shape = volume.shape
    for image in images:
        if image.shape == shape:
            return alignment_faults({"its.image": image, "label": volume})[0]
        if image.shape == shape[::-1]:
            problem = (
                f"has shape {size_text(shape)}, {image.source} {size_text(image.shape)}: one of "
                "them is in the order (x, y, z)."
            )
            remedy = "Both have to be (z, y, x); an attribute axes: 'xyz' of a dataset says so."
            return Fault(volume.source, problem, remedy)
    for image in images:
        apart = [abs(here - there) for here, there in zip(shape, image.shape, strict=True)]
        if all(n <= min(NEARLY, there / 10) for n, there in zip(apart, image.shape, strict=True)):
            problem = (
                f"has {size_text(shape)} voxels, and {image.source} {size_text(image.shape)}: all "
                f"but the same. Were sections or edges of one of them left out?"
            )
            remedy = (
                "Both have to cover the same voxels: cut the larger one, or fill the labels up "
                "with 0. Only who made them knows at which end."
            )
            return Fault(volume.source, problem, remedy)
    listed = "".join(f"\n    {image.source}  {size_text(image.shape)}" for image in images)
    problem = f"is labels of {size_text(shape)} voxels without an image. The images are{listed}"
    return Fault(volume.source, problem, "Name its image too, or leave it out.")
