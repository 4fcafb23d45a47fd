"""The network in training and prediction, against the same layers in PyTorch as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from baselines.as_it_comes import as_it_comes
from timing import Row, versus
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from connectomics.losses.cross_entropy import WeightedBCEWithLogitsLoss
from connectomics.losses.summed import LossTerm, SummedLoss
from connectomics.models import RSUNet
from connectomics.models.folding import folded
from connectomics.training.optimization import build_optimizer

Settings = dict[str, Any]
CPU: Settings = {"filters": (16, 32, 64, 96), "down_factors": ((1, 2, 2),) * 3, "stem": "stride2"}
GPU: Settings = {}  # the network of the CREMI recipe


def rows(small: bool) -> Iterator[Row]:
    """Measure on the GPU where there is one, else on the CPU."""
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    settings, patch, batch = (GPU, (18, 256, 256), 4) if cuda else (CPU, (16, 160, 160), 2)
    if small:
        settings, patch = CPU, (4, 32, 32)
    torch.manual_seed(0)
    network = RSUNet(1, 3, **settings).to(device)
    plain = as_it_comes(network)
    images = torch.randn(batch, 1, *patch, device=device)
    size = f"{batch} x {' x '.join(map(str, patch))}, {'bf16' if cuda else 'float32'}"
    where = "GPU" if cuda else "CPU"
    flops = _flops(network, images)
    ceiling = _ceiling(device, network, images)

    plainly = ("the same layers in PyTorch as they come",)
    step = partial(_training_step, images=images, bf16=cuda)
    trainings: list[tuple[str, nn.Module]] = [(f"training step, {where}", network)]
    predictions: list[tuple[str, nn.Module]] = [(f"network, prediction, {where}", folded(network))]
    if cuda:
        trainings.append(
            (f"training step, compiled, {where}", _compiled(RSUNet(1, 3, **settings), device))
        )
        predictions.append(
            (f"network, prediction, compiled, {where}", _compiled(folded(network), device))
        )
    for what, ours in trainings:
        row = versus(what, size, step(ours, tuned=True), (*plainly, step(plain, tuned=False)))
        yield replace(row, share=3 * flops / row.ours_s / ceiling)  # forward, and twice back
    plain.eval()
    for what, ours in predictions:
        row = versus(
            what,
            size,
            partial(_predict, ours, images, bf16=cuda, tuned=True),
            (*plainly, partial(_predict, plain, images, bf16=cuda, tuned=False)),
        )
        yield replace(row, share=flops / row.ours_s / ceiling)


def _compiled(network: nn.Module, device: torch.device) -> nn.Module:
    network.to(device).compile(fullgraph=True, dynamic=False)
    return network


def _training_step(
    network: nn.Module, *, images: Tensor, bf16: bool, tuned: bool
) -> Callable[[], None]:
    network.train()
    target = (
        torch.rand(images.shape[0], 3, *images.shape[2:], device=images.device) > 0.99
    ).float()
    optimizer = build_optimizer(network, fused=tuned)
    loss = SummedLoss([LossTerm(WeightedBCEWithLogitsLoss())])

    def step() -> None:
        torch.backends.cudnn.benchmark = tuned  # as Lightning's trainer sets it
        optimizer.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            total, _ = loss(network(images), target)
        total.backward()
        optimizer.step()
        _wait(images.device)

    return step


@torch.inference_mode()
def _predict(network: nn.Module, images: Tensor, *, bf16: bool, tuned: bool) -> None:
    torch.backends.cudnn.benchmark = tuned
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        network(images)
    _wait(images.device)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


@torch.no_grad()
def _flops(network: nn.Module, images: Tensor) -> int:
    """Floating-point operations of one forward pass."""
    with FlopCounterMode(display=False) as counter:
        as_it_comes(network).eval()(images)
    return counter.get_total_flops()


@torch.inference_mode()
def _ceiling(device: torch.device, network: nn.Module, images: Tensor) -> float:
    """Operations per second of the network's convolutions alone, at their own sizes."""
    torch.backends.cudnn.benchmark = True
    met: list[tuple[nn.Conv3d, Tensor]] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor], _: Tensor) -> None:
        assert isinstance(layer, nn.Conv3d)
        met.append((layer, inputs[0].contiguous(memory_format=torch.channels_last_3d)))

    bf16 = device.type == "cuda"
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv3d)]
    handles = [layer.register_forward_hook(keep) for layer in layers]
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        network.eval()(images)
    for handle in handles:
        handle.remove()

    def convolve() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            for layer, features in met:
                layer(features)
        _wait(device)

    convolve()
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        convolve()
        seconds.append(time.perf_counter() - began)
    return _flops(network, images) / min(seconds)
