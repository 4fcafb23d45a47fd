"""Standard output that cannot take what is written, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from connectomics.process.output import lost_output, prepare_output
prepare_output()
print("a → b", "ü", "\\udcff", flush=True)
for number in range(20_000):
    print(number)
lost = lost_output()
print("done", lost.errno if lost else None, file=sys.stderr)
"""


def run(shell: str, **environment: str) -> tuple[int, str, str]:
    """Run the program with something done to its output: status, output, errors."""
    command = f'"{sys.executable}" -c "$PROGRAM" {shell}; exit $?'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ROOT, env={**os.environ, "PROGRAM": PROGRAM, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("shell", "errors"),
    [
        ("| head -1", "done None\n"),
        (">&-", "done None\n"),
        (">/dev/full", "done 28\n"),
        ("2>/dev/full", ""),
        ("2>&-", ""),
        ("2>&1 | head -1", ""),
    ],
)
def test_output_that_is_gone_stops_nothing(shell: str, errors: str):
    if "/dev/full" in shell and not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    code, _, err = run(shell)
    assert (code, err) == (0, errors)


def test_other_encodings_get_plain_characters():
    assert run("| head -1", PYTHONIOENCODING="ascii")[1] == "a -> b \\xfc \\udcff\n"
