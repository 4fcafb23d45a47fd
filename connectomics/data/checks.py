"""What can be wrong with the volumes of a run, found before a voxel is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from connectomics.config.schema import DataSection, PhantomSection, SplitSection
from connectomics.data.alignment import alignment_faults, warn_of_range, warn_of_sites
from connectomics.data.annotations import annotation_faults
from connectomics.data.cache_key import DIGEST
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.header import Gaps
from connectomics.data.overlap import overlap_faults
from connectomics.data.phantoms import phantom_faults
from connectomics.data.processing.labels import whole_numbers
from connectomics.data.settings import check_settings
from connectomics.data.survey import sample
from connectomics.errors import DataError, Fault, warn
from connectomics.geometry import Triple

VOLUMES = ("image", "label", "mask", "neurons")
"""What a split may name that lies on the grid of its image."""

Mode = Literal["train", "infer", "decode", "evaluate", "test", "tune"]


def check_data(section: DataSection, mode: Mode, *, evaluates: bool = True) -> list[Fault]:
    """Find what is wrong with targets, augmentation and files, without reading a voxel.

    Args:
        section: The whole section.
        mode: Which stage will run; "decode" needs no volume unless it is to know the neurons.
        evaluates: Whether "test" compares with ground truth.

    Returns:
        Every fault of every volume that the stage will open.
    """
    if mode == "train":
        return [*check_settings(section), *training_faults(section)]
    if mode == "tune":
        return validation_faults(section) or overlap_faults(section)
    if mode == "decode" and not names_neurons(section.test):
        return []
    labelled = mode == "evaluate" or (mode == "test" and evaluates)
    return split_faults(section.test, "data.test", labelled=labelled)


def names_neurons(split: SplitSection | None) -> bool:
    """Whether decoding is to know the neurons of the volumes of a split."""
    if split is None:
        return False
    return split.neurons is not None or (split.phantom is not None and split.phantom.neurons)


def training_faults(section: DataSection) -> list[Fault]:
    """Find what is wrong with the volumes to learn from and those to validate on."""
    size = section.dataloader.patch_size
    faults = split_faults(section.train, "data.train", patch_size=size, labelled=True)
    if section.val is not None:
        faults += split_faults(section.val, "data.val", patch_size=size, labelled=True)
    return faults


def validation_faults(section: DataSection) -> list[Fault]:
    """Find what is wrong with the volumes to validate on, given or held back from training."""
    if faults := unnamed_validation(section):
        return faults
    if section.val is not None:
        return split_faults(section.val, "data.val", labelled=True)
    size = section.dataloader.patch_size
    return split_faults(section.train, "data.train", patch_size=size, labelled=True)


def unnamed_validation(section: DataSection) -> list[Fault]:
    """Find what of the volumes to validate on is not named, without looking for the files."""
    if section.val is not None:
        return _unnamed(section.val, "data.val", labelled=True)
    if section.train is not None:
        return _unnamed(section.train, "data.train", labelled=True)
    problem = "no volumes are given, nor volumes of training to hold some back from."
    remedy = "Name labelled ones: data.val.image=FILE data.val.label=FILE."
    return [Fault("data.val", problem, remedy)]


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
    faults = _unnamed(split, where, labelled=labelled)
    if faults or split is None:
        return faults
    if split.phantom is not None:
        return _phantom_faults(split, split.phantom, where, patch_size)
    for files in files_of(split):
        faults += _volume_faults(split, files, where, patch_size)
    return faults


def _unnamed(split: SplitSection | None, where: str, *, labelled: bool) -> list[Fault]:
    if split is None or (split.image is None and split.phantom is None):
        remedy = f"Name the files, {where}.image=FILE, or ask for a phantom, {where}.phantom={{}}."
        return [Fault(where, "no volumes are given.", remedy)]
    if labelled and split.phantom is None and split.label is None:
        return [Fault(f"{where}.label", "is missing.", "Name one label file per image.")]
    return []


def _phantom_faults(
    split: SplitSection, phantom: PhantomSection, where: str, patch_size: Triple | None
) -> list[Fault]:
    place = f"{where}.phantom"
    settings = phantom_faults(phantom, place)
    return settings + _extent_faults(split, place, phantom.shape, where, patch_size)


def _volume_faults(
    split: SplitSection, files: dict[str, str], where: str, patch_size: Triple | None
) -> list[Fault]:
    """What is wrong with one image and what belongs to it."""
    volumes = {f"{where}.{name}": path for name, path in files.items() if name in VOLUMES}
    integers = [f"{where}.{name}" for name in ("label", "neurons")]
    opened, faults = open_on_one_grid(volumes, resolution=split.resolution, integers=integers)
    if "annotations" in files:
        faults += annotation_faults(files["annotations"])
    if faults:
        return faults
    image = opened[f"{where}.image"]
    if "annotations" in files:
        warn_of_sites(files["annotations"], image)
    if split.z_range is not None:
        warn_of_range(f"{where}.z_range", split.z_range, image)
    shape = image.shape
    return _extent_faults(split, files["image"], shape, where, patch_size)


def open_on_one_grid(
    files: Mapping[str, str],
    *,
    resolution: tuple[float, float, float] | None = None,
    integers: Collection[str] = (),
) -> tuple[dict[str, LazyVolume], list[Fault]]:
    """Open volumes that must cover the same voxels, and find all that is wrong with them.

    Args:
        files: Paths by what messages call them, such as `data.test.label`. The first has the
            shape, place and voxel size that the others must have.
        resolution: nm per voxel (z, y, x) where the files do not say.
        integers: Which of them hold labels or ids.

    Returns:
        What could be opened, closed again until it is read, and the faults.
    """
    opened: dict[str, LazyVolume] = {}
    faults: list[Fault] = []
    for name, path in files.items():
        try:
            volume = open_volume(path, resolution=resolution)
        except DataError as error:
            faults += [_keyed(fault, name, path) for fault in error.faults]
            continue
        opened[name] = volume
        if len(volume.shape) != 3:
            problem = f"has shape {volume.shape}, where {name} is a (Z, Y, X) volume."
            faults.append(Fault(path, problem, "Save one channel alone, or name its dataset."))
        elif name in integers and volume.dtype.kind == "f":
            faults += _fraction_faults(volume)
        elif volume.loss and not name.endswith("image"):
            problem = f"{volume.loss}: its numbers are no labels."
            remedy = "Write the numbers that are meant as PNG, HDF5, Zarr or plain TIFF (zlib)."
            faults.append(Fault(path, problem, remedy))
        elif volume.gaps:
            faults += _gap_faults(
                path,
                volume.gaps,
                is_image=name.endswith("image"),
                is_result=DIGEST in volume.attributes,
            )
        volume.close()
    first = next(iter(files))
    if faults or first not in opened:
        return opened, faults
    return opened, faults + alignment_faults(opened)


def _keyed(fault: Fault, name: str, path: str) -> Fault:
    """A fault of a file, at the key of the config that names the file, where one does."""
    if not name.startswith("data.") or not fault.where.startswith(path):
        return fault
    return replace(fault, where=name, problem=f"{fault.where}: {fault.problem}")


def _fraction_faults(volume: LazyVolume) -> list[Fault]:
    """Labels and ids may be stored as floats where they are whole numbers."""
    try:
        whole_numbers(sample(volume).values, volume.source)
    except DataError as error:
        return list(error.faults)
    return []


def _gap_faults(path: str, gaps: Gaps, *, is_image: bool, is_result: bool) -> list[Fault]:
    """What is not there reads as empty: common in labels, and seldom meant in an image.

    Results that were made here hold every block, however empty.
    """
    if is_result:
        problem = f"has lost blocks, which would be read as 0: {gaps}."
        return [Fault(path, problem, "Make it anew, or copy it again.")]
    nothing = gaps.missing >= gaps.of
    if not (is_image or nothing or gaps.fill):
        return []
    read_as = "if they were black" if is_image and not gaps.fill else f"{gaps.fill:g}"
    holds = "holds nothing: " if nothing and not is_image else ""
    problem = f"{holds}{gaps} were never written, and are read as {read_as}."
    remedy = "If they are not meant to be empty, copy or download it again."
    if is_image and nothing:
        return [Fault(path, problem, remedy)]
    warn(path, problem, remedy)
    return []


def _extent_faults(
    split: SplitSection, name: str, shape: Sequence[int], where: str, patch_size: Triple | None
) -> list[Fault]:
    """Whether a volume has the part that is wanted of it, and this holds a patch."""
    if 0 in shape:
        return [Fault(name, f"is empty: its shape is {tuple(shape)}.", "Check the file.")]
    named = zip("zyx", ("sections", "rows", "columns"), split.ranges, shape, strict=True)
    faults = [
        Fault(
            f"{where}.{axis}_range",
            f"{list(given)} is no range of the {length} {counted} of {name}.",
            "Give the first and the one past the last, counted from 0.",
        )
        for axis, counted, given, length in named
        if given and not given[0] < given[1] <= length
    ]
    if faults:
        return faults
    extent = split.box_in(shape).shape
    if patch_size is None or all(p <= n for p, n in zip(patch_size, extent, strict=True)):
        return []
    problem = f"{extent} voxels hold no patch of {patch_size} (z, y, x)."
    most = [min(p, n) for p, n in zip(patch_size, extent, strict=True)]
    remedy = f"Set data.dataloader.patch_size={most}, or smaller."
    if shape[0] > 2 * shape[2]:
        remedy += (
            " If it is stored as (x, y, z), say so: an attribute of its HDF5 or Zarr dataset, "
            "axes = 'xyz', for labels too."
        )
    return [Fault(name, problem, remedy)]


def files_of(split: SplitSection) -> Iterator[dict[str, str]]:
    """The files of each volume by name: image and, where given, the others."""
    named = {name: getattr(split, name) for name in (*VOLUMES, "annotations")}
    given = {name: paths for name, paths in named.items() if paths is not None}
    for paths in zip(*given.values(), strict=True):
        yield dict(zip(given, paths, strict=True))
