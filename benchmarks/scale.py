"""Memory and time of infer, decode and evaluate on volumes of growing size, block by block.

    python benchmarks/scale.py                       # 0.25 and 2 GiB of uint8
    python benchmarks/scale.py --gib 2 16 --decoder polarity2instance synapses   # 20 GiB of disk

Volumes are noise with synapses in it, bright on one side and dark on the other, on a grid. The
network is as cheap as can be (it compares grey values), so that what is measured is everything
around it. Each mode runs in a process of its own, of which the peak of resident memory is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import numpy as np

SHAPES = {
    0.25: (256, 1024, 1024),
    1.0: (256, 2048, 2048),
    2.0: (512, 2048, 2048),
    16.0: (1024, 4096, 4096),
}
BLOCK = (64, 512, 512)
CELL = (32, 128, 128)
"""Each holds one synapse."""

CONFIG: dict[str, Any] = {
    "experiment_name": "scale",
    "system": {"num_gpus": 0, "block_size": list(BLOCK)},
    "model": {"out_channels": 3, "rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]]}},
    "data": {
        "train": {"phantom": {"shape": [16, 96, 96], "kwargs": {"synapse_density_um3": 20.0}}},
        "test": {"image": "em.zarr", "label": "truth.zarr"},
        "label_transform": {"targets": ["polarity"]},
        "dataloader": {"patch_size": [8, 32, 32], "batch_size": 1, "num_workers": 0},
        "num_val_patches": 1,
    },
    "optimization": {"max_steps": 1, "n_steps_per_epoch": 1},
    "inference": {
        "window": {"window_size": [32, 128, 128], "overlap": 0.0},
        "save_dtype": "uint8",
    },
    "decoding": {"steps": ["synapses"]},
    "evaluation": {"metrics": ["polarity"], "truth_encoding": "polarity"},
}


def main() -> int:
    """Print one line for each size and mode."""
    parser = argparse.ArgumentParser(description="Memory and time by the size of a volume.")
    parser.add_argument("--gib", nargs="+", type=float, default=[0.25, 2.0], choices=[*SHAPES])
    parser.add_argument("--folder", type=Path, help="where there is room; a temporary one if not")
    parser.add_argument("--decoder", nargs="+", default=["synapses"])
    options = parser.parse_args()
    columns = f"{'seconds':>9} {'Mvoxels/s':>10} {'peak MiB':>9}"
    print(f"{'GiB':>6} {'decoder':>17} {'mode':>9} {columns}", flush=True)
    with tempfile.TemporaryDirectory(prefix="scale_", dir=options.folder) as name:
        os.chdir(name)
        Path("my.yaml").write_text(json.dumps(CONFIG))
        in_child(lambda: command("train", None))
        (checkpoint,) = Path().glob("outputs/scale/*/checkpoints/last.ckpt")
        for gib in options.gib:
            shape = SHAPES[gib]
            in_child(lambda shape=shape: make(shape))
            measure(f"{gib:6} {'':17} {'infer':>9}", shape, "infer", checkpoint)
            for decoder in options.decoder:
                steps = f"decoding.steps=[{decoder}]"
                for mode in ("decode", "evaluate"):
                    measure(f"{gib:6} {decoder:>17} {mode:>9}", shape, mode, checkpoint, steps)
            for left in ("em.zarr", "truth.zarr", checkpoint.parents[1] / "results"):
                shutil.rmtree(left)
    return 0


def measure(
    what: str, shape: tuple[int, int, int], mode: str, checkpoint: Path, *more: str
) -> None:
    """Run a mode in a process of its own, and print a line."""
    began = time.perf_counter()
    peak = in_child(lambda: command(mode, checkpoint, *more))
    seconds = time.perf_counter() - began
    rate = float(np.prod(shape)) / seconds / 1e6
    print(f"{what} {seconds:9.1f} {rate:10.2f} {peak:9.0f}", flush=True)


def in_child(work: Callable[[], object]) -> float:
    """Do something in a process of its own; gives the peak of its memory in MiB."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            status = int(bool(work()))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise RuntimeError(Path("log.txt").read_text()[-3000:])
    return usage.ru_maxrss / 1024


def command(mode: str, checkpoint: Path | None, *more: str) -> int:
    """Run the command line, with the cheap network in place of the checkpoint's."""
    from main import main as command_line  # type: ignore[import-not-found]

    use_cheap_network()
    arguments = ["--config", "my.yaml", "--mode", mode, *more]
    return command_line([*arguments, *(["--checkpoint", str(checkpoint)] if checkpoint else [])])


def use_cheap_network() -> None:
    """From now on, this process predicts with `compare` whatever the checkpoint."""
    import torch

    from connectomics.pipeline import stages

    class Compare(torch.nn.Module):
        def forward(self, inputs: Any) -> Any:
            return compare(inputs)

    load = stages.load_predictor

    def load_cheap(*arguments: Any) -> Any:
        predictor = load(*arguments)
        sliding = replace(predictor.sliding, activation=None)
        return replace(predictor, network=Compare(), sliding=sliding)

    stages.load_predictor = load_cheap


def compare(inputs: Any) -> Any:
    """Pre where it is bright, post where it is dark: (B, 1, z, y, x) → (B, 3, z, y, x)."""
    import torch

    bright, dark = (inputs > 0.8).float(), (inputs < 0.2).float()
    return torch.cat([bright, dark, bright + dark], dim=1) * 0.9


def make(shape: tuple[int, int, int]) -> None:
    """Write a volume and its truth, block by block."""
    from connectomics.blocks import BlockGrid
    from connectomics.data.io.sharded import create_sharded
    from connectomics.geometry import VoxelGrid

    nm = VoxelGrid((30, 8, 8))
    em = create_sharded(Path("em.zarr"), shape, np.uint8, BLOCK, grid=nm)
    truth = create_sharded(Path("truth.zarr"), shape, np.uint32, BLOCK, grid=nm)
    cells = tuple(n // c for n, c in zip(shape, CELL, strict=True))
    for number, block in enumerate(BlockGrid(shape, BLOCK)):
        random = np.random.default_rng(number)
        image = random.integers(96, 160, block.box.shape, dtype=np.uint8)
        label = np.zeros(block.box.shape, np.uint32)
        for z, y, x in np.ndindex(*(n // c for n, c in zip(block.box.shape, CELL, strict=True))):
            at = np.array(CELL) * (z, y, x)
            cell = tuple((np.array(block.box.start) + at) // CELL)
            synapse = int(np.ravel_multi_index(cell, cells)) + 1
            a, b, c = at + random.integers((2, 8, 8), (20, 60, 60))
            pre, post = (
                np.s_[a : a + 8, b : b + 20, c : c + 40],
                np.s_[a : a + 8, b + 20 : b + 36, c : c + 40],
            )
            image[pre], image[post] = 250, 5
            label[pre], label[post] = 2 * synapse - 1, 2 * synapse
        em.write(block.box, image)
        truth.write(block.box, label)


if __name__ == "__main__":
    sys.exit(main())
