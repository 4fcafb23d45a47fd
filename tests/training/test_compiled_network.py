"""A network that cannot be compiled trains as it is; one that can is left as it was."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from connectomics.models import RSUNet
from connectomics.training.compiled_network import CompileNetwork, compiles, notes_on_speed


def fit_start(network: nn.Module, shape: tuple[int, ...]) -> None:
    """What Lightning calls before the first step."""
    module = nn.Module()
    module.network = network
    module.device = torch.device("cpu")  # pyright: ignore[reportArgumentType]
    plugin = SimpleNamespace(forward_context=torch.enable_grad)
    CompileNetwork(shape).on_fit_start(SimpleNamespace(precision_plugin=plugin), module)  # pyright: ignore


def test_auto_compiles_long_trainings_on_a_gpu():
    assert compiles("auto", "gpu", 50_000)
    assert not compiles("auto", "gpu", 100)
    assert not compiles("auto", "cpu", 50_000)
    assert compiles(True, "cpu", 1)
    assert not compiles(False, "gpu", 50_000)


def test_without_a_compiler_the_network_trains_as_it_is(monkeypatch, capsys):
    def missing(*args, **kwargs):
        raise RuntimeError("no C++ compiler\nand a page about it")

    network = RSUNet(1, 3, filters=(4, 8), down_factors=((1, 2, 2),))
    broken = lambda **_: setattr(network, "_compiled_call_impl", missing)  # noqa: E731
    monkeypatch.setattr(network, "compile", broken)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fit_start(network, (1, 1, 4, 16, 16))
    before_it, after = capsys.readouterr().err.splitlines()
    assert before_it.startswith("train: compiling the network")
    assert after == "train: the network is not compiled (no C++ compiler); it runs as it is"
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network(torch.zeros(1, 1, 4, 16, 16)).shape == (1, 3, 4, 16, 16)


@pytest.mark.slow
def test_compiled_it_gives_the_same_without_a_break_in_the_graph(capsys):
    torch.manual_seed(0)
    network = RSUNet(1, 3, filters=(4, 8), down_factors=((1, 2, 2),)).train()
    images = torch.randn(2, 1, 4, 16, 16)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    expected = network(images)
    network.load_state_dict(before)
    fit_start(network, tuple(images.shape))  # fullgraph: a break would be an error
    assert "was compiled in" in capsys.readouterr().err
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    torch.testing.assert_close(network(images), expected, atol=1e-4, rtol=1e-4)


def test_a_gpu_is_said_to_be_used_well_or_not(make_config):
    network = {"filters": [16, 18], "down_factors": [[1, 2, 2]]}
    config = make_config(optimization={"max_steps": 10}, model={"rsunet": network})
    speed, odd = notes_on_speed(config, "gpu")
    assert "channels last, a fused optimizer" in speed
    assert "not compiled (optimization.compile=auto)" in speed
    assert "slow with 18 channels (model.rsunet) in 32-true" in odd
    (on_cpus,) = notes_on_speed(config, "cpu")
    assert "16 channels at a time, and with 18 of them (model.rsunet)" in on_cpus
    network = {"filters": [8, 16, 48], "down_factors": [[1, 2, 2]] * 2}
    assert notes_on_speed(make_config(model={"rsunet": network}), "cpu") == []


@pytest.mark.parametrize(
    ("precision", "filters", "said"),
    [
        ("bf16-mixed", [28, 36, 48, 64, 80], "28, 36 channels (model.rsunet) in bf16-mixed"),
        ("32-true", [28, 36, 48, 64, 80], None),  # TF32 takes four numbers at a time
        ("32-true", [30, 30, 48, 64, 80], "30 channels"),
        ("16-mixed", [32, 64, 96, 128, 160], None),
    ],
)
def test_widths_that_do_not_fill_tensor_cores_are_said(make_config, precision, filters, said):
    network = {"filters": filters, "down_factors": [[1, 2, 2]] * 4}
    config = make_config(optimization={"precision": precision}, model={"rsunet": network})
    _, *odd = notes_on_speed(config, "gpu")
    assert [said in note for note in odd] == ([True] if said else [])
    if said and precision == "bf16-mixed":
        assert "should have 32, 40;" in odd[0]
