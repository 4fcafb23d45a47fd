"""The residual symmetric U-Net.

The network of Lee, Zung, Li, Jain and Seung (2017), "Superhuman Accuracy on the SNEMI3D
Connectomics Challenge": a 3-D U-Net for sections that are thicker than their pixels are wide,
with residual modules, skips that add instead of concatenate, pooling by (1, 2, 2), and 2-D
kernels at the finest level. Here the modules are pre-activation, and upsampling is an
interpolation, which needs no weights and makes no checkerboards.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from connectomics.errors import ConfigError, Fault
from connectomics.models.blocks import (
    Convolution,
    MaxPool,
    PlainHead,
    ResidualModule,
    Size3,
    SubvoxelHead,
    Upsample,
    choose,
    initialise,
    interpolate,
    norm_activation,
)

STEMS = {
    "none": (partial(Convolution, kernel=(1, 5, 5)), PlainHead),
    # An even kernel: a voxel inside is centred on the 2x2 voxels it stands for.
    "stride2": (partial(Convolution, kernel=(1, 6, 6), stride=(1, 2, 2)), SubvoxelHead),
}
"""How an image enters the network, and how logits leave it."""


class RSUNet(nn.Module):
    """A residual symmetric U-Net for anisotropic volumes.

    Takes an image of any size: it is padded at the borders to a multiple of the pooling
    factors, and the logits are cropped back.

    Args:
        in_channels: Channels of the image.
        out_channels: Channels of the logits.
        filters: Channels of the features at each level, finest first. Multiples of 16 make
            the best use of a processor's vector units.
        down_factors: Pooling (z, y, x) between a level and the next: one fewer than levels.
        depth_2d: How many of the finest levels have `kernel_2d`; the others have 3x3x3.
        kernel_2d: The kernel (z, y, x) of those levels. Odd numbers.
        norm: Batch, group or instance normalisation.
        num_groups: Groups of channels for group normalisation.
        activation: The non-linearity.
        stem: "stride2" works at half the in-plane resolution: a strided convolution at the
            entrance, a sub-voxel head at the exit. Four times fewer voxels inside; twice the
            field of view in the plane.
        deep_supervision: In training, give logits from every level of the decoder.

    Raises:
        ConfigError: The shape makes no network; all faults at once.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        *,
        filters: Sequence[int] = (32, 64, 96, 128, 160),
        down_factors: Sequence[Size3] = ((1, 2, 2),) * 4,
        depth_2d: int = 1,
        kernel_2d: Size3 = (1, 3, 3),
        norm: Literal["batch", "group", "instance"] = "batch",
        num_groups: int = 8,
        activation: Literal["relu", "leakyrelu", "prelu", "elu"] = "elu",
        stem: Literal["none", "stride2"] = "none",
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        groups = num_groups if norm == "group" else 1
        _check_shape(filters, down_factors, kernel_2d, groups)
        before = norm_activation(norm, groups, activation)
        kernels = [kernel_2d if level < depth_2d else (3, 3, 3) for level in range(len(filters))]
        make_stem, make_head = choose("stem", stem, STEMS)
        self.stem = make_stem(in_channels, filters[0])
        self.encoder = nn.ModuleList(
            ResidualModule(filters[max(level - 1, 0)], width, kernels[level], before)
            for level, width in enumerate(filters)
        )
        self.pools = nn.ModuleList(MaxPool(factor) for factor in down_factors)
        # The decoder's lists run from fine to coarse, as the encoder's do.
        self.upsamples = nn.ModuleList(
            Upsample(filters[level + 1], filters[level], factor)
            for level, factor in enumerate(down_factors)
        )
        self.decoder = nn.ModuleList(
            ResidualModule(width, width, kernels[level], before)
            for level, width in enumerate(filters[:-1])
        )
        self.head = nn.Sequential(before(filters[0]), make_head(filters[0], out_channels))
        self.coarse_heads = nn.ModuleList(
            nn.Sequential(before(width), PlainHead(width, out_channels))
            for width in (filters[1:-1] if deep_supervision else ())
        )
        self.deep_supervision = deep_supervision
        self.scales = _scales(down_factors, stem)
        initialise(self, activation)
        super().to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Predict logits.

        Args:
            image: (B, in_channels, Z, Y, X).

        Returns:
            Logits (B, out_channels, Z, Y, X). With deep supervision, in train mode: a list of
            them, finest level first, those of coarser levels interpolated to the full size.
        """
        size = image.shape[-3:]
        margins = _margins(size, self.scales[-1])
        x = F.pad(image, margins, mode="replicate") if any(margins) else image
        levels = self._decode(self._encode(x))
        finest = _crop(self.head(levels[0]), margins, size)
        if not (self.deep_supervision and self.training):
            return finest
        coarse = (
            interpolate(head(level), scale)
            for head, level, scale in zip(
                self.coarse_heads, levels[1:-1], self.scales[1:-1], strict=True
            )
        )
        return [finest, *(_crop(logits, margins, size) for logits in coarse)]

    def heads(self) -> dict[str, PlainHead | SubvoxelHead]:
        """The layers that make logits, finest first, by the name they have in `state_dict`."""
        found = {"head": self.head}
        found |= {f"coarse_heads.{k}": head for k, head in enumerate(self.coarse_heads)}
        layers = {f"{name}.1": cast("nn.Sequential", head)[1] for name, head in found.items()}
        return cast("dict[str, PlainHead | SubvoxelHead]", layers)

    def _encode(self, x: Tensor) -> list[Tensor]:
        """Features of every level, finest first: (B, filters[k], Z/scales[k], ...)."""
        # Quicker with channels last (`benchmarks/network.py`); every layer that follows keeps it.
        x = self.stem(x).contiguous(memory_format=torch.channels_last_3d)
        levels = [self.encoder[0](x)]
        for pool, module in zip(self.pools, self.encoder[1:], strict=True):
            levels.append(module(pool(levels[-1])))
        return levels

    def _decode(self, levels: list[Tensor]) -> list[Tensor]:
        """The same levels on the way up: each adds what the coarser one knows."""
        levels = list(levels)
        for k in reversed(range(len(self.decoder))):
            levels[k] = self.decoder[k](levels[k] + self.upsamples[k](levels[k + 1]))
        return levels


def _scales(down_factors: Sequence[Size3], stem: str) -> list[Size3]:
    """How many voxels (z, y, x) of the image one voxel of each level stands for.

    >>> _scales([(1, 2, 2), (2, 2, 2)], "stride2")
    [(1, 2, 2), (1, 4, 4), (2, 8, 8)]
    """
    scales = [(1, 1, 1) if stem == "none" else (1, 2, 2)]
    for z, y, x in down_factors:
        last = scales[-1]
        scales.append((last[0] * z, last[1] * y, last[2] * x))
    return scales


def _margins(size: Sequence[int], multiple: Size3) -> list[int]:
    """Voxels to add before and after each axis, in `F.pad`'s order: x first.

    At least two voxels remain at the coarsest level wherever there is pooling, so that the
    normalisation there has something to normalise.
    """
    margins = []
    for length, step in zip(reversed(size), reversed(multiple), strict=True):
        least = 2 if step > 1 else 1
        missing = max(-(-length // step), least) * step - length
        margins += [missing // 2, missing - missing // 2]
    return margins


def _crop(x: Tensor, margins: list[int], size: Sequence[int]) -> Tensor:
    depth, height, width = size
    left, top, front = margins[0], margins[2], margins[4]
    return x[..., front : front + depth, top : top + height, left : left + width]


def _check_shape(
    filters: Sequence[int], down_factors: Sequence[Size3], kernel_2d: Size3, groups: int
) -> None:
    levels, widths = len(filters), f"filters {list(filters)}"
    faults = []
    if len(down_factors) != levels - 1:
        problem = f"{len(down_factors)} poolings for {levels} levels ({widths})."
        remedy = f"Give {levels - 1}: one between each level and the next."
        faults.append(Fault("rsunet.down_factors", problem, remedy))
    if any(size % 2 == 0 for size in kernel_2d):
        problem = f"{list(kernel_2d)} holds an even number."
        remedy = "An odd kernel keeps the size of its input, such as [1, 3, 3]."
        faults.append(Fault("rsunet.kernel_2d", problem, remedy))
    if any(width % groups for width in filters):
        problem = f"{groups} does not divide every one of {widths}."
        remedy = "Choose a number of groups that divides them all."
        faults.append(Fault("rsunet.num_groups", problem, remedy))
    if faults:
        raise ConfigError.of(faults)
