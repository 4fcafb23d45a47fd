"""The network compiled by PyTorch before the first step, where that pays."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from copy import deepcopy

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor, nn

from connectomics.config.schema import Config
from connectomics.models import NETWORKS
from connectomics.models.compiled import compile_network

WORTHWHILE_STEPS = 5000
"""Compiling takes as long as some thousand steps save by it (48 s against 15 ms a step, measured on
an H200 with the network of the CREMI recipe)."""


def compiles(wanted: bool | str, accelerator: str, steps: int) -> bool:
    """Decide what `optimization.compile: auto` stands for; anything else stands for itself.

    >>> compiles("auto", "gpu", 50_000), compiles("auto", "cpu", 50_000), compiles(True, "cpu", 1)
    (True, False, True)
    """
    if isinstance(wanted, bool):
        return wanted
    return accelerator == "gpu" and steps >= WORTHWHILE_STEPS


class CompileNetwork(pl.Callback):
    """Compiles the network on one batch of zeros, so that what goes wrong goes wrong before step 1.

    Weights, statistics and random state are afterwards what they were. Where the network cannot
    be compiled, training goes on without, and one line says so.

    Args:
        shape: (B, C, Z, Y, X) of a batch of images.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compile, on the device and in the precision of training."""
        network = pl_module.get_submodule("network")
        before = deepcopy(network.state_dict())

        def once() -> None:
            with trainer.precision_plugin.forward_context():
                _one_step(network, torch.zeros(self.shape, device=pl_module.device))

        _say("train: compiling the network, which takes a minute or two ...")
        _say(f"train: {compile_network(network, once)}")
        network.load_state_dict(before)
        network.zero_grad(set_to_none=True)


@rank_zero_only
def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _one_step(network: nn.Module, images: Tensor) -> None:
    network.train()
    logits: Tensor | list[Tensor] = network(images)
    levels = logits if isinstance(logits, list) else [logits]
    torch.stack([level.float().mean() for level in levels]).sum().backward()


def notes_on_speed(config: Config, accelerator: str) -> list[str]:
    """What is done to train fast on a machine, and what is in the way."""
    optimization, model = config.optimization, config.model
    widths = NETWORKS[model.arch.type].widths(model.network)
    if accelerator != "gpu":
        return _slow_on_cpus(widths, model.arch.type)
    if compiles(optimization.compile, accelerator, optimization.max_steps):
        compiled = "compiled before the first step"
    else:
        asked = "auto" if optimization.compile == "auto" else "false"
        compiled = f"not compiled (optimization.compile={asked})"
    fused = "" if optimization.precision == "16-mixed" else ", a fused optimizer"
    notes = [f"features lie with channels last{fused}; the network is {compiled}"]
    return [*notes, *_slow_on_gpus(widths, optimization.precision, model.arch.type)]


def _slow_on_cpus(widths: Sequence[int], network: str) -> list[str]:
    """Note numbers of channels that leave a processor's vector units in part unused."""
    odd = sorted({width for width in widths if width > 16 and width % 16})
    if not odd:
        return []
    return [
        f"a CPU works on 16 channels at a time, and with {', '.join(map(str, odd))} of them "
        f"(model.{network}) it reaches two thirds to nine tenths of its rate: a network that "
        "begins anew should have multiples of 16"
    ]


def _slow_on_gpus(widths: Sequence[int], precision: str, network: str) -> list[str]:
    """Note numbers of channels that do not fill a GPU's tensor cores.

    They take 16 bytes at a time: eight numbers in half precision, four in float32 (as TF32).
    """
    step = 4 if precision == "32-true" else 8
    odd = sorted({width for width in widths if width % step})
    if not odd:
        return []
    listed, better = (", ".join(map(str, few)) for few in (odd, [-(-w // 8) * 8 for w in odd]))
    return [
        f"a GPU is slow with {listed} channels (model.{network}) in {precision}: a network that "
        f"begins anew should have {better}; multiples of 8, better of 16, cost less time"
    ]
