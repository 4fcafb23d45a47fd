"""The benchmark of robustness: what is killed goes on, and ends as if nothing had happened."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_blocks_of_a_result_that_is_there_count_as_done(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from robustness import RUN, blocks_marked, made_twice

    results = tmp_path / RUN / "results"
    for volume in ("a", "b"):
        done = results / volume / "blocks" / "probabilities" / "done" / "blocks" / "0000"
        done.mkdir(parents=True)
        (done / "0000_0000_0000").touch()
    (results / "a" / "probabilities.zarr").mkdir()
    assert blocks_marked(tmp_path) == {"blocks": 1}
    assert made_twice({"blocks": 1}, "infer: 7 blocks done now, 1 done before\n") == []
    (again,) = made_twice({"blocks": 1}, "infer: 8 blocks done now\n")
    assert again == "blocks: 1 blocks were marked as done, 0 were not repeated"


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
