"""The network as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from connectomics.errors import ConfigError
from connectomics.models import RSUNet

TINY: dict[str, Any] = {"filters": (4, 6, 8), "down_factors": ((1, 2, 2), (1, 2, 2))}


def tiny(outputs: int = 1, **settings: Any) -> RSUNet:
    torch.manual_seed(0)
    return RSUNet(1, outputs, **{**TINY, **settings})


@pytest.mark.parametrize("stem", ["none", "stride2"])
@pytest.mark.parametrize("size", [(1, 1, 1), (2, 16, 16), (3, 17, 31), (5, 9, 40)])
def test_logits_have_the_size_of_the_image(stem: str, size: tuple[int, int, int]) -> None:
    network = tiny(3, stem=stem, down_factors=((1, 2, 2), (2, 2, 2)))
    for mode in (True, False):
        logits = network.train(mode)(torch.randn(2, 1, *size))
        assert logits.shape == (2, 3, *size)
        assert logits.isfinite().all()


@pytest.mark.parametrize("norm", ["batch", "group", "instance"])
@pytest.mark.parametrize("activation", ["relu", "leakyrelu", "prelu", "elu"])
@pytest.mark.parametrize("stem", ["none", "stride2"])
def test_gradient_reaches_every_weight(norm: str, activation: str, stem: str) -> None:
    network = tiny(
        2, norm=norm, activation=activation, stem=stem, num_groups=2, deep_supervision=True
    )
    logits = network(torch.randn(2, 1, 3, 16, 16))
    torch.stack([level.square().mean() for level in logits]).sum().backward()
    for name, weights in network.named_parameters():
        assert weights.grad is not None, name
        assert weights.grad.isfinite().all(), name
        assert weights.grad.abs().max() > 0, name


def test_seed_decides_the_weights() -> None:
    first, again = tiny(stem="stride2"), tiny(stem="stride2")
    torch.manual_seed(1)
    other = RSUNet(**TINY, stem="stride2")
    for a, b, c in zip(first.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.ndim < 5 or not torch.equal(a, c)


def test_kernels_are_flat_in_the_first_levels_only() -> None:
    network = tiny(depth_2d=2, kernel_2d=(1, 5, 5))
    kernels = [
        {tuple(w.shape[2:]) for w in module.parameters() if w.ndim == 5}
        for module in network.encoder
    ]
    assert kernels == [{(1, 5, 5)}, {(1, 5, 5)}, {(3, 3, 3)}]
    kernels = [
        {tuple(w.shape[2:]) for w in module.parameters() if w.ndim == 5}
        for module in network.decoder
    ]
    assert kernels == [{(1, 5, 5)}, {(1, 5, 5)}]


def test_flat_network_sees_one_section_at_a_time() -> None:
    network = tiny(depth_2d=3).eval()
    image = torch.randn(1, 1, 4, 16, 16)
    changed = image.clone()
    changed[:, :, 2] += 1
    moved = (network(image) != network(changed)).flatten(3).any(dim=-1)[0, 0]
    assert moved.tolist() == [False, False, True, False]


@pytest.mark.parametrize("stem", ["none", "stride2"])
def test_deep_supervision_gives_every_level_in_training_only(stem: str) -> None:
    network = tiny(
        2, filters=(4, 4, 6, 6), down_factors=((1, 2, 2),) * 3, stem=stem, deep_supervision=True
    )
    image = torch.randn(2, 1, 3, 19, 22)
    levels = network(image)
    assert [tuple(level.shape) for level in levels] == [(2, 2, 3, 19, 22)] * 3
    assert network.eval()(image).shape == (2, 2, 3, 19, 22)


def test_coarse_logits_lie_where_the_image_is() -> None:
    """Interpolated logits of a coarser level are cropped like the finest."""
    network = tiny(filters=(4, 4, 4), deep_supervision=True)
    image = torch.randn(1, 1, 2, 13, 14)  # padded to 16, 16
    _, cropped = network(image)
    padded = torch.nn.functional.pad(image, (1, 1, 1, 2, 0, 0), mode="replicate")
    _, whole = network(padded)
    torch.testing.assert_close(cropped, whole[..., 1:-2, 1:-1])


def test_deep_supervision_of_two_levels_is_a_list_of_one() -> None:
    network = tiny(filters=(4, 6), down_factors=((1, 2, 2),), deep_supervision=True)
    assert len(network(torch.randn(2, 1, 1, 8, 8))) == 1


def test_start_is_free_of_checkerboards() -> None:
    """With the stem, the logits of a constant image are constant far from its border."""
    network = tiny(filters=(4, 4), down_factors=((1, 2, 2),), stem="stride2").eval()
    logits = network(torch.full((1, 1, 1, 128, 128), 0.5))[0, 0, 0, 56:-56, 56:-56]
    torch.testing.assert_close(logits, logits[:1, :1].expand_as(logits))


def test_batch_of_one_predicts_as_in_a_batch_of_two() -> None:
    network = tiny(2, stem="stride2").eval()
    image = torch.randn(2, 1, 4, 24, 24)
    with torch.inference_mode():
        both, one = network(image), network(image[:1])
    torch.testing.assert_close(both[:1], one, atol=1e-5, rtol=1e-4)


def test_bfloat16_autocast_stays_close() -> None:
    network = tiny(2, stem="stride2").eval()
    image = torch.randn(2, 1, 4, 24, 24)
    with torch.inference_mode():
        full = network(image)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(image)
    assert half.dtype is torch.bfloat16
    assert (half.float() - full).abs().max() < 0.1 * full.abs().max()


def test_weights_survive_a_file(tmp_path: Path) -> None:
    network = tiny(3, stem="stride2", deep_supervision=True)
    image = torch.randn(2, 1, 2, 16, 16)
    network(image)  # moves the running statistics
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    torch.manual_seed(7)
    other = RSUNet(1, 3, **TINY, stem="stride2", deep_supervision=True)
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(network.eval()(image), other.eval()(image))


def test_learns_to_find_bright_voxels() -> None:
    network = tiny(filters=(8, 8), down_factors=((1, 2, 2),), stem="stride2")
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.02)
    image = torch.randn(2, 1, 2, 32, 32)
    image = torch.nn.functional.avg_pool3d(image, (1, 5, 5), 1, (0, 2, 2))
    target = (image > 0.2).float()
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(image), target)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(
    ("settings", "where", "problem"),
    [
        ({"down_factors": ((1, 2, 2),)}, "rsunet.down_factors", "1 poolings for 3 levels"),
        ({"kernel_2d": (1, 4, 4)}, "rsunet.kernel_2d", "even"),
        ({"norm": "group", "num_groups": 4}, "rsunet.num_groups", "4 does not divide"),
        ({"stem": "strid2"}, "rsunet.stem", "no stem 'strid2'"),
    ],
)
def test_impossible_shape_is_an_error(settings: dict[str, Any], where: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        tiny(**settings)
    assert [fault.where for fault in caught.value.faults] == [where]


def test_all_faults_of_a_shape_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        tiny(down_factors=(), kernel_2d=(2, 3, 3), norm="group", num_groups=5)
    assert len(caught.value.faults) == 3
