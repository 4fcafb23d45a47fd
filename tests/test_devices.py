from __future__ import annotations

import pytest
import torch

from connectomics import devices
from connectomics.devices import choose_precision, slow_precision


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


def test_bfloat16_set_by_hand_is_warned_of_where_the_processor_does_not_compute_it(monkeypatch):
    monkeypatch.setattr(devices, "computes_bfloat16", lambda: False)
    (said,) = slow_precision("bf16-mixed", "cpu")
    assert said.startswith("optimization.precision: bf16-mixed is tens of times slower")
    assert said.endswith(f"\n  {devices.FASTEST}")
    for precision, accelerator in (("auto", "cpu"), ("32-true", "cpu"), ("bf16-mixed", "gpu")):
        assert slow_precision(precision, accelerator) == []
    monkeypatch.setattr(devices, "computes_bfloat16", lambda: True)
    assert slow_precision("bf16-mixed", "cpu") == []
