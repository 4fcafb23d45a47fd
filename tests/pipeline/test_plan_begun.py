"""A plan counts what a run that was stopped has done already, and writes nothing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from connectomics.blocks import BlockGrid
from connectomics.data import identity
from connectomics.evaluation import volumes
from connectomics.inference.by_block import windows_of
from connectomics.inference.windows import Sliding
from connectomics.pipeline import plan_begun, plan_lines, planning
from connectomics.pipeline.by_block import counting
from connectomics.pipeline.plan_lines import work_of
from connectomics.scoring import labels as label_volumes
from tests.pipeline.by_block.test_by_block import DECODERS
from tests.pipeline.tiny_run import TinyRun, interrupted

BLOCKS = "system.block_size=[8,20,16]"
FUSED = "inference.save_probabilities=false"
OTHER = f"decoding.steps={DECODERS['polarity2instance']}"
STEPS = f"decoding.steps={DECODERS['synapses']}"


class Run(TinyRun):
    """Plans, too."""

    def plan(self, mode: str, *overrides: str, code: int = 0) -> str:
        """What a plan says; it has to leave all files as they are."""
        before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
        said = self(mode, "--plan", *overrides, code=code)
        assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before
        return said


@pytest.fixture
def run(trained, tmp_path, monkeypatch, capsys) -> Run:
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return Run(capsys)


@pytest.fixture
def in_bytes(monkeypatch):
    """Sizes are said in bytes."""
    for module in (planning, plan_lines):
        monkeypatch.setattr(module, "gib", lambda count: f"{count:.0f} B")


@pytest.mark.usefixtures("in_bytes")
def test_blocks_that_are_predicted_are_not_counted_again(run):
    whole = run.plan("test", BLOCKS)
    assert "predicted already" not in whole
    assert "read twice, to know it and its grey values: 64400 B" in whole
    assert "writes 386400 B of float32" in whole  # 3 channels of 14 x 50 x 46
    assert "disk 515200 B at most" in whole
    run("infer", BLOCKS, "system.shard=0/3")  # those that are first along x: 16 voxels of 46
    said = run.plan("test")  # in the blocks that it was begun with
    assert "18 blocks of 8 x 20 x 16, 480 windows" in said
    assert "plan:   6 of 18 blocks are predicted already and stay; left: 12\n" in said
    assert "at the start nothing is read: it is known, and so are its grey values" in said
    assert "writes 252000 B of float32" in said
    assert "disk 380800 B at most" in said
    said = run.plan("infer", BLOCKS, "system.shard=1/3")
    assert "left: 12, 6 of these for shard 1/3\n" in said
    assert "with 3 shards of 1 worker each" in said
    said = run.plan("infer", "system.block_size=[8,20,20]", code=2)
    assert "begun with other settings or data: block size was [8, 20, 16] and is" in said


@pytest.mark.usefixtures("in_bytes")
def test_what_is_there_takes_nothing_and_what_it_has_lost_is_left(run):
    run("infer", BLOCKS)
    said = run.plan("test", BLOCKS, STEPS)
    path = run.results / "probabilities.zarr"
    assert f"nothing to predict: {path} is there, and is what is asked for" in said
    assert "read twice" not in said
    assert "disk 128800 B at most" in said
    (path / "0" / "c" / "0" / "1" / "2" / "2").unlink()
    said = run.plan("infer", BLOCKS)
    assert "plan:   17 of 18 blocks are predicted already and stay; left: 1\n" in said
    assert "disk 10080 B at most" in said  # 3 channels of 6 x 10 x 14
    assert "1 block done now" in run("infer", BLOCKS)


@pytest.mark.usefixtures("in_bytes")
@pytest.mark.parametrize("mode", ["decode", "test"])
def test_passes_of_decoding_that_are_through_are_not_counted_again(run, mode):
    run("infer", BLOCKS)
    with interrupted("labels", 6):
        run("decode", BLOCKS, STEPS, code=130)
    said = run.plan(mode, BLOCKS, STEPS)
    passes = "5 of 6 passes of decoding are through, and 5 of 18 blocks of the next (labels)"
    assert f"plan:   {passes}; these stay\n" in said
    assert "decode reads 93022 B, writes up to 93022 B" in said  # 13 of 18 of one pass of six
    run("decode", BLOCKS, STEPS)
    said = run.plan(mode, BLOCKS, STEPS)
    assert f"decode does nothing: {run.results / 'labels.zarr'} is there, and" in said
    assert "disk 0 B at most" in said
    assert "decode reads 386400 B" in run.plan("decode", BLOCKS, OTHER)  # made anew


def test_what_is_predicted_to_be_decoded_is_not_counted_again(run):
    run("decode", BLOCKS, STEPS, FUSED, "system.shard=0/2")
    said = run.plan("decode", BLOCKS, STEPS, FUSED)
    assert "plan:   9 of 18 blocks are predicted already and stay; left: 9\n" in said
    assert "0 of 6 passes of decoding are through, and 9 of 18 blocks of the next" in said
    run("decode", BLOCKS, STEPS, FUSED)
    assert "decode does nothing: " in run.plan("decode", BLOCKS, STEPS, FUSED)


def test_what_is_counted_of_scores_stays(run, monkeypatch):
    monkeypatch.setattr(label_volumes, "IN_MEMORY", 0)
    monkeypatch.setattr(volumes, "BLOCK_VOXELS", 2**12)
    for module in (counting, plan_begun):
        monkeypatch.setattr(module, "FEW_VOXELS", 0)
    count = counting.run_pass

    def stops(*a, **b):
        if "voxels looked for" in b["what"]:
            raise KeyboardInterrupt
        return count(*a, **b)

    with monkeypatch.context() as patch:
        patch.setattr(counting, "run_pass", stops)
        run("test", BLOCKS, STEPS, code=130)
    said = run.plan("test", BLOCKS, STEPS)
    (pieces,) = re.findall(r"plan: (\d+) of some \d+ pieces of counting are done; these stay", said)
    assert int(pieces) == len(list((run.run / "results/blocks/scores/done").glob("[lv]*-*/*/*")))
    assert "evaluate reads truth and labels for what is left of 2 times to count" in said
    run("test", BLOCKS, STEPS)
    assert "evaluate does nothing: " in run.plan("test", BLOCKS, STEPS)


def test_a_volume_that_has_changed_is_not_read_to_know_it(run, monkeypatch):
    run("infer", BLOCKS, "system.shard=0/3")
    Path("vol.h5").touch()
    monkeypatch.setattr(identity, "_READ", {})
    said = run.plan("infer", BLOCKS)
    assert "as of which volume shows when vol.h5 has been read: all of it is counted" in said
    assert "6 of 18 blocks" not in said
    run("infer", BLOCKS)


def test_work_that_is_left_is_that_of_its_blocks():
    sliding = Sliding((4, 8, 8))
    predictor = SimpleNamespace(sliding=sliding)
    grid = BlockGrid((6, 20, 30), (4, 8, 16))
    left = np.random.default_rng(0).random(len(grid)) < 0.5
    assert 0 < left.sum() < len(grid)
    found = [
        windows_of(one.box, grid.shape, sliding)
        for one, is_left in zip(grid, left, strict=True)
        if is_left
    ]
    work = work_of(predictor, grid, left)  # pyright: ignore
    assert work.windows == sum(one.count for one in found)
    assert work.read == sum(one.hull.size for one in found)
    assert work.voxels == sum(one.box.size for one in found)
    assert work_of(predictor, grid) == work_of(predictor, grid, np.ones(len(grid), bool))  # pyright: ignore
