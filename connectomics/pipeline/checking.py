"""`--check`: what a config would train and test on, before it does.

prepare as training does → time a few steps → look at every volume → draw → say what is odd
(`check_testing.py` looks at a test alone.)
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from connectomics.config import Config, Resolved
from connectomics.config.schema import DataSection, SplitSection
from connectomics.data.build import open_split
from connectomics.data.checks import check_data
from connectomics.data.datamodule import PatchDataModule
from connectomics.data.dataset import Sample
from connectomics.data.io.header import size_text
from connectomics.data.oddities import oddities
from connectomics.data.overlap import learned_faults
from connectomics.data.processing import channel_names
from connectomics.data.processing.build import learns_sides
from connectomics.data.shares import target_shares
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import DataError, Fault
from connectomics.naming import seen_from_here
from connectomics.pipeline.components import read_config
from connectomics.pipeline.label_checks import require_labels
from connectomics.pipeline.volume_lines import (
    draw_section,
    left_out,
    rounded,
    show,
    volume_lines,
)
from connectomics.process.called import to_type
from connectomics.process.cpus import use_threads
from connectomics.process.progress import in_words

if TYPE_CHECKING:
    from connectomics.training.timing import Timing

PATCHES = 8
BUSY = 1.5
"""Programs that are running, or wait to, for each CPU."""


def check(file: Path, overrides: Sequence[str]) -> None:
    """Show what a config trains and tests on, with pictures, and how long that takes.

    Args:
        file: The config.
        overrides: As for training.

    Raises:
        ConfigError: The config cannot be trained or tested.
        DataError: Its volumes cannot.
    """
    train = _load(file, "train", overrides)
    with train.naming_places():
        _check(train, overrides)


def _check(train: Resolved, overrides: Sequence[str]) -> None:
    file, config = train.file, train.config
    tested = config.data.test and _load(file, "test", overrides).config
    use_threads(config.system.num_threads)
    _require_data(config, tested)
    print(f"check: {file}: reading volumes and timing a few steps of training", flush=True)
    folder = seen_from_here(config.save_path) / "check"
    for note in train.notes():
        show("config", [note])
    tried = _try_training(config, folder)
    gc.collect()  # so that looking takes no memory beside what training takes
    sided = learns_sides(config.data.label_transform.targets)
    test = open_split(tested.data.test, "data.test") if tested else []
    _show_volumes(config, tried.learned, tried.held, test)
    for name, lines in tried.shown:
        show(name, lines)
    drawn = [tried.picture]
    if test:
        drawn.append(draw_section(test[0], folder, sided=sided))
    faults = _oddities([*tried.learned, *tried.held, *test], config.data, tested, sided=sided)
    odd = [*tried.warnings, *map(str, faults)]
    for text in odd or ["nothing"]:
        show("odd", text.splitlines())
    show("pictures", [str(path) for path in drawn])
    print(f"\ncheck: to train:\n    {to_type('train', file, *overrides)}")


class Tried(NamedTuple):
    """What a few steps of training have shown.

    Attributes:
        learned: What is learned from, as it is on disk.
        held: What is validated on.
        shown: Names, and the lines to print under them.
        warnings: What is likely to be in the way of learning.
        picture: The first patches.
    """

    learned: list[LabelledVolume]
    held: list[LabelledVolume]
    shown: list[tuple[str, list[str]]]
    warnings: tuple[str, ...]
    picture: Path


def _try_training(config: Config, folder: Path) -> Tried:
    """Prepare a training, draw its patches and time its steps; nothing of it is kept."""
    from connectomics.training import prepare
    from connectomics.training.timing import time_steps

    system = config.system.model_copy(update={"num_nodes": 1})
    training = prepare(config.model_copy(update={"system": system}))
    patches = training.data
    picture = _draw_patches(patches, config.data, folder)
    weights = sum(weights.numel() for weights in training.module.network.parameters())
    timing = time_steps(training)
    memory = f"{timing.memory / 2**30:.1f} GiB of memory at most"
    shown = [
        ("balance", _balance(patches, config.data)),
        ("patches", _patches(patches, config.data)),
        ("network", [f"{weights:,} weights, {memory}, on {_device(training.devices)}"]),
        ("time", list(_time(timing, config))),
        *(("note", [note]) for note in training.notes),
    ]
    learned = [source.volume for source in patches.train]
    held = [source.volume for source in patches.val]
    return Tried(learned, held, shown, training.warnings, picture)


def _show_volumes(
    config: Config,
    learned: Sequence[LabelledVolume],
    held: Sequence[LabelledVolume],
    test: Sequence[LabelledVolume],
) -> None:
    for name, volumes in (("train", learned), ("validate", held), ("test", test)):
        for volume in volumes:
            show(name, list(volume_lines(volume, config.evaluation.truth_encoding)))
        if name == "validate" and config.data.val is None:
            for pair in zip(learned, held, strict=True):
                show("", list(left_out(*pair)))
    if not test:
        show("test", ["data.test names no volume"])


def _load(file: Path, mode: str, overrides: Sequence[str]) -> Resolved:
    return read_config(file, mode=mode, overrides=overrides)


def _require_data(config: Config, tested: Config | None) -> None:
    """Everything that training and testing would refuse, at once."""
    faults = check_data(config.data, "train")
    if tested:
        faults += check_data(tested.data, "test", evaluates=tested.evaluation.enabled)
    if faults:
        raise DataError.of(dict.fromkeys(faults))
    require_labels(config.data, "train", "val", "test", learns=True)


def _balance(patches: PatchDataModule, section: DataSection) -> list[str]:
    """How much of the training volumes each channel of the target takes."""
    names = channel_names(section.label_transform.targets)
    shares = target_shares(patches.learned, patches.maker.target)
    if len(shares) == len(names):
        found = [(name, share[1:].sum()) for name, share in zip(names, shares, strict=True)]
    else:  # classes in one channel
        found = list(zip(names, shares[0], strict=False))
    return [", ".join(f"{name} {share:.2%}" for name, share in found) + " of what is learned from"]


def _patches(patches: PatchDataModule, section: DataSection) -> list[str]:
    loader, sampler = section.dataloader, patches.patches.sampler
    lines = [f"{size_text(loader.patch_size)} voxels, {loader.batch_size} in a batch"]
    if resolution := patches.train[0].volume.resolution:
        nm = [n * size for n, size in zip(loader.patch_size, resolution, strict=True)]
        lines[0] += f", {rounded(nm)} nm"
    if sampler.foreground_fraction:
        lines.append(f"{sampler.foreground_fraction:.0%} are centred on a synapse")
    if sampler.tables is not None and sampler.size_thres:
        rate = sampler.acceptance(np.random.default_rng(0))
        lines.append(
            f"of the others, {rate:.1%} of those drawn are accepted ({sampler.size_thres:,} "
            f"labelled voxels or more, or by chance)"
        )
    return lines


def _device(devices: tuple[str, int]) -> str:
    kind, number = devices
    return f"one {kind.upper()}" + (f" of {number}" if number > 1 else "")


def _time(timing: Timing, config: Config) -> Iterator[str]:
    steps = config.optimization.max_steps
    yield (
        f"1,000 steps take about {in_words(1000 * timing.step)}, all {steps:,} "
        f"about {in_words(timing.step * steps)} (the median of {timing.steps} steps; validation "
        "comes on top)"
    )
    if timing.load > BUSY:
        yield (
            f"other programs keep this machine busy ({timing.load:.1f} wait for each CPU): alone, "
            "it takes less"
        )


def _oddities(
    volumes: Sequence[LabelledVolume],
    section: DataSection,
    tested: Config | None,
    *,
    sided: bool,
) -> Iterator[Fault]:
    yield from dict.fromkeys(oddities(volumes, sided=sided))
    splits: list[tuple[str, SplitSection | None]] = [("data.val", section.val)]
    if tested:
        splits.append(("data.test", tested.data.test))
    for where, split in splits:
        yield from learned_faults(split, where, section)


def _draw_patches(patches: PatchDataModule, section: DataSection, folder: Path) -> Path:
    """Draw the first patches that training uses, augmented as they will be."""
    from connectomics.report.patches import patch_figure

    names = channel_names(section.label_transform.targets)
    shown = [_shown(patches.patches[number], names) for number in range(PATCHES)]
    folder.mkdir(parents=True, exist_ok=True)
    title = "The first training patches, as the network gets them"
    return patch_figure(folder / "patches.png", shown, title=title, sides="pre" in names)


def _shown(sample: Sample, names: Sequence[str]):
    """A sample as a picture shows it: channels become labels again."""
    from connectomics.report.patches import ShownPatch

    target = sample["label"].numpy()
    if "background" in names:  # classes in one channel
        labels = target[0]
    elif "pre" in names:
        labels = np.where(target[names.index("post")] > 0, 2, target[names.index("pre")] > 0)
    else:
        labels = target.max(axis=0) > 0
    mask = sample["mask"].numpy()[0] if "mask" in sample else None
    return ShownPatch(sample["image"].numpy()[0], labels.astype(np.uint8), mask)
