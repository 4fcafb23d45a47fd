"""The benchmarks run, and what they compare agrees."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]


def test_the_benchmark_of_decoding():
    command = [sys.executable, "benchmarks/decoding.py", "--shape", "6", "128", "200"]
    done = subprocess.run(
        [*command, "--dtypes", "uint8", "float16", "--repeats", "1"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line for line in done.stdout.splitlines() if line.startswith(("uint8", "float16"))]
    assert len(rows) == 6
    assert all(row.endswith("yes") for row in rows)


def test_the_benchmark_of_decoding_by_block():
    command = [sys.executable, "benchmarks/decoding_by_block.py", "--shape", "6", "128", "200"]
    done = subprocess.run(
        [*command, "--block", "4", "64", "120", "--dtypes", "uint8", "--repeats", "1"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = done.stdout.splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["polarity2instance", "synapses"]
    assert all(row.endswith("yes") for row in rows)


def test_memory_is_what_one_call_takes():
    benchmark = runpy.run_path(str(ROOT / "benchmarks" / "decoding.py"))
    size = 64 * 2**20
    _, grown, result = benchmark["best"](lambda: np.ones(size, np.uint8), 3)
    assert result.size == size
    assert 0.98 * size < grown < 1.2 * size  # and not once more for the call before
    assert size <= benchmark["allocated"](lambda: np.zeros(size, np.uint8)) < 1.01 * size
