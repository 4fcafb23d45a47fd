from __future__ import annotations

import pytest
import torch

from connectomics.devices import choose_precision


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
