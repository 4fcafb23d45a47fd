"""What the page says of memory is what is predicted, and what is predicted is about what it is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import memory as benchmark  # noqa: E402

CPU = torch.device("cpu")
SMALL = benchmark.Case("small", benchmark.NARROW, (8, 128, 128), 2)


def of_page() -> dict[str, tuple[int, int]]:
    """Predicted and measured MiB by what is done."""
    lines = (ROOT / "docs" / "memory.md").read_text().splitlines()
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "| CPU |" in line
    ]
    return {what: (int(p.split()[0]), int(m.split()[0])) for what, _, p, m, _ in cells}


@pytest.mark.parametrize("case", benchmark.ON_CPU[::2], ids=str)
@pytest.mark.parametrize("what", ["training", "inference"])
def test_the_page_shows_what_is_predicted(case, what):
    predicted, _ = getattr(benchmark, what)(case, CPU)
    said, measured = of_page()[f"{what}: {case}"]
    assert predicted / benchmark.MIB == pytest.approx(said, rel=0.02)
    assert 0.75 < measured / said < 1.35


@pytest.mark.slow
@pytest.mark.parametrize("what", ["training", "inference"])
def test_what_is_predicted_is_about_what_it_is(what):
    predicted, run = getattr(benchmark, what)(SMALL, CPU)
    measured = benchmark.peak_mib(run, CPU)
    if measured:  # Linux
        assert 0.5 < measured * benchmark.MIB / predicted < 2
