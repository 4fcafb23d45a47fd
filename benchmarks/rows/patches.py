"""Augmented patches per second of one core, against the same list of MONAI's transforms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import yaml
from baselines.monai_patches import monai_augmentation
from timing import Row, versus

import connectomics.config
from connectomics.data.augmentation.build import build_augmentation
from connectomics.data.dataset import PatchSource, SampleMaker
from connectomics.data.processing import ImageStatistics, seg_to_polarity
from connectomics.data.volumes import LabelledVolume, MemoryVolume

PRESETS = Path(connectomics.config.__file__).parent / "presets"
STANDARD = PRESETS / "data" / "augmentation" / "standard.yaml"


def rows(small: bool) -> Iterator[Row]:
    """Measure the standard augmentation at its own probabilities, on one thread."""
    patch, count = ((8, 64, 64), 8) if small else ((18, 256, 256), 16)
    spec = yaml.safe_load(STANDARD.read_text())
    source = _source(tuple(2 * n for n in patch))
    maker = SampleMaker(patch, "0-1", seg_to_polarity, build_augmentation(spec))
    transforms = monai_augmentation(spec)
    starts = np.random.default_rng(0).integers(0, np.array(patch), (count, 3))

    def ours() -> None:
        for n, start in enumerate(starts.tolist()):
            maker.sample(source, (start[0], start[1], start[2]), np.random.default_rng(n))

    def monai() -> None:
        for start in starts:
            box = tuple(slice(a, a + n) for a, n in zip(start, patch, strict=True))
            image = source.volume.image.read()[box].astype(np.float32)[None] / 255
            sample = transforms({"image": image, "label": source.label.read()[box][None]})
            seg_to_polarity(np.asarray(sample["label"][0]).astype(np.uint16))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    size = f"{count} patches of {' x '.join(map(str, patch))}, one core"
    yield versus("patches, standard augmentation", size, ours, ("MONAI's transforms", monai))
    torch.set_num_threads(threads)


def _source(shape: tuple[int, ...]) -> PatchSource:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    label = np.zeros(shape, np.uint16)
    for n in range(1, 20):
        z, y, x = (int(rng.integers(0, n)) for n in shape)
        label[z : z + 6, y : y + 20, x : x + 6] = 2 * n - 1
        label[z : z + 6, y : y + 20, x + 6 : x + 12] = 2 * n
    volume = LabelledVolume("noise", MemoryVolume("noise", image), MemoryVolume("noise", label))
    return PatchSource(volume, ImageStatistics(low=0.0, high=255.0, mean=127.5, std=73.9))
