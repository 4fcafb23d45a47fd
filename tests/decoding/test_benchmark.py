"""The benchmark runs, and its decoder agrees with the plain one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
