"""The picture of training patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from connectomics.report.patches import ShownPatch, patch_figure


def test_targets_are_drawn_by_side_and_what_does_not_count_is_dark(tmp_path: Path) -> None:
    image = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (3, 32, 1))
    labels = np.zeros((3, 32, 32), np.uint8)
    labels[1, 4:12, 4:12], labels[1, 14:22, 4:12] = 1, 2
    mask = np.ones_like(labels)
    mask[:, :, 24:] = 0
    path = patch_figure(tmp_path / "a.png", [ShownPatch(image, labels, mask)] * 5)
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    orange = (picture[..., 0] - picture[..., 2] > 60).sum()
    blue = (picture[..., 2] - picture[..., 0] > 60).sum()
    assert orange > 100
    assert blue > 100
    plain = patch_figure(tmp_path / "b.png", [ShownPatch(image, labels)] * 5, sides=False)
    bright = np.asarray(Image.open(plain).convert("RGB")).astype(int)
    assert bright.mean() > picture.mean()
