from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from connectomics.data.augmentation import Augmenter, build_augmentation
from connectomics.data.dataset import (
    FixedPatchDataset,
    PatchDataset,
    PatchSource,
    SampleMaker,
)
from connectomics.data.foreground import ForegroundTable
from connectomics.data.io import open_volume, save_volume
from connectomics.data.kept import Kept
from connectomics.data.places import places_of
from connectomics.data.processing.normalize import ImageStatistics, image_statistics
from connectomics.data.processing.target import polarity
from connectomics.data.sampling import PatchSampler
from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.errors import DataError
from connectomics.geometry import Box

SIZE = (4, 8, 8)
MAKER = SampleMaker(SIZE, "0-1", polarity, Augmenter())


def labelled(shape: tuple[int, int, int] = (10, 24, 24)) -> tuple[np.ndarray, np.ndarray]:
    """An image whose grey value is 50 times the label, and the label: 1 beside 2."""
    label = np.zeros(shape, np.uint16)
    label[2:7, 3:12, 4:9] = 1
    label[2:7, 3:12, 9:15] = 2
    return (50 * label + 10).astype(np.uint8), label


def in_memory(mask: np.ndarray | None = None) -> PatchSource:
    image, label = labelled()
    parts = {"image": image, "label": label, "mask": mask}
    volumes = {n: MemoryVolume(n, array) for n, array in parts.items() if array is not None}
    return PatchSource(LabelledVolume("em", **volumes), image_statistics(image))


def on_disk(folder: Path, **parts: np.ndarray) -> PatchSource:
    image, label = labelled()
    volumes: dict[str, Any] = {}
    for name, array in {"image": image, "label": label, **parts}.items():
        save_volume(folder / f"{name}.h5", array)
        volumes[name] = open_volume(folder / f"{name}.h5")
    return PatchSource(LabelledVolume("em", **volumes), image_statistics(parts.get("image", image)))


def table_of(source: PatchSource) -> ForegroundTable:
    table = places_of(source, Kept(), sided=True).table
    assert table is not None
    return table


def test_a_sample_is_a_normalised_crop_with_its_target():
    sample = MAKER.sample(in_memory(), (1, 2, 3), np.random.default_rng(0))
    image, label = labelled()
    crop = np.s_[1:5, 2:10, 3:11]
    assert {name: (t.dtype, tuple(t.shape)) for name, t in sample.items()} == {
        "image": (torch.float32, (1, *SIZE)),
        "label": (torch.float32, (3, *SIZE)),
    }
    np.testing.assert_allclose(sample["image"][0], (image[crop] - 10.0) / 100, atol=1e-6)
    np.testing.assert_array_equal(sample["label"][0], label[crop] == 1)
    np.testing.assert_array_equal(sample["label"][1], label[crop] == 2)


@pytest.mark.parametrize("start", [(0, 0, 0), (3, 8, 8), (6, 16, 16)], ids=["origin", "in", "end"])
@pytest.mark.parametrize("mode", ["0-1", "z-score", "none"])
def test_augmented_image_and_target_stay_together_up_to_the_border(start, mode):
    augmenter = build_augmentation(
        {
            "flip": {},
            "rotate90": {},
            "transpose": {},
            "misalignment": {"prob": 1.0},
            "affine": {"prob": 1.0},
        }
    )
    maker = SampleMaker(SIZE, mode, polarity, augmenter)
    source = in_memory()
    assert augmenter.source_size(SIZE) != SIZE
    black, white = maker.value_range(source)
    for seed in range(8):
        sample = maker.sample(source, start, np.random.default_rng(seed))
        grey = (sample["image"][0] - black) / (white - black)
        expected = 0.5 * sample["label"][0] + sample["label"][1]
        # grey values are interpolated and labels are not, so they part at edges
        assert (grey - expected).abs().mean() < 0.08
        assert grey.min() > -1e-4  # nothing is darker than the background: no black corners


@pytest.mark.parametrize("shape", [(10, 24, 24), (5, 40, 9), (3, 7, 30)])
def test_what_is_read_of_a_volume_suffices(shape):
    """As if all of it were read, wherever the patch lies and whatever is drawn."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    label = rng.integers(0, 9, shape).astype(np.uint16)
    volume = LabelledVolume("em", MemoryVolume("image", image), MemoryVolume("label", label))
    source = PatchSource(volume, ImageStatistics(0.0, 255.0, 127.0, 60.0))
    size = tuple(min(a, b) for a, b in zip((4, 8, 11), shape, strict=True))
    augmenter = build_augmentation(
        {
            "flip": {},
            "rotate90": {},
            "transpose": {},
            "affine": {"prob": 0.5},
            "elastic": {"prob": 0.5, "spacing": 12, "amplitude": 4},
            "misalignment": {"prob": 0.5, "displacement": 5},
            "intensity": {},
            "missing_parts": {},
        }
    )
    maker = SampleMaker(size, "0-1", lambda label: label[None].astype(np.float32), augmenter)
    for seed in range(40):
        start = tuple(int(rng.integers(n - m + 1)) for n, m in zip(shape, size, strict=True))
        found = maker.sample(source, start, np.random.default_rng(seed))
        expected, ids, _ = augmenter(
            *(image / np.float32(255), label),
            patch_size=size,
            patch_start=start,
            rng=np.random.default_rng(seed),
        )
        np.testing.assert_allclose(found["image"][0], expected, atol=1e-4)
        assert (found["label"][0].numpy() == ids).mean() > 0.99  # but for what lies half-way


def test_no_more_is_read_than_is_looked_at():
    read = []

    class Watched(MemoryVolume):
        def read(self, box=None):
            read.append(box)
            return super().read(box)

    image, label = labelled((10, 60, 60))
    volume = LabelledVolume("em", Watched("image", image), MemoryVolume("label", label))
    source = PatchSource(volume, image_statistics(image))
    still = build_augmentation({"affine": {"prob": 0.0}, "misalignment": {"prob": 0.0}})
    maker = SampleMaker(SIZE, "0-1", polarity, still)
    maker.sample(source, (2, 20, 30), np.random.default_rng(0))
    assert still.source_size(SIZE) != SIZE
    (box,) = read
    assert box.start == (2, 20, 30)
    assert all(0 <= a - b <= 1 for a, b in zip(box.shape, SIZE, strict=True))


def test_value_range_is_what_black_and_white_become():
    source = replace(in_memory(), statistics=ImageStatistics(51.0, 153.0, 93.0, 20.0))
    ranges = [
        SampleMaker(SIZE, mode, polarity, Augmenter()).value_range(source)
        for mode in ("0-1", "z-score", "none")
    ]
    assert np.allclose(ranges, [(0.0, 1.0), (-2.1, 3.0), (0.2, 0.6)])


def test_the_mask_counts_everywhere_where_a_volume_has_none():
    mask = np.ones((10, 24, 24), np.uint8)
    mask[:2] = 0
    maker = SampleMaker(SIZE, "0-1", polarity, Augmenter(), with_mask=True)
    rng = np.random.default_rng(0)
    with_mask = maker.sample(in_memory(mask), (0, 0, 0), rng)["mask"]
    assert with_mask[0, :2].sum() == 0
    assert with_mask[0, 2:].min() == 1
    without = maker.sample(in_memory(), (0, 0, 0), rng)["mask"]
    assert without.shape == (1, *SIZE)
    assert without.min() == 1


def test_marks_of_cremi_become_background_and_mask(tmp_path):
    label = np.full((10, 24, 24), 2**64 - 1, np.uint64)
    label[3, 4:8, 5] = 7
    label[0] = 2**64 - 2
    source = on_disk(tmp_path, label=label)
    assert source.has_mask()
    assert table_of(source).total == 4
    cached = source.cached()
    assert cached.label.dtype == np.uint8
    assert cached.volume.mask is not None
    assert cached.volume.mask.read().sum() == 9 * 24 * 24
    label[0] = 0
    (tmp_path / "clean").mkdir()
    assert not on_disk(tmp_path / "clean", label=label).has_mask()


def test_lazy_and_cached_volumes_give_the_same_samples(tmp_path):
    lazy = on_disk(tmp_path)
    samples = []
    for source in (lazy, lazy.cached()):
        sampler = PatchSampler([source.shape], SIZE, [table_of(source)], 20, 0.9)
        maker = SampleMaker(SIZE, "0-1", polarity, build_augmentation({"flip": {}, "elastic": {}}))
        samples.append([PatchDataset([source], sampler, maker, seed=5)[i] for i in range(6)])
    for one, other in zip(*samples, strict=True):
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["label"], other["label"])


def test_a_sample_depends_on_seed_and_number_only():
    source = in_memory()
    sampler = PatchSampler([source.shape], SIZE)

    def dataset(seed: int) -> PatchDataset:
        return PatchDataset([source], sampler, MAKER, seed=seed)

    forwards = [dataset(1)[i]["image"] for i in range(5)]
    backwards = [dataset(1)[i]["image"] for i in reversed(range(5))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(forwards, backwards, strict=True))
    others = [dataset(2)[i]["image"] for i in range(5)]
    assert not all(torch.equal(a, b) for a, b in zip(forwards, others, strict=True))


def test_validation_patches_are_fixed_and_half_of_them_on_labels():
    source = in_memory()
    sampler = PatchSampler([source.shape], SIZE, [table_of(source)])
    first, second = (FixedPatchDataset([source], sampler, MAKER, length=6) for _ in range(2))
    assert len(first) == 6
    assert first.places == second.places
    assert all(first[i]["label"][2].any() for i in (0, 2, 4))
    assert torch.equal(first[3]["image"], second[3]["image"])


def test_validation_without_labels_still_has_all_its_patches():
    image, label = labelled()
    volume = LabelledVolume("em", MemoryVolume("em", image), MemoryVolume("l", 0 * label))
    source = PatchSource(volume, image_statistics(image))
    sampler = PatchSampler([source.shape], SIZE, [table_of(source)])
    assert len(FixedPatchDataset([source], sampler, MAKER, length=6)) == 6


def test_negative_labels_are_named():
    image, label = labelled()
    label = label.astype(np.int16)
    label[0, 0, 0] = -1
    volume = LabelledVolume("em", MemoryVolume("em", image), MemoryVolume("labels", label))
    with pytest.raises(DataError, match="labels hold -1 at voxel"):
        PatchSource(volume, image_statistics(image)).cached()
    with pytest.raises(DataError, match="has no labels"):
        _ = PatchSource(
            LabelledVolume("em", MemoryVolume("em", image)), image_statistics(image)
        ).label


class Watched(MemoryVolume):
    """Counts how often it is read."""

    reads = 0

    def read(self, box: Box | None = None) -> np.ndarray:
        Watched.reads += 1
        return super().read(box)


def test_a_rejected_patch_is_never_read():
    source = in_memory()
    sampler = PatchSampler([source.shape], SIZE, [table_of(source)], 200, 1.0)
    image, label = labelled()
    watched = LabelledVolume("em", Watched("image", image), MemoryVolume("label", label))
    dataset = PatchDataset([replace(source, volume=watched)], sampler, MAKER, seed=0)
    samples = [dataset[i] for i in range(10)]
    assert all(sample["label"][2].sum() >= 200 for sample in samples)
    assert Watched.reads == 10
