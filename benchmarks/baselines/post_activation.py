"""The residual U-Net with its norms and activations after the convolutions, as in ResNets at first.

He et al. (2015, "Deep Residual Learning") normalise and activate what a convolution gives, and
activate the sum of a residual branch and what passes it by. Our modules do both before a
convolution, so that nothing stands in that way. `benchmarks/learning.py` compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from torch import Tensor, nn

from connectomics.models import rsunet
from connectomics.models.blocks import Convolution, Layer, Size3


class PostActivation(nn.Module):
    """In the place of `ResidualModule`: the same convolutions, the other order.

    Args:
        inputs: Channels coming in.
        outputs: Channels going out.
        kernel: Size of all three kernels (z, y, x), odd.
        norm_activation: Makes a norm and the activation that follows it.
    """

    def __init__(self, inputs: int, outputs: int, kernel: Size3, norm_activation: Layer) -> None:
        super().__init__()
        norm, self.activation = norm_activation(outputs).children()
        self.widen = nn.Sequential(Convolution(inputs, outputs, kernel), norm_activation(outputs))
        self.branch = nn.Sequential(
            Convolution(outputs, outputs, kernel),
            norm_activation(outputs),
            Convolution(outputs, outputs, kernel),
            norm,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, Z, Y, X) to (B, outputs, Z, Y, X)."""
        x = self.widen(x)
        return self.activation(x + self.branch(x))


@contextmanager
def post_activation() -> Iterator[None]:
    """Let networks that are built meanwhile be made of `PostActivation`."""
    with patch.object(rsunet, "ResidualModule", PostActivation):
        yield
