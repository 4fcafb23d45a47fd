"""Prediction in bfloat16 is measured where the processor computes it, and nowhere else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
cpu_bf16 = pytest.importorskip("rows.cpu_bf16")


def test_both_ways_are_timed_and_their_difference_is_said(monkeypatch, capsys):
    monkeypatch.setattr(cpu_bf16, "computes_bfloat16", lambda: True)
    monkeypatch.setattr(cpu_bf16, "available_cpus", lambda: 1)
    monkeypatch.setattr(cpu_bf16, "CPU", {"filters": (2, 4), "down_factors": ((1, 2, 2),)})
    monkeypatch.setattr(cpu_bf16, "NETWORKS", {"tiny": (cpu_bf16.CPU, (4, 32, 32))})
    threads = torch.get_num_threads()
    (row,) = cpu_bf16.rows(True)
    assert torch.get_num_threads() == threads
    assert row.key == (
        "prediction in bfloat16, tiny, 1 thread, CPU · 1 x 4 x 32 x 32 · "
        "the same layers in PyTorch as they come, float32"
    )
    assert row.ours_s > 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("  tiny, 1 thread: probabilities differ by ")
    largest = float(said.split("differ by ")[1].split(" at most")[0])
    assert 0 < largest < 0.03  # rounded to 8 bits: neither the same numbers nor others


def test_without_bfloat16_the_row_stays_empty_and_says_why(monkeypatch, capsys):
    monkeypatch.setattr(cpu_bf16, "computes_bfloat16", lambda: False)
    assert list(cpu_bf16.rows(True)) == []
    assert "this processor does not compute bfloat16" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("available", "large", "expected"),
    [(16, False, [4, 16]), (2, False, [2]), (16, True, [16])],
)
def test_a_few_threads_and_all_are_tried(available, large, expected):
    assert cpu_bf16.threads_to_try(available, large=large) == expected
