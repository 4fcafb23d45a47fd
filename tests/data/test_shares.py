from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from connectomics.data.dataset import PatchSource
from connectomics.data.processing.normalize import image_statistics
from connectomics.data.processing.target import binary, polarity
from connectomics.data.shares import target_shares
from connectomics.data.volumes import LabelledVolume, MemoryVolume


def source(label: np.ndarray, mask: np.ndarray | None = None) -> PatchSource:
    image = np.arange(label.size, dtype=np.uint8).reshape(label.shape)
    parts = {"image": image, "label": label, "mask": mask}
    volumes = {n: MemoryVolume(n, array) for n, array in parts.items() if array is not None}
    return PatchSource(LabelledVolume("em", **volumes), image_statistics(image))


def label_with(pre: int, post: int) -> np.ndarray:
    label = np.zeros((4, 5, 5), np.uint8)
    label.ravel()[:pre] = 1
    label.ravel()[50 : 50 + post] = 2
    return label


def test_each_channel_of_all_volumes_together():
    shares = target_shares([source(label_with(10, 0)), source(label_with(10, 6))], polarity)
    assert [share.tolist() for share in shares] == [
        pytest.approx([0.9, 0.1]),
        pytest.approx([0.97, 0.03]),
        pytest.approx([0.87, 0.13]),
    ]


def test_classes():
    (share,) = target_shares([source(label_with(10, 20))], partial(polarity, exclusive=True))
    assert share.tolist() == pytest.approx([0.7, 0.1, 0.2])


def test_only_voxels_that_count():
    mask = np.ones((4, 5, 5), np.uint8)
    mask.ravel()[:10] = mask.ravel()[80:] = 0
    (share,) = target_shares([source(label_with(10, 7), mask)], binary)
    assert share.tolist() == pytest.approx([0.9, 0.1])


def test_a_large_volume_is_looked_at_in_sections_evenly_spaced():
    label = np.zeros((9, 5, 5), np.uint8)
    label[[0, 4, 8], 0] = 1
    label[1] = 1
    (share,) = target_shares([source(label)], binary, most=75)
    assert share.tolist() == pytest.approx([0.8, 0.2])
