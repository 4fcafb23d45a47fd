"""The network compiled for the windows of a volume, where that pays."""

from __future__ import annotations

import copy
import math
import sys
from dataclasses import replace
from typing import Literal

import torch
from torch import nn

from connectomics.geometry import window_starts
from connectomics.inference.blending import flip_combinations
from connectomics.inference.windows import Sliding, Windows
from connectomics.models.compiled import compile_network

WORTHWHILE_WINDOWS = 30_000
"""Compiling takes as long as it saves on so many (26 s against 1 ms a window, measured on an
H200 with the network of the CREMI recipe and windows of 18 x 256 x 256)."""


def compiles(wanted: Literal["auto"] | bool, shape: tuple[int, ...], sliding: Sliding) -> bool:
    """Decide what `optimization.compile` means for predicting a volume of a shape (Z, Y, X).

    >>> compiles("auto", (10**4,) * 3, Sliding((16, 64, 64), device="cuda"))
    True
    """
    if isinstance(wanted, bool):
        return wanted
    axes = zip(shape, sliding.window_size, strict=True)
    windows = math.prod(len(window_starts(max(n, w), w, sliding.overlap)) for n, w in axes)
    passes = len(flip_combinations(sliding.flip_axes))
    on_gpu = torch.device(sliding.device or "cpu").type == "cuda"
    return on_gpu and windows * passes >= WORTHWHILE_WINDOWS


def compiled(network: nn.Module, sliding: Sliding) -> tuple[nn.Module, Sliding]:
    """Compile a copy of a network for whole batches of windows; it shares its weights.

    Returns:
        The copy, and how it slides.
    """
    shared, whole = copy.copy(network), replace(sliding, whole_batches=True)
    windows = Windows(shared, whole, ())
    zeros = torch.zeros((whole.batch_size, 1, *whole.window_size), device=windows.device)
    _say("infer: compiling the network, which takes a minute or two ...")
    _say(f"infer: {compile_network(shared, lambda: windows.once(zeros))}")
    return shared, whole


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
