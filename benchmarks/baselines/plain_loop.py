"""A training loop as one would write it in an afternoon, in plain PyTorch and nothing of ours.

A residual U-Net at half the in-plane resolution, binary cross-entropy with twice the weight on
foreground plus half a Dice loss, patches of which 60 % are centred on a labelled voxel, flips,
transposes and grey values. It is the baseline that `benchmarks/learning.py` holds the recipes to.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (16, 32, 64, 96)
CENTRED = 0.6
WARM_UP = 50


class Snapshot(NamedTuple):
    """The state of a training after some steps.

    Attributes:
        step: Optimizer steps done.
        seconds: Of training, by the clock.
        predict: From images (1, 1, Z, Y, X) scaled to [0, 1] to probabilities (1, C, Z, Y, X).
    """

    step: int
    seconds: float
    predict: Callable[[Tensor], Tensor]


class Block(nn.Module):
    """Two convolutions and a way past them."""

    def __init__(self, inputs: int, outputs: int, depth: int) -> None:
        super().__init__()
        kernel, margin = (depth, 3, 3), (depth // 2, 1, 1)
        self.past = nn.Conv3d(inputs, outputs, 1, bias=False)
        self.layers = nn.Sequential(
            nn.Conv3d(inputs, outputs, kernel, padding=margin, bias=False),
            nn.BatchNorm3d(outputs),
            nn.ELU(inplace=True),
            nn.Conv3d(outputs, outputs, kernel, padding=margin, bias=False),
            nn.BatchNorm3d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, Z, Y, X) to (B, outputs, Z, Y, X)."""
        return F.elu(self.past(x) + self.layers(x))


class Net(nn.Module):
    """A residual U-Net that pools in the plane; skips add."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.stem = nn.Conv3d(1, WIDTHS[0], (1, 6, 6), (1, 2, 2), (0, 2, 2))
        pairs = list(itertools.pairwise(WIDTHS))
        self.down = nn.ModuleList([Block(WIDTHS[0], WIDTHS[0], 1)])
        self.down.extend(Block(fine, coarse, 3) for fine, coarse in pairs)
        self.narrow = nn.ModuleList(nn.Conv3d(coarse, fine, 1) for fine, coarse in pairs)
        depths = [1] + [3] * (len(pairs) - 1)
        self.up = nn.ModuleList(
            Block(fine, fine, depth) for (fine, _), depth in zip(pairs, depths, strict=True)
        )
        self.head = nn.Conv3d(WIDTHS[0], outputs, 1)
        nn.init.constant_(self.head.bias, -3.0)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 1, Z, Y, X) to logits (B, outputs, Z, Y, X)."""
        levels = [self.down[0](self.stem(image))]
        for block in self.down[1:]:
            levels.append(block(F.max_pool3d(levels[-1], (1, 2, 2))))
        x = levels.pop()
        for narrow, block in zip(reversed(self.narrow), reversed(self.up), strict=True):
            x = F.interpolate(narrow(x), scale_factor=(1, 2, 2), mode="trilinear")
            x = block(x + levels.pop())
        return F.interpolate(self.head(x), scale_factor=(1, 2, 2), mode="trilinear")


def train(
    image: np.ndarray,
    target: np.ndarray,
    *,
    patch: tuple[int, int, int],
    batch: int,
    steps: int,
    every: int,
    seed: int,
    lr: float = 3e-3,
    device: str = "cpu",
) -> Iterator[Snapshot]:
    """Train on one volume.

    Args:
        image: (Z, Y, X) uint8.
        target: (C, Z, Y, X), 0 or 1; the last channel is the foreground that patches centre on.
        patch: (z, y, x); y and x are equal, and multiples of 16.
        batch: Patches per step.
        steps: Optimizer steps.
        every: Steps between snapshots.
        seed: Of weights and patches.
        lr: The highest learning rate; a cosine takes it to zero.
        device: Where the network is.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Net(len(target)).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda k: min(1.0, (k + 1) / WARM_UP) * 0.5 * (1 + np.cos(np.pi * k / steps)),
    )
    places = np.argwhere(target[-1])
    weight = torch.full((len(target), 1, 1, 1), 2.0, device=device)
    spent = 0.0
    for step in range(1, steps + 1):
        began = time.perf_counter()
        pairs = [_draw(image, target, places, patch, rng) for _ in range(batch)]
        images, truth = (
            torch.from_numpy(np.stack(parts)).to(device) for parts in zip(*pairs, strict=True)
        )
        logits = network.train()(images)
        loss = F.binary_cross_entropy_with_logits(logits, truth, pos_weight=weight)
        loss = loss + 0.5 * _dice_loss(torch.sigmoid(logits), truth)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        rate.step()
        spent += time.perf_counter() - began
        if step % every == 0 or step == steps:
            network.eval()
            yield Snapshot(step, spent, lambda x: torch.sigmoid(network(x.to(device))))


def _dice_loss(p: Tensor, t: Tensor) -> Tensor:
    both, sizes = (p * t).sum((0, 2, 3, 4)), (p + t).sum((0, 2, 3, 4))
    return 1 - ((2 * both + 1) / (sizes + 1)).mean()


def _draw(
    image: np.ndarray,
    target: np.ndarray,
    places: np.ndarray,
    patch: tuple[int, int, int],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """One patch with its target, turned and with other grey values."""
    free = np.subtract(image.shape, patch)
    start = rng.integers(0, free + 1)
    if rng.random() < CENTRED:
        start = np.clip(places[rng.integers(len(places))] - np.array(patch) // 2, 0, free)
    box = tuple(slice(a, a + n) for a, n in zip(start, patch, strict=True))
    x, t = image[box].astype(np.float32) / 255, target[(slice(None), *box)].astype(np.float32)
    for axis in range(3):
        if rng.random() < 0.5:
            x, t = np.flip(x, axis), np.flip(t, axis + 1)
    if rng.random() < 0.5:
        x, t = x.swapaxes(1, 2), t.swapaxes(2, 3)
    x = (x - 0.5) * rng.uniform(0.8, 1.2) + 0.5 + rng.uniform(-0.1, 0.1)
    return np.ascontiguousarray(x[None], dtype=np.float32), np.ascontiguousarray(t)
