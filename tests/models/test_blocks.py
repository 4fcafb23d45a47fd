"""The layers of the network."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from connectomics.errors import ConfigError
from connectomics.models.blocks import (
    ACTIVATIONS,
    GAINS,
    Convolution,
    ResidualModule,
    SubvoxelHead,
    Upsample,
    initialise,
    interleave,
    norm_activation,
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_interleave_puts_four_channels_on_two_by_two_voxels() -> None:
    # Two channels of one voxel each: 0..3 and 10..13.
    x = torch.tensor([0.0, 1, 2, 3, 10, 11, 12, 13]).reshape(1, 8, 1, 1, 1)
    expected = torch.tensor([[[0.0, 1], [2, 3]], [[10.0, 11], [12, 13]]]).reshape(1, 2, 1, 2, 2)
    assert torch.equal(interleave(x), expected)


def test_interleave_keeps_sections_apart() -> None:
    x = torch.arange(3 * 4 * 5 * 2.0).reshape(1, 4, 3, 5, 2)
    planes = [F.pixel_shuffle(x[:, :, z], 2) for z in range(3)]
    assert torch.equal(interleave(x), torch.stack(planes, dim=2))


def test_subvoxel_head_starts_as_bilinear_interpolation() -> None:
    head = SubvoxelHead(5, 3)
    initialise(head, "elu")
    x = torch.randn(2, 5, 2, 6, 7)
    # The sum over the kernel is the 1x1x1 convolution that is interpolated.
    mix = head.conv.weight.sum(dim=(2, 3, 4)).reshape(3, 4, 5)[:, 0]
    coarse = torch.einsum("oi,bizyx->bozyx", mix, x)
    smooth = F.interpolate(coarse, scale_factor=(1, 2, 2), mode="trilinear")
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(head(x)[inside], smooth[inside])


def test_subvoxel_head_makes_no_checkerboard_of_a_constant() -> None:
    head = SubvoxelHead(4, 2)
    initialise(head, "elu")
    logits = head(torch.full((1, 4, 1, 8, 8), 0.7))[..., 2:-2, 2:-2]
    torch.testing.assert_close(logits, logits[..., :1, :1].expand_as(logits))


def test_widening_before_interpolating_equals_widening_after() -> None:
    upsample = Upsample(4, 6, (2, 2, 2))
    x = torch.randn(1, 4, 2, 3, 5)
    after = upsample.width(F.interpolate(x, scale_factor=(2, 2, 2), mode="trilinear"))
    torch.testing.assert_close(upsample(x), after)


def test_upsampling_in_the_plane_leaves_sections_alone() -> None:
    upsample = Upsample(1, 1, (1, 2, 2))
    nn.init.ones_(upsample.width.weight)
    x = torch.tensor([1.0, 5.0]).reshape(1, 1, 2, 1, 1).expand(1, 1, 2, 2, 2)
    assert torch.equal(upsample(x), x[..., :1, :1].expand(1, 1, 2, 4, 4))


def test_residual_module_is_its_first_convolution_when_the_branch_is_silent() -> None:
    module = ResidualModule(2, 3, (1, 3, 3), norm_activation("batch", 1, "relu")).eval()
    module.branch[-1].register_forward_hook(lambda *_: torch.zeros(()))
    x = torch.randn(1, 2, 2, 4, 4)
    torch.testing.assert_close(module(x), module.widen(x))


@pytest.mark.parametrize(("kernel", "stride"), [((1, 3, 3), 1), ((3, 3, 3), 1), ((1, 6, 6), 2)])
def test_convolution_keeps_or_halves_the_size(kernel: tuple[int, int, int], stride: int) -> None:
    conv = Convolution(1, 2, kernel, stride=(1, stride, stride))
    assert conv(torch.zeros(2, 1, 3, 8, 12)).shape == (2, 2, 3, 8 // stride, 12 // stride)


@pytest.mark.parametrize("bias", [False, True])
def test_one_small_volume_gets_the_same_convolution(bias: bool) -> None:
    conv = Convolution(3, 4, (3, 3, 3), bias=bias)
    x = torch.randn(1, 3, 4, 6, 6, requires_grad=True)
    plain = nn.Conv3d.forward(conv, x)
    torch.testing.assert_close(conv(x), plain)
    weights = [x, *conv.parameters()]
    gradients = torch.autograd.grad(conv(x).square().sum(), weights)
    expected = torch.autograd.grad(plain.square().sum(), weights)
    torch.testing.assert_close(gradients, expected)


def test_one_small_volume_is_left_to_autocast() -> None:
    conv = Convolution(2, 2, (1, 3, 3))
    with torch.autocast("cpu", torch.bfloat16):
        assert conv(torch.zeros(1, 2, 2, 4, 4)).dtype is torch.bfloat16


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_gain_keeps_the_variance(activation: str) -> None:
    z = torch.randn(1_000_000, dtype=torch.float64)
    activated = ACTIVATIONS[activation]().double()(z).detach()
    assert float((GAINS[activation] * activated).square().mean()) == pytest.approx(1, abs=0.01)


def test_initialise_draws_weights_with_the_gain_over_the_inputs() -> None:
    conv = Convolution(16, 64, (3, 3, 3), bias=True)
    initialise(conv, "relu")
    assert float(conv.weight.detach().std()) == pytest.approx((2 / (16 * 27)) ** 0.5, rel=0.02)
    assert conv.bias is not None
    assert not conv.bias.any()


@pytest.mark.parametrize(("norm", "activation"), [("bach", "elu"), ("batch", "rellu")])
def test_unknown_layer_names_its_neighbour(norm: str, activation: str) -> None:
    with pytest.raises(ConfigError, match=r"Did you mean '(batch|relu)'"):
        norm_activation(norm, 1, activation)
