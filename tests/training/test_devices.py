from __future__ import annotations

import pytest
import torch

from connectomics.models import read_checkpoint
from connectomics.training import choose_precision, prepare
from connectomics.training.devices import notes_on_speed


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_what_is_written_stands(precision):
    assert choose_precision(precision, "cpu") == choose_precision(precision, "gpu") == precision


@pytest.mark.parametrize(("avx512", "amx"), [(False, False), (True, False), (False, True)])
def test_a_processor_with_bfloat16_uses_it(monkeypatch, avx512, amx):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    expected = "bf16-mixed" if avx512 or amx else "32-true"
    assert choose_precision("auto", "cpu") == expected


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "16-mixed"), ((8, 6), "bf16-mixed")])
def test_a_gpu_uses_the_half_precision_it_has(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert choose_precision("auto", "gpu") == expected


def test_training_says_what_it_chose(make_config, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    training = prepare(make_config(optimization={"precision": "auto"}))
    assert training.config.optimization.precision == "32-true"
    assert "precision auto is 32-true on this cpu" in training.notes


def test_a_gpu_is_said_to_be_used_well_or_not(make_config):
    network = {"filters": [16, 20], "down_factors": [[1, 2, 2]]}
    config = make_config(optimization={"max_steps": 10}, model={"rsunet": network})
    speed, odd = notes_on_speed(config, "gpu")
    assert "channels last, a fused optimizer" in speed
    assert "not compiled (optimization.compile=auto)" in speed
    assert "slow with 20 channels (model.rsunet.filters)" in odd
    assert notes_on_speed(config, "cpu") == []


def test_a_gradient_is_clipped_beside_a_fused_optimizer(make_config, tmp_path):
    # As on a GPU; Lightning's own clipping refuses the two together in mixed precision.
    settings = {"precision": "bf16-mixed", "gradient_clip_val": 1e-12, "max_steps": 2}
    training = prepare(make_config(optimization=settings))
    training.module.build_optimizer = lambda network: torch.optim.SGD(
        network.parameters(), lr=1.0, fused=True
    )
    before = {n: p.detach().clone() for n, p in training.module.network.named_parameters()}
    after = read_checkpoint(training.run(tmp_path).last).weights(use_ema=False)
    for name, parameter in before.items():
        torch.testing.assert_close(after[name], parameter, atol=1e-6, rtol=0, msg=name)
