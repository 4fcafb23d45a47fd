"""What can be wrong with the volumes of a run, found before a voxel is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from connectomics.config.schema import DataSection, PhantomSection, SplitSection
from connectomics.config.signatures import check_kwargs
from connectomics.data.io import LazyVolume, open_volume
from connectomics.errors import DataError, Fault
from connectomics.geometry import Triple

Mode = Literal["train", "infer", "decode", "evaluate", "test", "tune"]


def check_data(section: DataSection, mode: Mode, *, evaluates: bool = True) -> list[Fault]:
    """Find what is wrong with targets, augmentation and files, without reading a voxel.

    Args:
        section: The whole section.
        mode: Which stage will run; "decode" needs no volume.
        evaluates: Whether "test" compares with ground truth.

    Returns:
        Every fault of every volume that the stage will open.
    """
    if mode == "train":
        return [*check_settings(section), *training_faults(section)]
    if mode == "decode":
        return []
    labelled = mode in ("evaluate", "tune") or (mode == "test" and evaluates)
    return split_faults(section.test, "data.test", labelled=labelled)


def check_settings(section: DataSection) -> list[Fault]:
    """Find targets and augmentations, or settings of them, that do not exist."""
    from connectomics.data.augmentation import check_augmentation
    from connectomics.data.processing.build import check_targets

    return [
        *check_targets(section.label_transform.targets),
        *check_augmentation(section.augmentation),
    ]


def training_faults(section: DataSection) -> list[Fault]:
    """Find what is wrong with the volumes to learn from and those to validate on."""
    size = section.dataloader.patch_size
    faults = split_faults(section.train, "data.train", patch_size=size, labelled=True)
    if section.val is not None:
        faults += split_faults(section.val, "data.val", patch_size=size, labelled=True)
    return faults


def split_faults(
    split: SplitSection | None,
    where: str,
    *,
    patch_size: Triple | None = None,
    labelled: bool = False,
) -> list[Fault]:
    """Find what is wrong with the volumes of one split.

    Args:
        split: The section, or None where the config has none.
        where: Its place in the config.
        patch_size: What every volume has to hold, `(z, y, x)`.
        labelled: Whether ground truth is needed.
    """
    if split is None or (split.image is None and split.phantom is None):
        remedy = f"Name the files, {where}.image=FILE, or ask for a phantom, {where}.phantom={{}}."
        return [Fault(where, "no volumes are given.", remedy)]
    if split.phantom is not None:
        return _phantom_faults(split, split.phantom, where, patch_size)
    assert split.image is not None
    if labelled and split.label is None:
        return [Fault(f"{where}.label", "is missing.", "Name one label file per image.")]
    faults = []
    for files in files_of(split):
        faults += _volume_faults(split, files, where, patch_size)
    return faults


def _phantom_faults(
    split: SplitSection, phantom: PhantomSection, where: str, patch_size: Triple | None
) -> list[Fault]:
    from connectomics.data.phantom import make_phantom

    place = f"{where}.phantom"
    kwargs = check_kwargs(f"{place}.kwargs", make_phantom, phantom.kwargs, skip=("shape", "seed"))
    return kwargs + _extent_faults(split, place, phantom.shape, where, patch_size)


def _volume_faults(
    split: SplitSection, files: dict[str, str], where: str, patch_size: Triple | None
) -> list[Fault]:
    """What is wrong with one image and what belongs to it."""
    faults: list[Fault] = []
    opened: dict[str, LazyVolume] = {}
    for name, path in files.items():
        try:
            volume = open_volume(path, resolution=split.resolution)
        except DataError as error:
            faults += error.faults
            continue
        opened[name] = volume
        if len(volume.shape) != 3:
            problem = f"has shape {volume.shape}, where {where}.{name} is a (Z, Y, X) volume."
            faults.append(Fault(path, problem, "Save one channel alone, or name its dataset."))
        volume.close()
    if faults:
        return faults
    image = opened["image"]
    for name, volume in opened.items():
        if volume.shape != image.shape:
            problem = f"has shape {volume.shape}, its image {files['image']} {image.shape}."
            faults.append(Fault(files[name], problem, "Both must cover the same voxels."))
    if "label" in opened and opened["label"].dtype.kind not in "biu":
        problem = f"holds {opened['label'].dtype}; labels must be integers."
        faults.append(Fault(files["label"], problem, "Save them as integers, such as uint16."))
    return faults or _extent_faults(split, files["image"], image.shape, where, patch_size)


def _extent_faults(
    split: SplitSection, name: str, shape: Sequence[int], where: str, patch_size: Triple | None
) -> list[Fault]:
    """Whether a volume has the sections that are wanted of it, and these hold a patch."""
    first, stop = split.z_range or (0, shape[0])
    if not first < stop <= shape[0]:
        problem = f"[{first}, {stop}] is no range of the {shape[0]} sections of {name}."
        remedy = "Give the first section and the one past the last."
        return [Fault(f"{where}.z_range", problem, remedy)]
    extent = (stop - first, *shape[1:])
    if patch_size is None or all(p <= n for p, n in zip(patch_size, extent, strict=True)):
        return []
    problem = f"{extent} voxels hold no patch of {patch_size} (z, y, x)."
    return [Fault(name, problem, "Reduce data.dataloader.patch_size.")]


def files_of(split: SplitSection) -> Iterator[dict[str, str]]:
    """The files of each volume by name: image and, where given, label and mask."""
    named = {"image": split.image, "label": split.label, "mask": split.mask}
    given = {name: paths for name, paths in named.items() if paths is not None}
    for paths in zip(*given.values(), strict=True):
        yield dict(zip(given, paths, strict=True))
