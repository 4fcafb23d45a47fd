"""The benchmark of robustness: what is killed goes on, and ends as if nothing had happened."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_and_repeated():
    command = [sys.executable, "benchmarks/robustness.py", "--mode", "train", "decode"]
    done = subprocess.run(
        [*command, "--times", "2", "--full", "2"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^(?:train|decode) +(\d+)", done.stdout, re.MULTILINE)
    assert len(rows) == 4  # of each mode, killed and with a full disk
