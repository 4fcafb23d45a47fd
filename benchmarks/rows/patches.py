"""Augmented patches per second of one core, against the same list of MONAI's transforms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from baselines.monai_patches import monai_augmentation
from patch_times import lines, maker_of, preset, source_of
from timing import Row, versus

from connectomics.data.processing import seg_to_polarity

STEP, BATCH = 0.082, 4
"""A step of the EM-R50 recipe on an H200, compiled, and its patches."""


def rows(small: bool) -> Iterator[Row]:
    """Measure the standard augmentation at its own probabilities, on one thread."""
    patch, count = ((8, 64, 64), 8) if small else ((18, 256, 256), 16)
    spec = preset("standard")
    source = source_of(tuple(2 * n for n in patch))
    maker = maker_of(spec, patch)
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
    for line in lines("standard", STEP, BATCH, patch):
        print(f"  {line}", flush=True)
    torch.set_num_threads(threads)
