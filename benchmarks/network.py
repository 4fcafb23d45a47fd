"""How many voxels the network sees per second of processor time, in training and in inference.

    python benchmarks/network.py [--threads 1] [--patch 16 128 128] [--batch 2] [--repeats 5]

The first table compares networks, the second one design decision at a time: both sides of a
ratio are timed in turns, so that whatever else the machine does falls on both. Times are those
of the processor, summed over threads, because they say the same on a busy machine as on an idle
one; two idle cores see close to twice as many voxels per second of the clock (`--wall` measures
that).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from connectomics.losses.cross_entropy import WeightedBCEWithLogitsLoss
from connectomics.losses.summed import LossTerm, SummedLoss
from connectomics.models import RSUNet
from connectomics.models.blocks import Convolution

IN_PLANE = (1, 2, 2)
NETWORKS: dict[str, dict[str, Any]] = {
    "16 32 48 64, 2-D at 1, stem": {"filters": (16, 32, 48, 64), "depth_2d": 1},
    "16 32 48 64, 2-D at 2, stem": {"filters": (16, 32, 48, 64), "depth_2d": 2},
    "16 32 48, 2-D at 1, stem": {"filters": (16, 32, 48), "depth_2d": 1},
    "16 16 32, 2-D at 1, stem": {"filters": (16, 16, 32), "depth_2d": 1},
    "12 24 32, 2-D at 1, stem": {"filters": (12, 24, 32), "depth_2d": 1},
    "8 16 32 48, 2-D at 1, stem": {"filters": (8, 16, 32, 48), "depth_2d": 1},
}
BASE: dict[str, Any] = {"filters": (16, 32, 48, 64), "depth_2d": 2}

Step = Callable[[], object]


@dataclass(frozen=True)
class Stopwatch:
    """Times steps by the quickest of several runs.

    Attributes:
        clock: Where the seconds come from.
        repeats: Runs that count, after one to warm up.
    """

    clock: Callable[[], float]
    repeats: int

    def seconds(self, *steps: Step) -> list[float]:
        """Time the steps in turns."""
        runs = [[self._once(step) for step in steps] for _ in range(self.repeats + 1)]
        return [min(of_step) for of_step in zip(*runs[1:], strict=True)]

    def _once(self, step: Step) -> float:
        start = self.clock()
        step()
        return self.clock() - start


def small_network(**settings: Any) -> RSUNet:
    """A network for three channels that pools in the plane only."""
    torch.manual_seed(0)
    poolings = (IN_PLANE,) * (len(settings["filters"]) - 1)
    return RSUNet(1, 3, **{"down_factors": poolings, "stem": "stride2", **settings})


class TransposedUpsample(nn.Module):
    """The alternative to `Upsample`: a transposed convolution, one group per channel."""

    def __init__(self, upsample: Any) -> None:
        super().__init__()
        self.width = upsample.width
        channels = self.width.out_channels
        self.up = nn.ConvTranspose3d(
            channels, channels, (1, 4, 4), IN_PLANE, (0, 1, 1), groups=channels, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, Z, Y, X) to (B, outputs, Z, 2Y, 2X)."""
        return self.up(self.width(x))


class ChannelsFirst(nn.Module):
    """Undo the network's own choice of memory layout."""

    def forward(self, x: Tensor) -> Tensor:
        """Copy x (any shape) to the usual layout."""
        return x.contiguous(memory_format=torch.contiguous_format)


def with_transposed_convolutions() -> RSUNet:
    """The base network, upsampling by transposed convolutions."""
    network = small_network(**BASE)
    for level, upsample in enumerate(network.upsamples):
        network.upsamples[level] = TransposedUpsample(upsample)
    return network


def with_channels_first() -> RSUNet:
    """The base network in the usual memory layout."""
    network = small_network(**BASE)
    network.encoder[0] = nn.Sequential(ChannelsFirst(), network.encoder[0])
    return network


def training_step(network: RSUNet, image: Tensor, *, bf16: bool = False) -> Step:
    """One forward pass, loss, backward pass and update."""
    network.train()
    target = (torch.rand(image.shape[0], 3, *image.shape[2:]) > 0.99).float()
    optimizer = torch.optim.AdamW(network.parameters())
    loss = SummedLoss([LossTerm(WeightedBCEWithLogitsLoss())])

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = network(image)
        loss(logits, target)[0].backward()
        optimizer.step()

    return step


def inference_step(network: RSUNet, image: Tensor, *, bf16: bool = False) -> Step:
    """One forward pass without gradients."""

    def step() -> None:
        network.eval()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            network(image)

    return step


def with_plain_convolutions(step: Step) -> Step:
    """The same step where PyTorch chooses the implementation for one small volume."""

    def plain() -> None:
        with mock.patch.object(Convolution, "forward", nn.Conv3d.forward):
            step()

    return plain


def compare_networks(image: Tensor, stopwatch: Stopwatch) -> None:
    """Print voxels per second of every network."""
    print(f"{'network':32} {'weights':>9} {'train':>11} {'infer':>11}")
    for name, settings in NETWORKS.items():
        network = small_network(**settings)
        count = sum(weights.numel() for weights in network.parameters())
        (train,) = stopwatch.seconds(training_step(network, image))
        (infer,) = stopwatch.seconds(inference_step(network, image))
        voxels = image.numel() / 1e6
        rates = f"{voxels / train:6.2f} MV/s {voxels / infer:6.2f} MV/s"
        print(f"{name:32} {count / 1e3:7.0f} k {rates}", flush=True)


def compare_decisions(image: Tensor, stopwatch: Stopwatch) -> None:
    """Print how many times as fast each decision makes the base network."""
    base = small_network(**BASE)
    pairs = {
        "interpolation : transposed convolution": with_transposed_convolutions(),
        "stem stride2 : none": small_network(**BASE, stem="none"),
        "channels last : channels first": with_channels_first(),
    }
    print(f"\n{'times as fast':40} {'train':>6} {'infer':>6}")
    for name, other in pairs.items():
        train = _ratio(stopwatch, training_step(base, image), training_step(other, image))
        infer = _ratio(stopwatch, inference_step(base, image), inference_step(other, image))
        print(f"{name:40} {train:6.2f} {infer:6.2f}", flush=True)
    train = _ratio(stopwatch, training_step(base, image, bf16=True), training_step(base, image))
    infer = _ratio(stopwatch, inference_step(base, image, bf16=True), inference_step(base, image))
    print(f"{'bfloat16 : float32':40} {train:6.2f} {infer:6.2f}")
    step = inference_step(base, image[:1])
    infer = _ratio(stopwatch, step, with_plain_convolutions(step))
    print(f"{'batch of one: oneDNN : PyTorch chooses':40} {'':6} {infer:6.2f}")


def _ratio(stopwatch: Stopwatch, chosen: Step, other: Step) -> float:
    quick, slow = stopwatch.seconds(chosen, other)
    return slow / quick


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--patch", type=int, nargs=3, default=(16, 128, 128))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--wall", action="store_true", help="measure seconds of the clock")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = time.perf_counter if arguments.wall else time.process_time
    stopwatch = Stopwatch(clock, arguments.repeats)
    image = torch.randn(arguments.batch, 1, *arguments.patch)
    print(f"batch {tuple(image.shape)}, {arguments.threads} threads, torch {torch.__version__}")
    compare_networks(image, stopwatch)
    compare_decisions(image, stopwatch)


if __name__ == "__main__":
    main()
