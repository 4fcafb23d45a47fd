"""`--check`: what a config would train and test on, before it does.

prepare as training does → time a few steps → look at every volume → draw → say what is odd
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from connectomics.config import Config, Resolved
from connectomics.config.schema import DataSection, SplitSection
from connectomics.data.build import open_split
from connectomics.data.checks import check_data
from connectomics.data.counting import read_label
from connectomics.data.datamodule import PatchDataModule
from connectomics.data.dataset import Sample
from connectomics.data.io.header import size_text
from connectomics.data.oddities import oddities
from connectomics.data.overlap import learned_faults
from connectomics.data.processing import channel_names
from connectomics.data.shares import target_shares
from connectomics.data.survey import marks_of
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import DataError, Fault
from connectomics.geometry import Box
from connectomics.naming import seen_from_here
from connectomics.pipeline.components import read_config
from connectomics.pipeline.inspection import Labels, inspect_labels
from connectomics.pipeline.label_checks import require_labels
from connectomics.process.called import to_type
from connectomics.process.cpus import use_threads
from connectomics.process.progress import in_words

if TYPE_CHECKING:
    from connectomics.training.timing import Timing

PATCHES = 8
COLUMN = 9
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
    from connectomics.training import prepare
    from connectomics.training.timing import time_steps

    file = train.file
    config = train.config
    tested = config.data.test and _load(file, "test", overrides).config
    use_threads(config.system.num_threads)
    _require_data(config, tested)
    print(f"check: {file}: reading volumes and timing a few steps of training", flush=True)
    training = prepare(config)
    patches, folder = training.data, seen_from_here(config.save_path) / "check"
    drawn = _draw_patches(patches, config.data, folder)
    network = sum(weights.numel() for weights in training.module.network.parameters())
    timing = time_steps(training)
    sided = any(target.name == "polarity" for target in config.data.label_transform.targets)
    learned = [source.volume for source in patches.train]
    held = [source.volume for source in patches.val]
    test = open_split(tested.data.test, "data.test") if tested else []
    _show_volumes(config, learned, held, test)
    _show("balance", _balance(patches, config.data))
    _show("patches", _patches(patches, config.data))
    _show("network", [f"{network:,} weights, {timing.memory / 2**30:.1f} GiB of memory at most, on "
                      f"{_device(training.devices)}"])  # fmt: skip
    _show("time", list(_time(timing, config)))
    for note in training.notes:
        _show("note", [note])
    if test:
        drawn.append(_draw_test(test[0], folder, sided=sided))
    faults = _oddities([*learned, *held, *test], config.data, tested, sided=sided)
    odd = [*training.warnings, *map(str, faults)]
    for text in odd or ["nothing"]:
        _show("odd", text.splitlines())
    _show("pictures", [str(path) for path in drawn])
    print(f"\ncheck: to train:\n    {to_type('train', file, *overrides)}")


def _show_volumes(
    config: Config,
    learned: Sequence[LabelledVolume],
    held: Sequence[LabelledVolume],
    test: Sequence[LabelledVolume],
) -> None:
    for name, volumes in (("train", learned), ("validate", held), ("test", test)):
        for volume in volumes:
            _show(name, list(_lines(volume, config)))
        if name == "validate" and config.data.val is None:
            for pair in zip(learned, held, strict=True):
                _show("", list(_left_out(*pair)))
    if not test:
        _show("test", ["data.test names no volume"])


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


def _show(name: str, lines: Sequence[str]) -> None:
    for number, line in enumerate(lines):
        print(f"{name if not number else '':<{COLUMN}} {line.strip()}")


def _lines(volume: LabelledVolume, config: Config) -> Iterator[str]:
    """A volume, and the synapses in it."""
    size = volume.resolution
    extent = f"{size_text(volume.shape)} voxels"
    if size is not None:
        edges = [n * nm for n, nm in zip(volume.shape, size, strict=True)]
        extent += f" of {size_text(size)} nm, {_rounded(edges)} nm in all"
    source = getattr(volume.image, "source", volume.name)
    yield f"{source}{_part(volume)}: {extent}"
    if volume.label is None:
        yield "without labels"
        return
    yield from _synapses(inspect_labels(volume, config.evaluation.truth_encoding))


def _part(volume: LabelledVolume) -> str:
    """Where a part of a volume begins in it; empty for the beginning."""
    first = volume.origin
    return f", from voxel {size_text(first).replace(' x ', ', ')}" if any(first) else ""


def _left_out(learned: LabelledVolume, held: LabelledVolume) -> Iterator[str]:
    """What lies between two parts of one volume."""
    for axis, (first, last) in enumerate(zip(learned.origin, held.origin, strict=True)):
        gap = last - first - learned.shape[axis]
        if last > first and gap:
            between = size_text([*held.shape[:axis], gap, *held.shape[axis + 1 :]])
            yield f"{between} voxels between train and validate are left out"


def _synapses(labels: Labels) -> Iterator[str]:
    share = f"{labels.filled:.2%} labelled"
    source = getattr(labels.volume.label, "source", labels.volume.name)
    yield f"labels {source}: {labels.encoding}; {labels.count}; {share}"
    if not len(labels.sizes):
        return
    low, middle, high = (int(n) for n in np.percentile(labels.sizes, [5, 50, 95]))
    extent = np.median(labels.high - labels.low, axis=0)
    text = f"a synapse has {low:,} / {middle:,} / {high:,} voxels (percentiles 5 / 50 / 95)"
    text += f", and spans {size_text(extent)} voxels (median)"
    if labels.volume.resolution is not None:
        text += f", {_rounded(extent * np.array(labels.volume.resolution))} nm"
    yield text
    if labels.specks:
        yield f"these sizes leave out {labels.specks:,} too small for a whole synapse"


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
        lines[0] += f", {_rounded(nm)} nm"
    if sampler.foreground_fraction:
        lines.append(f"{sampler.foreground_fraction:.0%} are centred on a synapse")
    if sampler.tables is not None and sampler.size_thres:
        rate = sampler.acceptance(np.random.default_rng(0))
        lines.append(
            f"of the others, {rate:.1%} of those drawn are accepted ({sampler.size_thres:,} "
            f"labelled voxels or more, or by chance)"
        )
    return lines


def _rounded(sizes: Iterable[float]) -> str:
    return " x ".join(f"{size:,.0f}" for size in sizes)


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


def _draw_patches(patches: PatchDataModule, section: DataSection, folder: Path) -> list[Path]:
    """Draw the first patches that training uses, augmented as they will be."""
    from connectomics.report.patches import patch_figure

    names = channel_names(section.label_transform.targets)
    shown = [_shown(patches.patches[number], names) for number in range(PATCHES)]
    folder.mkdir(parents=True, exist_ok=True)
    title = "The first training patches, as the network gets them"
    return [patch_figure(folder / "patches.png", shown, title=title, sides="pre" in names)]


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


def _draw_test(volume: LabelledVolume, folder: Path, *, sided: bool) -> Path:
    """Draw the busiest part of the first test section that has labels, or the first."""
    from connectomics.report.figures import busiest_view, comparison_figure, section_title

    z, labels = _first_labelled(volume)
    _, y, x = busiest_view(labels[None]).slices
    section = Box((z, y.start, x.start), (z + 1, y.stop, x.stop))
    return comparison_figure(
        folder / "test.png",
        {} if volume.label is None else {"labels": labels[y, x]},
        volume.image.read(section)[0],
        title=section_title(volume.name, z, volume.origin[0], synthetic=volume.synthetic),
        sides=sided,
        nm_per_pixel=volume.resolution[2] if volume.resolution else None,
    )


def _first_labelled(volume: LabelledVolume) -> tuple[int, np.ndarray]:
    labels = np.zeros(volume.shape[1:], np.uint8)
    if volume.label is None:
        return 0, labels
    marks = marks_of(volume.label)
    for z in range(volume.shape[0]):
        section = Box((z, 0, 0), (z + 1, *volume.shape[1:]))
        labels = read_label(volume, section, marks=marks).label[0]
        if labels.any():
            return z, labels
    return 0, labels
