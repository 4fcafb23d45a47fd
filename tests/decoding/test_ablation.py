"""On phantoms with known synapses the decoder beats the baseline, untuned."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = ROOT / "benchmarks" / "ablation.py"
SMALL = (20, 224, 224)


@pytest.fixture(scope="module")
def ablation():
    return runpy.run_path(str(COMMAND))


@pytest.mark.parametrize(
    ("scene", "output", "gain"),
    [
        ({"crowding": 0.9, "synapse_density_um3": 3.0}, {}, 0.2),
        ({"synapse_density_um3": 2.0}, {}, 0.0),
        ({"synapse_density_um3": 2.0}, {"damaged": 0.15}, 0.0),
    ],
)
def test_the_defaults_beat_the_baseline(ablation, scene, output, gain):
    scene = ablation["Scene"]({"shape": SMALL} | scene, output)
    rows = {"baseline": (False, ablation["BASELINE"]), "all": (False, {})}
    found = ablation["measure"](scene, rows, [5], None)
    for baseline, beyond in zip(found["baseline"], found["all"], strict=True):
        assert beyond.f1_pol >= baseline.f1_pol + gain


@pytest.mark.slow
@pytest.mark.parametrize("part", ["points", "settings"])
def test_the_command_prints_a_table(part):
    done = subprocess.run(
        [
            sys.executable,
            str(COMMAND),
            "--part",
            part,
            "--seeds",
            "3",
            "--shape",
            "12",
            "128",
            "128",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == (2 + 20 if part == "points" else 2 + 9)
