from __future__ import annotations

import pytest
import torch

from connectomics import devices
from connectomics.config.schema import SystemSection
from connectomics.devices import choose_precision, crowded_cpus, slow_precision


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


@pytest.mark.parametrize(
    ("taken", "left"),
    [(0.2, None), (0.4, None), (0.6, 3), (1.0, 3), (2.4, 2), (4.0, 1)],
)
def test_other_programs_on_the_cpus_are_warned_of(monkeypatch, taken, left):
    monkeypatch.setattr(devices, "available_cpus", lambda: 4)
    monkeypatch.setattr(devices, "cpus_taken", lambda: taken)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    said = crowded_cpus(SystemSection(), "cpu")
    if left is None:
        assert said == []
        return
    assert said[0].startswith(f"other programs keep {taken} of the 4 CPUs busy, ")
    assert f"Set system.num_threads={left}, " in said[0]


def test_threads_set_by_hand_are_taken_at_their_word(monkeypatch):
    monkeypatch.setattr(devices, "cpus_taken", lambda: 8.0)
    assert crowded_cpus(SystemSection(num_threads=2), "cpu") == []
    assert crowded_cpus(SystemSection(), "gpu") == []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert crowded_cpus(SystemSection(), "cpu") == []
