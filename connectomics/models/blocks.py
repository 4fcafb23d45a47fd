"""The layers of which the network is made.

Shapes are `(B, C, Z, Y, X)`. Everything is pre-activation (normalise, activate, convolve), so
the residual path from the input of a block to its output is free of non-linearities
(He et al. 2016, "Identity Mappings in Deep Residual Networks").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from connectomics.errors import ConfigError, did_you_mean

Size3 = tuple[int, int, int]
Layer = Callable[[int], nn.Module]
T = TypeVar("T")

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leakyrelu": partial(nn.LeakyReLU, 0.01, inplace=True),
    "prelu": partial(nn.PReLU, init=0.25),
    "elu": partial(nn.ELU, inplace=True),
}

# 1 / sqrt(E[f(z)^2]) for z ~ N(0, 1): what keeps the variance of activations constant from
# layer to layer (He et al. 2015). For relu it is the familiar sqrt(2); for elu
# E = 1 + e^2 Phi(-2) - 2 e^(1/2) Phi(-1).
GAINS = {
    "relu": 2**0.5,
    "leakyrelu": (2 / 1.0001) ** 0.5,
    "prelu": (2 / 1.0625) ** 0.5,
    "elu": 1.2452,
}

NORMS: dict[str, Callable[[int, int], nn.Module]] = {
    "batch": lambda channels, groups: nn.BatchNorm3d(channels),
    "group": lambda channels, groups: nn.GroupNorm(groups, channels),
    "instance": lambda channels, groups: nn.InstanceNorm3d(channels, affine=True),
}


def norm_activation(norm: str, num_groups: int, activation: str) -> Layer:
    """Choose what stands before every convolution.

    Args:
        norm: A key of `NORMS`.
        num_groups: Groups of channels, for "group" alone.
        activation: A key of `ACTIVATIONS`.

    Returns:
        A function from a number of channels to a module.

    Raises:
        ConfigError: No such norm or activation.
    """
    make_norm = choose("norm", norm, NORMS)
    make_activation = choose("activation", activation, ACTIVATIONS)
    return lambda channels: nn.Sequential(make_norm(channels, num_groups), make_activation())


def choose(setting: str, word: str, choices: Mapping[str, T]) -> T:
    """Look a setting of the network up.

    Raises:
        ConfigError: There is no such choice.
    """
    if word not in choices:
        raise ConfigError(
            f"rsunet.{setting}", f"no {setting} {word!r}.", did_you_mean(word, choices)
        )
    return choices[word]


def in_planes(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Let a function of planes (N, C, Y, X) work on every section of (B, C, Z, Y, X).

    What does not look along z is many times faster so on a GPU: cuDNN has no fast kernel of
    1 x 3 x 3 with channels last. With channels last, nothing is copied.
    """
    planes = function(x.transpose(1, 2).flatten(0, 1))
    return planes.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)


class Convolution(nn.Conv3d):
    """A 3-D convolution that keeps the size, or divides it by its stride.

    For one small float32 volume on a CPU, PyTorch prefers its plain implementation to oneDNN's,
    which makes a whole network predict about four times slower (`benchmarks/network.py`).
    This one does not.

    Args:
        inputs: Channels coming in.
        outputs: Channels going out.
        kernel: Size (z, y, x): odd where the stride is 1, even where it is 2.
        stride: Step (z, y, x).
        bias: Whether to add a number per channel. Needless where a norm follows.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Size3,
        *,
        stride: Size3 = (1, 1, 1),
        bias: bool = False,
    ) -> None:
        margin = [(k - s + 1) // 2 for k, s in zip(kernel, stride, strict=True)]
        self.margin: Size3 = (margin[0], margin[1], margin[2])
        super().__init__(inputs, outputs, kernel, stride, self.margin, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, inputs, Z, Y, X) to (B, outputs, Z/sz, Y/sy, X/sx)."""
        if self.kernel_size[0] == self.stride[0] == 1:
            return in_planes(self._convolve_planes, input)
        if not _one_small_volume(input):
            return super().forward(input)
        return torch.mkldnn_convolution(
            input, self.weight, self.bias, self.margin, self.stride, self.dilation, self.groups
        )

    def _convolve_planes(self, planes: Tensor) -> Tensor:
        return F.conv2d(planes, self.weight[:, :, 0], self.bias, self.stride[1:], self.margin[1:])


class MaxPool(nn.Module):
    """The largest of `factor` (z, y, x) voxels."""

    def __init__(self, factor: Size3) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, Z, Y, X) to (B, C, Z/fz, Y/fy, X/fx)."""
        if self.factor[0] > 1:
            return torch.max_pool3d(x, self.factor)
        return in_planes(lambda planes: torch.max_pool2d(planes, self.factor[1:]), x)


def _one_small_volume(x: Tensor) -> bool:
    return (
        not torch.compiler.is_compiling()  # first: the rest would break the compiled graph
        and x.shape[0] == 1
        and x.device.type == "cpu"
        and x.dtype is torch.float32
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
    )


class ResidualModule(nn.Module):
    """Three convolutions; the last two are a residual branch (Lee et al. 2017).

    Args:
        inputs: Channels coming in.
        outputs: Channels going out.
        kernel: Size of all three kernels (z, y, x), odd.
        before: Makes the norm and activation that precede each convolution.
    """

    def __init__(self, inputs: int, outputs: int, kernel: Size3, before: Layer) -> None:
        super().__init__()
        self.widen = nn.Sequential(before(inputs), Convolution(inputs, outputs, kernel))
        self.branch = nn.Sequential(
            before(outputs),
            Convolution(outputs, outputs, kernel),
            before(outputs),
            Convolution(outputs, outputs, kernel),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, Z, Y, X) to (B, outputs, Z, Y, X)."""
        x = self.widen(x)
        return x + self.branch(x)


class Upsample(nn.Module):
    """Linear interpolation to a finer grid, with a change of width.

    The 1x1x1 convolution comes before the interpolation: both are linear and the weights of
    an interpolation sum to one, so they commute, and on the coarse grid the convolution has
    that many fewer voxels to visit.

    Args:
        inputs: Channels coming in.
        outputs: Channels going out.
        factor: How much finer the grid becomes (z, y, x).
    """

    def __init__(self, inputs: int, outputs: int, factor: Size3) -> None:
        super().__init__()
        self.width = Convolution(inputs, outputs, (1, 1, 1))
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, Z, Y, X) to (B, outputs, Z*fz, Y*fy, X*fx)."""
        return interpolate(self.width(x), self.factor)


def interpolate(x: Tensor, factor: Size3) -> Tensor:
    """Interpolate linearly, voxel centres on voxel centres; bilinear where factor[0] is 1."""
    scale = [float(f) for f in factor]
    # Autocast would go on in float32 from here.
    with torch.autocast(x.device.type, enabled=False):
        if factor[0] > 1:
            return F.interpolate(x, scale_factor=scale, mode="trilinear")
        return in_planes(
            lambda planes: F.interpolate(planes, scale_factor=scale[1:], mode="bilinear"), x
        )


class PlainHead(Convolution):
    """Logits at the resolution of the features, (B, inputs, Z, Y, X) to (B, outputs, Z, Y, X)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, (1, 1, 1), bias=True)

    @torch.no_grad()
    def start_at(self, logits: Tensor, spread: float) -> None:
        """Let the logits (C,) be the first answer, and what the image says a `spread` about it."""
        assert self.bias is not None
        self.bias.copy_(logits)
        self.weight.mul_(spread)


class SubvoxelHead(nn.Module):
    """Logits at twice the in-plane resolution of the features.

    A convolution makes the four sub-voxels of every voxel as channels, which are then laid
    out in the plane (Shi et al. 2016, "sub-pixel convolution"). It starts as exactly what a
    1x1x1 convolution followed by bilinear interpolation would give, and so without the
    checkerboards of a random start; ICNR (Aitken et al. 2017) does the same for
    nearest-neighbour interpolation.

    Args:
        inputs: Channels of the features.
        outputs: Channels of the logits.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Convolution(inputs, 4 * outputs, (1, 3, 3), bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, Z, Y, X) to (B, outputs, Z, 2Y, 2X)."""
        return interleave(self.conv(x))

    @torch.no_grad()
    def start_at(self, logits: Tensor, spread: float) -> None:
        """Let the logits (C,) be the first answer, and what the image says a `spread` about it."""
        assert self.conv.bias is not None
        self.conv.bias.copy_(logits.repeat_interleave(4))  # four sub-voxels of every channel
        self.conv.weight.mul_(spread)

    @torch.no_grad()
    def start_as_interpolation(self) -> None:
        """Set the weights to bilinear interpolation of a random 1x1x1 convolution."""
        outputs, inputs = self.conv.out_channels // 4, self.conv.in_channels
        mix = torch.randn(outputs, inputs) / inputs**0.5
        # The lower sub-voxel's centre lies a quarter voxel towards its lower neighbour.
        shift = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]])
        plane = torch.einsum("ay,bx->abyx", shift, shift)
        weight = torch.einsum("oi,abyx->oabiyx", mix, plane)
        self.conv.weight.copy_(weight.reshape(4 * outputs, inputs, 1, 3, 3))


def interleave(x: Tensor) -> Tensor:
    """Lay groups of four channels out as 2x2 sub-voxels in the plane.

    (B, 4C, Z, Y, X) becomes (B, C, Z, 2Y, 2X); channel 4c + 2a + b gives row 2y + a, column
    2x + b of channel c.
    """
    batch, channels, depth, height, width = x.shape
    x = x.reshape(batch, channels // 4, 2, 2, depth, height, width)
    x = x.permute(0, 1, 4, 5, 2, 6, 3)  # (B, C, Z, Y, 2, X, 2)
    return x.reshape(batch, channels // 4, depth, 2 * height, 2 * width)


@torch.no_grad()
def initialise(network: nn.Module, activation: str) -> None:
    """Draw the weights of all convolutions as He et al. (2015) do, with the activation's gain.

    Biases start at zero, sub-voxel heads as an interpolation. On the meta device nothing is drawn,
    for which PyTorch would import its compiler.
    """
    if any(parameter.is_meta for parameter in network.parameters()):
        return
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            fan_in = module.weight[0].numel()
            module.weight.normal_(std=GAINS[activation] / fan_in**0.5)
            if module.bias is not None:
                module.bias.zero_()
    for module in network.modules():
        if isinstance(module, SubvoxelHead):
            module.start_as_interpolation()
