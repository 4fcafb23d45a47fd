from __future__ import annotations

import pytest
import torch
from torch import Tensor

from connectomics.errors import CheckpointError
from connectomics.models import RSUNet, take_weights


def network(seed: int, outputs: int = 3, **settings) -> RSUNet:
    torch.manual_seed(seed)
    shape = {"filters": (4, 8), "down_factors": ((1, 2, 2),), "stem": "stride2", **settings}
    return RSUNet(1, outputs, **shape)


def differing(found: RSUNet, wanted: RSUNet) -> set[str]:
    """Layers whose weights differ."""
    pairs = found.state_dict(), wanted.state_dict()
    return {
        name.rpartition(".")[0]
        for name, tensor in pairs[0].items()
        if tensor.shape != pairs[1][name].shape or not torch.equal(tensor, pairs[1][name])
    }


def prefixed(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in weights.items()}


@pytest.mark.parametrize("prefix", ["", "module.", "network.", "model.module."])
@pytest.mark.parametrize("nested", [False, True])
def test_a_state_dict_however_it_is_wrapped(tmp_path, prefix, nested):
    source, target = network(1), network(2)
    weights = prefixed(source.state_dict(), prefix)
    torch.save({"state_dict": weights, "epoch": 3} if nested else weights, tmp_path / "w.pt")
    taken = take_weights(target, tmp_path / "w.pt")
    assert differing(target, source) == set()
    assert len(taken.taken) == len(source.state_dict())
    assert (
        taken.describe()
        == f"{len(taken.taken)} of {len(taken.taken)} tensors start from " + str(tmp_path / "w.pt")
    )


def test_other_numbers_of_channels(tmp_path):
    torch.save(network(1, outputs=1).state_dict(), tmp_path / "w.pt")
    target = network(2)
    taken = take_weights(target, tmp_path / "w.pt")
    assert set(taken.left) == {"head.1.conv.weight", "head.1.conv.bias"}
    assert taken.left["head.1.conv.bias"] == "(4,) there, (12,) here"
    assert "anew: head.1.conv.weight ((4, 4, 1, 3, 3) there, (12, 4, 1, 3, 3) here)" in (
        taken.describe()
    )
    source = network(1, outputs=1).state_dict()
    for name in taken.taken:
        assert torch.equal(target.state_dict()[name], source[name])


def test_a_network_of_another_depth_takes_what_it_can(tmp_path):
    torch.save(network(1).state_dict(), tmp_path / "w.pt")
    target = network(2, filters=(4, 8, 8), down_factors=((1, 2, 2),) * 2, stem="none")
    taken = take_weights(target, tmp_path / "w.pt")
    assert "encoder.0.branch.1.weight" in taken.taken
    assert taken.left["encoder.2.branch.1.weight"] == "not there"
    assert "stem.weight" in taken.left
    assert "head.1.conv.weight" in taken.unused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": torch.zeros(3)}, r"nothing in .*w\.pt fits the network: it has stem\.weight"),
        ({"head.1.conv.bias": torch.zeros(12)}, r"nothing in .*w\.pt fits the network"),
        ({"step": 3}, "holds no weights"),
        ({"stem.weight": torch.full((4, 1, 1, 6, 6), torch.nan)}, "NaN or infinite"),
    ],
)
def test_what_holds_nothing_of_use_is_an_error(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pt")
    target = network(2)
    with pytest.raises(CheckpointError, match=message):
        take_weights(target, tmp_path / "w.pt")
    assert differing(target, network(2)) == set()


def test_no_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"model\.initial_weights: there is no file .*gone"):
        take_weights(network(1), tmp_path / "gone.pt")
