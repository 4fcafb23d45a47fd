"""How long a training of a volume larger than memory takes to begin, and to go on.

    python benchmarks/resuming.py --gib 2     # 2 GiB of EM, 8 GiB of labels, 2 GiB of disk

First it says how large what a run keeps of labels is, for those of a phantom. The volume is that
of `scale.py`. A training does one step, goes on for another as it is meant to, and once more
without what the run before had kept.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from scale import SHAPES, in_child, make

CONFIG = {
    "experiment_name": "resuming",
    "system": {"num_gpus": 0, "num_threads": 1},
    "model": {"out_channels": 3, "rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]]}},
    "data": {
        "train": {"image": "em.zarr", "label": "truth.zarr"},
        "label_transform": {"targets": ["polarity"]},
        "dataloader": {
            "patch_size": [8, 64, 64],
            "batch_size": 1,
            "num_workers": 0,
            "cache_limit_gib": 0,
            "reject_sampling": {"size_thres": "auto", "p": 0.95},
            "foreground_fraction": 0.6,
        },
        "num_val_patches": 1,
    },
    "optimization": {"max_steps": 1, "n_steps_per_epoch": 1},
}


def main() -> int:
    """Print how long it takes, and how large it is."""
    parser = argparse.ArgumentParser(description="How long a training takes to go on.")
    parser.add_argument("--gib", type=float, default=2.0, choices=[*SHAPES])
    parser.add_argument("--folder", type=Path, help="where there is room; a temporary one if not")
    options = parser.parse_args()
    print_size()
    with tempfile.TemporaryDirectory(prefix="resuming_", dir=options.folder) as name:
        os.chdir(name)
        Path("my.yaml").write_text(json.dumps(CONFIG))
        in_child(lambda: make(SHAPES[options.gib]))
        for steps, what in enumerate(("begins", "goes on", "goes on, nothing kept"), start=1):
            runs = sorted(Path("outputs/resuming").glob("*"))
            if steps == 3:
                shutil.rmtree(runs[-1] / "measured")
            began, used = time.perf_counter(), cpu()
            in_child(lambda steps=steps, runs=runs: train(steps, runs))
            seconds, of_cpu = time.perf_counter() - began, cpu() - used
            print(f"{what:22} {seconds:7.1f} s, {of_cpu:.1f} s of a CPU", flush=True)
    return 0


def cpu() -> float:
    """Seconds of a CPU that children have taken."""
    times = os.times()
    return times.children_user + times.children_system


def train(steps: int, runs: list[Path]) -> int:
    """Train up to a step, from the last run."""
    from main import main as command_line  # type: ignore[import-not-found]

    given = ["--config", "my.yaml", f"optimization.max_steps={steps}"]
    return command_line([*given, *(["--checkpoint", str(runs[-1])] if runs else [])])


def print_size() -> None:
    """Say how large the labels of a phantom are that a run keeps."""
    import io

    import numpy as np

    from connectomics.data.synapse_table import VolumeSynapses
    from connectomics.geometry import whole
    from connectomics.phantom import make_phantom

    label = make_phantom((100, 1024, 1024), seed=0).label
    number = label // 2 + label % 2
    found, stream = VolumeSynapses.of([(whole(label.shape), number)], label.shape), io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **found.packed())
    synapses, runs, size = len(found.voxels), len(found.lengths), len(stream.getvalue())
    print(
        f"{synapses} synapses of {runs / synapses:.0f} runs each: {size / synapses:.0f} bytes for "
        f"one, {size / 1024:.0f} KiB of {label.size / 1e6:.0f} Mvoxels"
    )


if __name__ == "__main__":
    sys.exit(main())
