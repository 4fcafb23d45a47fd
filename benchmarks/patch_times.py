"""How long a training patch takes, each augmentation alone, and how many workers that asks for.

    python benchmarks/patch_times.py                             # the tutorials' augmentation
    python benchmarks/patch_times.py --preset strong --step 0.082 --batch 4

One patch is read from memory, moved, changed, and made a target, on one thread. Seconds are those
of the processor, the fastest of several rounds. `--step` is what a step of training takes.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import connectomics.config
from connectomics.data.augmentation.build import AUGMENTATIONS, build_augmentation
from connectomics.data.dataset import PatchSource, SampleMaker
from connectomics.data.processing import ImageStatistics, seg_to_polarity
from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.geometry import Triple

PRESETS = Path(connectomics.config.__file__).parent / "presets" / "data" / "augmentation"
PATCH: Triple = (18, 256, 256)
COUNT, ROUNDS = 24, 3

Spec = Mapping[str, Mapping[str, Any]]


def preset(name: str) -> Spec:
    """The settings of `data/augmentation=NAME`."""
    return yaml.safe_load((PRESETS / f"{name}.yaml").read_text())


def maker_of(spec: Spec, patch: Triple = PATCH) -> SampleMaker:
    """Make patches with these augmentations, for sides."""
    return SampleMaker(patch, "0-1", seg_to_polarity, build_augmentation(spec))


def source_of(shape: tuple[int, ...]) -> PatchSource:
    """A volume of noise with synapses in it, in memory."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    label = np.zeros(shape, np.uint16)
    for n in range(1, 20):
        z, y, x = (int(rng.integers(0, n)) for n in shape)
        label[z : z + 6, y : y + 20, x : x + 6] = 2 * n - 1
        label[z : z + 6, y : y + 20, x + 6 : x + 12] = 2 * n
    volume = LabelledVolume("noise", MemoryVolume("noise", image), MemoryVolume("noise", label))
    return PatchSource(volume, ImageStatistics(low=0.0, high=255.0, mean=127.5, std=73.9))


def seconds_of(spec: Spec, source: PatchSource, patch: Triple = PATCH) -> float:
    """Seconds that a patch takes, the mean over places and draws."""
    maker = maker_of(spec, patch)
    room = np.array(source.shape) - np.array(patch)
    starts = np.random.default_rng(0).integers(0, room, (COUNT, 3)).tolist()
    rounds = []
    for _ in range(ROUNDS + 1):  # the first one compiles
        began = time.process_time()
        for n, (z, y, x) in enumerate(starts):
            maker.sample(source, (z, y, x), np.random.default_rng(n))
        rounds.append((time.process_time() - began) / COUNT)
    return min(rounds[1:])


def lines(name: str, step: float, batch: int, patch: Triple = PATCH) -> Iterator[str]:
    """What a preset costs, all together and each part of it whenever it is drawn."""
    spec, source = preset(name), source_of(tuple(2 * n for n in patch))
    whole, plain = seconds_of(spec, source, patch), seconds_of({}, source, patch)
    yield f"{name}: {1e3 * whole:.1f} ms a patch, {1 / whole:.0f} patches a second and core"
    yield f"  {'read, normalised, target':<26} {1e3 * plain:5.1f} ms"
    for one in (name for name in AUGMENTATIONS if name in spec):
        alone = seconds_of({one: {**spec[one], "prob": 1.0}}, source, patch)
        chance = spec[one]["prob"]
        yield f"  {one:<26} {1e3 * max(0.0, alone - plain):5.1f} ms, of {chance:.0%} of patches"
    workers = math.ceil(batch * whole / step)
    yield f"a step of {1e3 * step:.0f} ms with {batch} patches takes {workers} worker(s)"


def main() -> int:
    """Print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="strong", choices=("light", "standard", "strong"))
    parser.add_argument("--step", type=float, default=0.082, help="seconds")
    parser.add_argument("--batch", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for line in lines(options.preset, options.step, options.batch):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
