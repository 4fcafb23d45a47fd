"""A folded network gives what it gave before, and the network it came from stays as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from connectomics.models import RSUNet
from connectomics.models.folding import folded


def trained(**settings) -> RSUNet:
    """A network whose normalisation has something to say."""
    torch.manual_seed(3)
    network = RSUNet(1, 3, filters=(4, 6, 8), down_factors=((1, 2, 2),) * 2, **settings).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_()
    return network


@pytest.mark.parametrize("settings", [{}, {"stem": "stride2"}, {"norm": "group", "num_groups": 2}])
def test_it_gives_the_same(settings):
    network, image = trained(**settings), torch.randn(2, 1, 5, 32, 32)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        torch.testing.assert_close(folded(network)(image), network(image), atol=1e-4, rtol=1e-4)
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_one_normalisation_of_each_residual_module_is_gone():
    network = trained()
    count = lambda of: sum(isinstance(m, nn.BatchNorm3d) for m in of.modules())  # noqa: E731
    assert count(network) - count(folded(network)) == 5  # three on the way down, two on the way up


def test_it_predicts_as_in_evaluation_whatever_state_it_came_in():
    network, image = trained(), torch.randn(1, 1, 4, 16, 16)
    with torch.no_grad():
        expected = network(image)
        torch.testing.assert_close(folded(network.train())(image), expected, atol=1e-4, rtol=1e-4)
