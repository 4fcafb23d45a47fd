"""What a plan says is what is read and written then, to a third."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from connectomics.data.io import LazyVolume
from connectomics.pipeline import plan_lines, planning
from tests.pipeline.by_block.test_by_block import DECODERS, predict_well
from tests.pipeline.tiny_run import TinyRun

BLOCKS = "system.block_size=[8,20,16]"
WIDE = "system.block_size=[8,25,46]"
"""Decoding reads a margin of a few voxels around each block, of which small ones have much."""


@pytest.fixture
def run(trained, tmp_path, monkeypatch, capsys) -> TinyRun:
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    for module in (planning, plan_lines):
        monkeypatch.setattr(module, "gib", lambda count: f"{count:.0f} B")
    return TinyRun(capsys)


@pytest.fixture
def read(monkeypatch) -> Counter[str]:
    """Bytes that are read of each volume."""
    found, reads = Counter(), LazyVolume.read

    def counts(self, box=None):
        values = reads(self, box)
        found[Path(self.source).name] += values.nbytes
        return values

    monkeypatch.setattr(LazyVolume, "read", counts)
    return found


def test_bytes_of_predicting_are_those_of_the_plan(run, read):
    said = run("infer", "--plan", BLOCKS)
    (begin,) = map(int, re.findall(r"its grey values: (\d+) B", said))
    (infer,) = map(int, re.findall(r"infer reads (\d+) B", said))
    (disk,) = map(int, re.findall(r"disk (\d+) B at most", said))
    (blocks,) = map(int, re.findall(r"(\d+) blocks of 8 x 20 x 16", said))
    read.clear()
    run("infer", BLOCKS)
    assert read["vol.h5"] == pytest.approx(begin + infer, rel=1 / 3)
    files = list((run.results / "probabilities.zarr").rglob("c/*/*/*/*"))
    assert len(files) == blocks
    assert sum(file.stat().st_size for file in files) == pytest.approx(disk, rel=1 / 3)


@pytest.mark.parametrize("decoder", DECODERS)
def test_bytes_of_decoding_are_those_of_the_plan(run, read, decoder):
    predict_well(run)
    steps = f"decoding.steps={DECODERS[decoder]}"
    said = run("decode", "--plan", WIDE, steps)
    (planned,) = map(int, re.findall(r"decode reads (\d+) B", said))
    read.clear()
    run("decode", WIDE, steps)
    known = 386400  # of another program, they are read to be known
    assert read["probabilities.h5"] - known == pytest.approx(planned, rel=1 / 3)
