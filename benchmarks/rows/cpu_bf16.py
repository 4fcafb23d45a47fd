"""Prediction on a CPU in bfloat16, as inference does it, against the plain module in float32."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from baselines.as_it_comes import as_it_comes
from timing import Row, versus

from connectomics.devices import computes_bfloat16
from connectomics.inference import predict_volume
from connectomics.models import RSUNet
from connectomics.models.folding import folded
from connectomics.process.cpus import available_cpus
from rows.network import CPU

NETWORKS: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "small network": (CPU, (16, 160, 160)),
    "network of the CREMI recipe": ({}, (18, 256, 256)),
}
FEW_THREADS = 4
FLAGS = ("avx512_bf16", "amx_bf16", "amx_tile")


def rows(small: bool) -> Iterator[Row]:
    """Measure where the processor computes bfloat16; elsewhere say why not."""
    print(f"  {processor()}", flush=True)
    if not computes_bfloat16():
        print("  not measured: this processor does not compute bfloat16", file=sys.stderr)
        return
    for name, (settings, window) in NETWORKS.items():
        if small and settings is not CPU:
            continue
        network = normalised(settings)
        for threads in threads_to_try(available_cpus(), large=settings is not CPU):
            with using(threads):
                yield compare(name, network, (4, 32, 32) if small else window, threads)


def normalised(settings: dict[str, Any]) -> RSUNet:
    """A network whose batch normalisation has seen images, as that of a trained one has.

    Without, logits grow from block to block, and so does what rounding makes of them.
    """
    torch.manual_seed(0)
    network = RSUNet(1, 3, **settings)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm3d):
            layer.momentum = None  # the mean of all batches
    with torch.no_grad():
        network.train()(torch.randn(2, 1, 8, 64, 64))
    return network.eval()


def threads_to_try(available: int, *, large: bool) -> list[int]:
    """A few, unless the network is large, and all that there are."""
    return sorted({available} if large else {min(FEW_THREADS, available), available})


def compare(name: str, network: RSUNet, window: tuple[int, int, int], threads: int) -> Row:
    """Time one window both ways, and say by how much its probabilities differ at most."""
    ours, plain = folded(network), as_it_comes(network).eval()
    on = f"{name}, {threads} {'thread' if threads == 1 else 'threads'}"
    image = np.random.default_rng(0).standard_normal(window, np.float32)

    def predict() -> np.ndarray:
        return predict_volume(
            ours, image, window_size=window, activation=torch.sigmoid, precision=torch.bfloat16
        )

    @torch.inference_mode()
    def predict_plainly() -> np.ndarray:
        return plain(torch.from_numpy(image)[None, None]).sigmoid()[0].numpy()

    difference = np.abs(predict() - predict_plainly())
    print(
        f"  {on}: probabilities differ by {difference.max():.2g} at most, "
        f"{difference.mean():.2g} on average",
        flush=True,
    )
    row = versus(
        f"prediction in bfloat16, {on}, CPU",
        f"1 x {' x '.join(map(str, window))}",
        predict,
        ("the same layers in PyTorch as they come, float32", predict_plainly),
        repeats=2,
    )
    if torch.cuda.is_available():  # whose memory it would be
        row = replace(row, ours_mib=None, baseline_mib=None)
    return row


@contextmanager
def using(threads: int) -> Iterator[None]:
    """Let PyTorch use so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def processor() -> str:
    """What the processor is, and which of its instructions compute bfloat16."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (one.partition(":") for one in lines)}
    flags = [flag for flag in fields.get("flags", "").split() if flag in FLAGS]
    return f"{fields.get('model name', 'unknown processor')}: {', '.join(flags) or 'no bfloat16'}"
