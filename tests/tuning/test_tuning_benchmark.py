"""The benchmark of tuning runs, and tests on other phantoms than it tunes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "benchmarks/tuning.py", "--shape", "12", "160", "160", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_it_prints_both_decoders_before_and_after():
    done = run("--trials", "4", "--validation-seeds", "5", "--test-seeds", "6", "7")
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("|")]
    assert rows[2:] == [
        "polarity2instance, as it comes",
        "polarity2instance, tuned",
        "synapses, as it comes",
        "synapses, tuned",
    ]


def test_the_validation_phantom_is_not_tested_on():
    done = run("--validation-seeds", "1", "2")
    assert done.returncode == 2
    assert "must not be tested on" in done.stderr
