"""The volumes of each split, and what each mode needs of them."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from connectomics.config.schema import Config, SplitSection
from connectomics.errors import Fault

SPLITS = ("train", "val", "test")


SOURCE = "Name image files, or phantom: {seed: 0}."
TOO = "Name the image too: volumes of one split are not put together from several files."


def splits(config: Config) -> dict[str, SplitSection]:
    """The splits that name volumes."""
    data = config.data
    named = {"train": data.train, "val": data.val, "test": data.test}
    return {name: split for name, split in named.items() if split}


def check_volumes(config: Config) -> Iterator[Fault]:
    """Every split says where its volumes come from, and pairs images, labels and masks."""
    for name, split in splits(config).items():
        yield from _split_faults(f"data.{name}", split)
        if name != "test" and split.annotations:
            problem = "is not read: only scores of test volumes compare with annotations."
            yield Fault(f"data.{name}.annotations", problem, "Take it out.")
    transform = config.data.image_transform
    if transform.clip_percentile_low >= transform.clip_percentile_high:
        yield Fault(
            "data.image_transform.clip_percentile_low",
            f"{transform.clip_percentile_low} is not below clip_percentile_high, "
            f"{transform.clip_percentile_high}.",
            "They are fractions: 0.01 and 0.99 clip one percent at either end.",
        )


def check_sampling(config: Config) -> Iterator[Fault]:
    """Rejection sampling asks for no more voxels than a patch has."""
    loader = config.data.dataloader
    sampling, voxels = loader.reject_sampling, prod(loader.patch_size)
    if sampling and sampling.size_thres != "auto" and sampling.size_thres > voxels:
        yield Fault(
            "data.dataloader.reject_sampling.size_thres",
            f"asks for {sampling.size_thres} labelled voxels, and a patch has {voxels}.",
            "Lower it, or make patch_size larger.",
        )


def check_evaluation(config: Config) -> Iterator[Fault]:
    """Metrics have labels to compare."""
    if config.evaluation.enabled and config.evaluation.metrics and not config.decoding.steps:
        yield Fault(
            "evaluation.metrics",
            "metrics compare labels, and decoding.steps makes none.",
            "Add a decoder, such as: decoding: {steps: [{name: polarity2instance}]}",
        )


def check_mode(config: Config, mode: str) -> Iterator[Fault]:
    """The volumes that a mode works on are there.

    Decoding works on saved probabilities. What tuning works on depends on both stages, so that
    it is checked when tuning begins.
    """
    found = splits(config)
    needed = "train" if mode == "train" else "test"
    if needed not in found and mode not in ("decode", "tune"):
        yield Fault(
            f"data.{needed}",
            f"names no volume, and mode {mode} works on it.",
            f"Add for example\n    data: {{{needed}: {{image: raw.h5, label: labels.h5}}}}",
        )
    learning = [name for name in ("train", "val") if mode == "train" and name in found]
    for name in learning:
        if _lacks_label(found[name]):
            yield Fault(
                f"data.{name}.label", "is not given, and training needs it.", "Name the file."
            )
    if mode in ("decode", "test", "tune") and not config.decoding.steps:
        yield Fault(
            "decoding.steps",
            f"is empty, and mode {mode} decodes.",
            "Add a decoder, such as: decoding: {steps: [{name: polarity2instance}]}",
        )
    if mode == "evaluate" or (mode == "test" and config.evaluation.enabled):
        yield from _evaluation_faults(config, mode)


def _evaluation_faults(config: Config, mode: str) -> Iterator[Fault]:
    split = config.data.test
    off = " Or set evaluation.enabled: false." if mode == "test" else ""
    if split and _lacks_label(split):
        yield Fault(
            "data.test.label",
            f"is not given, and mode {mode} compares with it.",
            f"Name the file.{off}",
        )


def _lacks_label(split: SplitSection) -> bool:
    return split.image is not None and split.label is None


def _split_faults(where: str, split: SplitSection) -> Iterator[Fault]:
    on_image = ("label", "mask", "neurons", "annotations")
    given = [name for name in on_image if getattr(split, name) is not None]
    if split.image and split.phantom:
        yield Fault(where, "has image and phantom.", SOURCE)
    elif not (split.image or split.phantom or given):
        yield Fault(where, "has neither image nor phantom.", SOURCE)
    for name in on_image:
        paths = getattr(split, name)
        if paths is not None and split.image is None:
            own = {"neurons": "A phantom has its own: phantom: {neurons: true}."}
            remedy = own.get(name) if split.phantom else None
            yield Fault(f"{where}.{name}", "is given without an image.", remedy or TOO)
        elif paths is not None and split.image is not None and len(paths) != len(split.image):
            yield Fault(
                f"{where}.{name}",
                f"names {len(paths)} files for {len(split.image)} images.",
                "Name one for each image, in the same order.",
            )
    for axis, given in zip("zyx", split.ranges, strict=True):
        if given and given[0] >= given[1]:
            yield Fault(
                f"{where}.{axis}_range",
                f"{list(given)} holds no voxel.",
                "It is [first, one past the last].",
            )
