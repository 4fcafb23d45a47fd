"""From the `data` section to volumes, and from volumes to batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from connectomics.config.schema import (
    DataSection,
    ImageTransformSection,
    SplitSection,
)
from connectomics.data.checks import (
    VOLUMES,
    files_of,
    split_faults,
    training_faults,
    validation_faults,
)
from connectomics.data.holding_back import described, hold_back
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.location import is_there, parse_location
from connectomics.data.kept import Kept
from connectomics.data.phantoms import PHANTOM_PARTS, made_phantom, phantom_file
from connectomics.data.processing.grey_values import require_finite
from connectomics.data.processing.normalize import ImageStatistics, image_statistics
from connectomics.data.volumes import LabelledVolume, Volume
from connectomics.errors import DataError

if TYPE_CHECKING:
    from connectomics.data.datamodule import PatchDataModule


def open_split(split: SplitSection | None, where: str) -> list[LabelledVolume]:
    """Open the volumes of one split; a phantom is made first, if it was not before.

    Args:
        split: The section.
        where: Its place in the config, such as "data.test".

    Raises:
        DataError: Everything that is wrong with its files.
    """
    faults = split_faults(split, where)
    if faults or split is None:
        raise DataError.of(faults)
    return list(_open(split))


def find_images(split: SplitSection, where: str) -> Iterator[tuple[str, str, LazyVolume | None]]:
    """Find the images of a split, and open those that are there; nothing else has to be.

    Args:
        split: The section.
        where: Its place in the config, such as "data.test".

    Yields:
        The name of each, the file as the config names it, and the volume, None where there is no
        such file any more, or a phantom has not been made.

    Raises:
        DataError: Everything that is wrong with one that is there.
    """
    rest = dict.fromkeys(("label", "mask", "neurons", "annotations"))
    if split.phantom is not None:
        drawn = split.phantom.model_copy(update={"neurons": False})
        drawn_alone = split.model_copy(update={**rest, "phantom": drawn})
        parts = [(str(phantom_file(drawn)), drawn_alone)]
    else:
        parts = [
            (source, split.model_copy(update={**rest, "image": (source,)}))
            for source in split.image or ()
        ]
    for source, part in parts:
        if is_there(source):
            (volume,) = open_split(part, where)
            assert isinstance(volume.image, LazyVolume)
            yield volume.name, volume.image.source, volume.image
        elif split.phantom is not None:
            yield f"phantom_{split.phantom.seed}", source, None
        else:
            yield parse_location(source).name, source, None


class HeldOut(NamedTuple):
    """A volume to validate on.

    Attributes:
        volume: The volume, or the part of a volume that is held back from training.
        whole: The volume whose grey values it is measured by.
    """

    volume: LabelledVolume
    whole: LabelledVolume


def open_validation(section: DataSection) -> list[HeldOut]:
    """Open what training validates on: `data.val`, or what it holds back from `data.train`.

    Raises:
        DataError: Everything that is wrong with the files, or there is no room to hold back.
    """
    faults = validation_faults(section)
    if faults:
        raise DataError.of(faults)
    divided = section.train if section.val is None else None
    return _split_off(section, list(_open(divided)) if divided else [])[1]


def measure(
    volumes: Sequence[LabelledVolume],
    transform: ImageTransformSection,
    pooled: ImageStatistics | None = None,
    *,
    kept: Kept | None = None,
) -> list[ImageStatistics]:
    """Measure the grey values of volumes as `data.image_transform` says.

    Args:
        volumes: Read once, block by block.
        transform: The section.
        pooled: With `statistics: train`, those of the training volumes, from the checkpoint;
            None if these are the training volumes.
        kept: What is known already.

    Returns:
        Statistics for each volume, for `normalize`.

    Raises:
        DataError: An image holds NaN, or nothing at all.
    """
    kept = Kept() if kept is None else kept
    images = [volume.image for volume in volumes]
    if transform.statistics == "train":
        for image in images if pooled else ():
            require_finite(_readable(image))
        return [pooled or _measured(images, transform, kept)] * len(images)
    return [_measured([image], transform, kept) for image in images]


def _measured(
    images: Sequence[Volume], transform: ImageTransformSection, kept: Kept
) -> ImageStatistics:
    """The grey values of images that are taken as one."""
    ends = {
        "clip_percentile_low": transform.clip_percentile_low,
        "clip_percentile_high": transform.clip_percentile_high,
    }
    found = kept.find(
        "grey values",
        images,
        lambda: {
            name: np.array(value)
            for name, value in image_statistics([*map(_readable, images)], **ends).as_dict().items()
        },
        settings=ends,
        code=("data/processing/normalize.py", "data/processing/grey_values.py"),
    )
    return ImageStatistics.from_dict({name: float(value) for name, value in found.items()})


def _readable(image: Volume) -> LazyVolume | np.ndarray:
    return image if isinstance(image, LazyVolume) else image.read()


class Given(NamedTuple):
    """Volumes that are there already, in place of those that a config names.

    Attributes:
        train: To learn from.
        val: To validate on; empty to hold some of `train` back.
    """

    train: Sequence[LabelledVolume]
    val: Sequence[LabelledVolume] = ()


def build_datamodule(
    section: DataSection,
    *,
    seed: int,
    given: Given | None = None,
    processes: int = 1,
    kept: Kept | None = None,
) -> PatchDataModule:
    """Open the volumes of training and validation, and prepare to draw patches.

    Args:
        section: The whole section.
        seed: Of the patches and their augmentation.
        given: Volumes to take in place of those that the section names.
        processes: How many train together.
        kept: What an earlier run has found in the volumes.

    Raises:
        DataError: Everything that `check_data` finds, or an image holds NaN.
    """
    from connectomics.data.augmentation import build_augmentation
    from connectomics.data.datamodule import PatchDataModule
    from connectomics.data.dataset import PatchSource, SampleMaker
    from connectomics.data.processing.build import build_targets, learns_sides

    loader, transform = section.dataloader, section.image_transform
    reject = loader.reject_sampling
    given = _named(section) if given is None else given
    kept = Kept() if kept is None else kept
    train, val = _training_volumes(section, given, kept)
    module = PatchDataModule(
        [PatchSource(*measured) for measured in train],
        [PatchSource(*measured) for measured in val],
        maker=SampleMaker(
            loader.patch_size,
            transform.normalize,
            build_targets(section.label_transform.targets),
            build_augmentation(section.augmentation),
        ),
        batch_size=loader.batch_size,
        num_workers=loader.num_workers,
        num_val_patches=section.num_val_patches,
        size_thres=reject.size_thres if reject else 0,
        p=reject.p if reject else 0.0,
        foreground_fraction=loader.foreground_fraction,
        sided=learns_sides(section.label_transform.targets),
        cache_limit=loader.cache_limit_gib * 2**30,
        seed=seed,
        processes=processes,
        kept=kept,
    )
    for volume in () if given.val else given.train:
        note, warnings = described(volume, loader.patch_size, section.val_fraction, section.val_gap)
        module.notes.append(note)
        module.warnings += warnings
    return module


Measured = tuple[LabelledVolume, ImageStatistics]


def _named(section: DataSection) -> Given:
    """Open the volumes that a config names."""
    faults = training_faults(section)
    if faults or section.train is None:
        raise DataError.of(faults)
    return Given(list(_open(section.train)), list(_open(section.val)) if section.val else ())


def _training_volumes(
    section: DataSection, given: Given, kept: Kept
) -> tuple[list[Measured], list[Measured]]:
    """The volumes to learn from and those to validate on."""
    transform = section.image_transform
    measured = measure(given.train, transform, kept=kept)
    if given.val:
        return _pairs(given.train, measured), _pairs(
            given.val, measure(given.val, transform, measured[0], kept=kept)
        )
    learn, held = _hold_back(section, given.train)
    return _pairs(learn, measured), _pairs([one.volume for one in held], measured)


def _split_off(
    section: DataSection, volumes: Sequence[LabelledVolume]
) -> tuple[list[LabelledVolume], list[HeldOut]]:
    """Split the volumes of training, unless validation has volumes of its own."""
    if section.val is not None:
        return list(volumes), [HeldOut(one, one) for one in _open(section.val)]
    return _hold_back(section, volumes)


def _hold_back(
    section: DataSection, volumes: Sequence[LabelledVolume]
) -> tuple[list[LabelledVolume], list[HeldOut]]:
    how = section.dataloader.patch_size, section.val_fraction, section.val_gap
    parts = [hold_back(volume, *how) for volume in volumes]
    held = [HeldOut(part, whole) for (_, part), whole in zip(parts, volumes, strict=True)]
    return [learn for learn, _ in parts], held


def _pairs(
    volumes: Sequence[LabelledVolume], statistics: Sequence[ImageStatistics]
) -> list[Measured]:
    return list(zip(volumes, statistics, strict=True))


def _open(split: SplitSection) -> Iterator[LabelledVolume]:
    if split.phantom is not None:
        path = made_phantom(split.phantom)
        names = PHANTOM_PARTS if split.phantom.neurons else PHANTOM_PARTS[:2]
        parts = {name: _part(open_volume(f"{path}::{name}"), split) for name in names}
        yield _labelled(parts, name=f"phantom_{split.phantom.seed}")
        return
    for files in files_of(split):
        parts = {
            name: _part(open_volume(path, resolution=split.resolution), split)
            for name, path in files.items()
            if name in VOLUMES
        }
        yield _labelled(parts, annotations=files.get("annotations"))


def _labelled(
    parts: dict[str, LazyVolume], *, name: str | None = None, annotations: str | None = None
) -> LabelledVolume:
    image = parts["image"]
    return LabelledVolume(
        name or image.name,
        annotations=annotations,
        synthetic=bool(image.attributes.get("synthetic", False)),
        **parts,
    )


def _part(volume: LazyVolume, split: SplitSection) -> LazyVolume:
    return volume.crop(split.box_in(volume.shape))
