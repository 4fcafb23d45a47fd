"""The layers of a network in PyTorch as they come: no memory layout, no choice of kernels."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn


class _Plain(nn.Module):
    """A network whose features keep PyTorch's usual layout from the stem on."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


def as_it_comes(network: nn.Module) -> nn.Module:
    """Copy a network and undo what it chooses for itself.

    Args:
        network: An `RSUNet`.

    Returns:
        The same function with the same weights: plain `nn.Conv3d`, contiguous tensors.
    """
    plain = deepcopy(network)
    for name, layer in list(plain.named_modules()):
        if isinstance(layer, nn.Conv3d):
            parent, _, child = name.rpartition(".")
            setattr(plain.get_submodule(parent), child, _plain_convolution(layer))
    plain.get_submodule("encoder")[0] = nn.Sequential(_Contiguous(), plain.encoder[0])  # pyright: ignore
    return _Plain(plain).to(memory_format=torch.contiguous_format)  # pyright: ignore


class _Contiguous(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.contiguous_format)


def _plain_convolution(layer: nn.Conv3d) -> nn.Conv3d:
    plain = nn.Conv3d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,  # pyright: ignore[reportArgumentType]
        layer.stride,  # pyright: ignore[reportArgumentType]
        layer.padding,  # pyright: ignore[reportArgumentType]
        bias=layer.bias is not None,
    )
    plain.load_state_dict({name: t.contiguous() for name, t in layer.state_dict().items()})
    return plain.to(layer.weight.device)
