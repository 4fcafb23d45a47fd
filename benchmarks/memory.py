"""Predicted against measured peak memory, of training and of inference, here or on a GPU.

    python benchmarks/memory.py            # a GPU where there is one, else the CPU
    python benchmarks/memory.py --cpu

What is predicted comes from shapes alone (`training/memory.py`, `inference/memory.py`). Measured is
what one step, or one volume, makes PyTorch allocate on the GPU at most
(`torch.cuda.max_memory_allocated`), or by how much this process grows. Takes under a minute on a
GPU, and needs no network access. `docs/memory.md` shows the table.
"""

from __future__ import annotations

import argparse
import gc
import platform
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from timing import grown_mib

from connectomics.config.derived import derive
from connectomics.config.schema import Config
from connectomics.inference.memory import footprint as footprint_of_windows
from connectomics.inference.predict import predict_volume
from connectomics.inference.windows import Sliding
from connectomics.losses.build import build_loss
from connectomics.models import build_model
from connectomics.models.live_bytes import nbytes
from connectomics.pipeline.components import KNOWN
from connectomics.training.ema import MovingAverage
from connectomics.training.memory import footprint
from connectomics.training.module import SynapseModule
from connectomics.training.optimization import LearningRate, build_optimizer

MIB = 2**20
HEAD = "| what | on | predicted | measured | measured / predicted |\n|---|---|---|---|---|"
DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16, "32-true": None}
NARROW = {"filters": [16, 32, 64], "down_factors": [[1, 2, 2], [1, 2, 2]]}
GROUPED = {**NARROW, "norm": "group", "activation": "relu"}


class Case(NamedTuple):
    """A network, and the patches or windows that it sees.

    Attributes:
        name: What it is called in the table.
        network: The section `model.rsunet`.
        size: (z, y, x) of a patch or window.
        batch: How many at once.
        precision: As in a config.
        optimizer: With a moving average, unless it is SGD.
    """

    name: str
    network: dict[str, Any]
    size: tuple[int, int, int]
    batch: int
    precision: str = "32-true"
    optimizer: str = "AdamW"

    def __str__(self) -> str:
        size = " x ".join(map(str, self.size))
        return f"{self.name}, {self.batch} of {size}, {self.precision}"


ON_CPU = (
    Case("default network", {}, (8, 128, 128), 2),
    Case("three levels", NARROW, (16, 160, 160), 2),
    Case("three levels, group norm, relu, SGD", GROUPED, (16, 160, 160), 2, optimizer="SGD"),
    Case("stem of stride 2, deep supervision", {"stem": "stride2", "deep_supervision": True},
         (16, 128, 128), 2),
)  # fmt: skip
ON_GPU = (
    Case("default network", {}, (18, 256, 256), 4, "bf16-mixed"),
    Case("default network", {}, (18, 256, 256), 2),
    Case("three levels", NARROW, (32, 192, 192), 8, "bf16-mixed"),
    Case("three levels, group norm, relu, SGD", GROUPED, (32, 192, 192), 4, optimizer="SGD"),
    Case("stem of stride 2, deep supervision", {"stem": "stride2", "deep_supervision": True},
         (18, 256, 256), 4, "bf16-mixed"),
)  # fmt: skip


def rows(device: torch.device) -> Iterator[str]:
    """One line of the table for each case."""
    for case in ON_GPU if device.type == "cuda" else ON_CPU:
        for what, measure in (("training", training), ("inference", inference)):
            predicted, run = measure(case, device)
            measured = peak_mib(run, device)
            ratio = measured / (predicted / MIB)
            yield (
                f"| {what}: {case} | {device.type.upper().replace('CUDA', 'GPU')} | "
                f"{predicted / MIB:,.0f} MiB | {measured:,.0f} MiB | {ratio:.2f} |"
            )


def training(case: Case, device: torch.device) -> tuple[int, Callable[[], None]]:
    """What a step of training is predicted to take, and such a step."""
    config = config_of(case)
    optimizer = partial(build_optimizer, **config.optimization.optimizer.model_dump())
    module = SynapseModule(
        build_model(config.model),
        build_loss(config.model.loss),
        build_optimizer=optimizer,
        rate=LearningRate("constant"),
    )

    def step() -> None:
        network = module.network.to(device)
        changes = optimizer(network)
        ema = config.optimization.ema
        average = MovingAverage(network, decay=0.9, warmup_steps=0) if ema.enabled else None
        for _ in range(2):
            images = torch.rand(case.batch, 1, *case.size, device=device)
            target = torch.zeros(case.batch, 3, *case.size, device=device)
            dtype = DTYPES[case.precision]
            with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
                total, _ = module.loss(network(images), target)
            changes.zero_grad()
            total.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            changes.step()
            if average is not None:
                average.update(1)
        module.network.to("cpu")

    return footprint(config, module, device).predicted, step


def inference(case: Case, device: torch.device) -> tuple[int, Callable[[], None]]:
    """What predicting a volume of two windows along each axis is predicted to take, and that."""
    network = build_model(config_of(case).model).eval()
    z, y, x = case.size
    sliding = Sliding(
        case.size,
        flip_axes=[[2]],
        batch_size=case.batch,
        activation=torch.sigmoid,
        device=device,
        precision=DTYPES[case.precision],
    )
    shape = (z, y + y // 2, x + x // 2)
    found = footprint_of_windows(network, sliding, shape[1:], channels=(1, 3))

    def predict() -> None:
        image = np.zeros(shape, np.float32)
        settings = {name: getattr(sliding, name) for name in ("batch_size", "activation")}
        predict_volume(
            network.to(device),
            image,
            window_size=case.size,
            flip_axes=[[2]],
            device=device,
            precision=sliding.precision,
            **settings,
        )
        network.to("cpu")

    weights = nbytes(network) if device.type == "cuda" else 0
    return found.predicted + weights, predict


def config_of(case: Case) -> Config:
    """A config of three channels, trained as the tutorials do."""
    return derive(
        Config.model_validate(
            {
                "model": {
                    "out_channels": 3,
                    "rsunet": case.network,
                    "loss": {
                        "losses": [
                            {"function": "WeightedBCEWithLogitsLoss"},
                            {"function": "DiceLoss", "kwargs": {"batch": True}},
                        ]
                    },
                },
                "data": {
                    "label_transform": {"targets": ["polarity"]},
                    "dataloader": {"patch_size": list(case.size), "batch_size": case.batch},
                },
                "optimization": {
                    "precision": case.precision,
                    "optimizer": {"name": case.optimizer},
                    "ema": {"enabled": case.optimizer != "SGD"},
                },
            }
        ),
        KNOWN,
    )


def peak_mib(run: Callable[[], None], device: torch.device) -> float:
    """MiB that a run takes at most beside what is there before it."""
    gc.collect()
    if device.type != "cuda":
        return grown_mib(run) or 0.0
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    return (torch.cuda.max_memory_allocated() - before) / MIB


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cpu", action="store_true", help="even where there is a GPU")
    gpu = torch.cuda.is_available() and not parser.parse_args().cpu
    name = torch.cuda.get_device_name() if gpu else platform.processor() or platform.machine()
    print(f"{name}, PyTorch {torch.__version__}\n\n{HEAD}")
    for row in rows(torch.device("cuda" if gpu else "cpu")):
        print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
