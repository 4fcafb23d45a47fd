"""Which numbers of channels, and which kernels, a machine is slow with.

    python benchmarks/widths.py

The forward pass of one convolution, as the network has it, on 16 x 96 x 96 voxels with channels
last: one core in float32, or a GPU in bfloat16. The best of several.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import torch

from connectomics.models.blocks import Convolution, Size3

WIDTHS = (16, 20, 28, 32, 36, 40, 48, 64)
KERNELS: tuple[Size3, ...] = ((1, 3, 3), (1, 5, 5), (1, 7, 7), (3, 1, 1), (3, 3, 1), (3, 3, 3))
SIZE = (16, 96, 96)


def seconds(width: int, kernel: Size3, device: torch.device, repeats: int) -> float:
    """The time of one convolution from `width` channels to as many, at best."""
    half = torch.bfloat16 if device.type == "cuda" else torch.float32
    convolution = Convolution(width, width, kernel=kernel).to(device, half)
    convolution = convolution.to(memory_format=torch.channels_last_3d)  # pyright: ignore
    batch = 4 if device.type == "cuda" else 1
    images = torch.randn(batch, width, *SIZE, device=device, dtype=half)
    images = images.to(memory_format=torch.channels_last_3d)
    best = float("inf")
    with torch.inference_mode():
        for _ in range(repeats + 1):  # the first chooses a kernel
            began = time.perf_counter()
            convolution(images)
            if device.type == "cuda":
                torch.cuda.synchronize()
            best = min(best, time.perf_counter() - began)
    return best / batch


def operations(width: int, kernel: Size3) -> int:
    """Multiplications and additions of it."""
    voxels = SIZE[0] * SIZE[1] * SIZE[2]
    return 2 * width**2 * kernel[0] * kernel[1] * kernel[2] * voxels


def rows(device: torch.device, repeats: int) -> Iterator[str]:
    """The table."""
    yield "| channels | kernel | ms | GFLOP/s |"
    yield "|---|---|---|---|"
    tried = [(width, (1, 3, 3)) for width in WIDTHS] + [(32, kernel) for kernel in KERNELS[1:]]
    for width, kernel in tried:
        took = seconds(width, kernel, device, repeats)
        rate = operations(width, kernel) / took / 1e9
        shape = " x ".join(map(str, kernel))
        yield f"| {width} | {shape} | {took * 1e3:.3g} | {rate:,.0f} |"


def main() -> None:
    """Measure, and print a row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    for row in rows(torch.device("cuda" if torch.cuda.is_available() else "cpu"), repeats):
        print(row, flush=True)


if __name__ == "__main__":
    main()
