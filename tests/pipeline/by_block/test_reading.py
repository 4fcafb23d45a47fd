"""What is read of a large EM volume before its first block is shared out, and gone on with."""

from __future__ import annotations

import re
import shutil

import h5py
import numpy as np
import pytest

from connectomics.blocks import runner
from connectomics.data import identity
from connectomics.data.processing import grey_values
from connectomics.data.processing.normalize import image_statistics
from connectomics.mapping import mapped_by
from connectomics.pipeline import plan_lines
from connectomics.pipeline.by_block import counting
from connectomics.process.signals import Stopped
from tests.pipeline.tiny_run import TinyRun

BLOCKS = "system.block_size=[8,20,16]"
PROCESSES = "system.executor={name: processes, workers: 2}"
VOLUME = "vol.h5"


class Run(TinyRun):
    """What it writes of probabilities."""

    def written(self) -> dict[str, bytes]:
        """Every block of the probabilities, and their metadata."""
        store = self.results / "probabilities.zarr"
        files = {str(path.relative_to(store)): path for path in store.rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in files.items()}


@pytest.fixture
def run(trained, tmp_path, monkeypatch, capsys) -> Run:
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    with h5py.File(VOLUME, "r+") as file:  # in small chunks
        values, attributes = np.asarray(file["main"]), dict(file["main"].attrs)
        del file["main"]
        file.create_dataset("main", data=values, chunks=(7, 17, 12)).attrs.update(attributes)
    return Run(capsys)


@pytest.fixture
def large(monkeypatch):
    """Volumes count as large, and what is read together is small."""
    monkeypatch.setattr(counting, "FEW_VOXELS", 0)
    monkeypatch.setattr(counting, "TASK_VOXELS", 2**13)
    monkeypatch.setattr(grey_values, "PART_VOXELS", 2**12)
    monkeypatch.setattr(identity, "_READ", {})


def read_at_the_start(said: str) -> dict[str, str]:
    """What was done of each pass before the first block."""
    return dict(re.findall(r"^infer: (voxels read|grey values counted): (.*)$", said, re.M))


@pytest.fixture
def narrow(monkeypatch):
    """What is summed up by itself is narrow; processes that are started know nothing of it."""
    monkeypatch.setattr(identity, "TILE", 16)


BOTH = {"voxels read", "grey values counted"}


@pytest.mark.usefixtures("narrow")
def test_reading_by_parts_gives_the_same(run, request):
    assert not read_at_the_start(run("infer", BLOCKS))
    expected = run.written()
    shutil.rmtree(run.results)
    request.getfixturevalue("large")
    read = read_at_the_start(run("infer", BLOCKS))
    assert read.keys() == BOTH
    assert all(int(one.split()[0]) > 1 for one in read.values())
    assert run.written() == expected
    assert not run.begun.exists()


def test_reading_by_processes_gives_the_same(run, request):
    run("infer", BLOCKS)
    expected = run.written()
    shutil.rmtree(run.results)
    request.getfixturevalue("large")
    assert read_at_the_start(run("infer", BLOCKS, PROCESSES)).keys() == {"grey values counted"}
    assert run.written() == expected


@pytest.mark.usefixtures("large", "narrow")
@pytest.mark.parametrize("what", ["voxels read", "grey values counted"])
def test_reading_that_was_stopped_goes_on(run, monkeypatch, what):
    whole = read_at_the_start(run("infer", BLOCKS))
    expected = run.written()
    shutil.rmtree(run.results)
    monkeypatch.setattr(identity, "_READ", {})
    count = runner._count

    def stops(outcome, tally, progress):
        count(outcome, tally, progress)
        if what in progress.what:
            raise Stopped(15)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "_count", stops)
        said = run("infer", BLOCKS, code=128 + 15)
    assert "the same command goes on" in said
    monkeypatch.setattr(identity, "_READ", {})
    again = read_at_the_start(run("infer", BLOCKS))
    blocks = int(whole[what].split()[0])
    assert again[what] == f"{blocks - 1} blocks done now, 1 done before"
    assert run.written() == expected
    assert not run.begun.exists()


@pytest.mark.usefixtures("large", "narrow")
def test_what_was_read_of_a_volume_before_it_changed_is_not_taken(run, monkeypatch):
    count = runner._count

    def stops(outcome, tally, progress):
        count(outcome, tally, progress)
        raise Stopped(15)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "_count", stops)
        run("infer", BLOCKS, code=128 + 15)
    monkeypatch.setattr(identity, "_READ", {})
    with h5py.File(VOLUME, "r+") as file:
        file["main"][...] = 255 - np.asarray(file["main"])  # pyright: ignore
    read = read_at_the_start(run("infer", BLOCKS))
    assert "before" not in "".join(read.values())


@pytest.mark.usefixtures("large", "narrow")
def test_a_shard_reads_by_itself(run):
    assert not read_at_the_start(run("infer", BLOCKS, "system.shard=0/2"))
    assert "9 blocks done now" in run("infer", BLOCKS, "system.shard=1/2")
    assert not read_at_the_start(run("infer", BLOCKS))


@pytest.mark.usefixtures("large", "narrow")
def test_reading_is_shared_out_where_probabilities_are_not_kept(run):
    said = run("decode", BLOCKS, "inference.save_probabilities=false")
    assert read_at_the_start(said).keys() == BOTH
    assert not run.begun.exists()


@pytest.mark.usefixtures("large")
def test_a_plan_counts_on_those_who_read(run, monkeypatch):
    monkeypatch.setattr(plan_lines, "FEW_VOXELS", 0)
    said = run("infer", BLOCKS, PROCESSES, "--plan")
    assert re.search(r"it is read twice, .* with 2 workers", said)
    said = run("infer", BLOCKS, "system.shard=0/2", "--plan")
    assert re.search(r"it is read twice, .* with this process", said)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_statistics_do_not_depend_on_who_looks(monkeypatch, dtype):
    monkeypatch.setattr(grey_values, "PART_VOXELS", 500)
    image = np.random.default_rng(0).normal(100, 20, (9, 20, 30)).astype(dtype)
    passes = []

    def backwards(work, boxes, what, given):
        passes.append(what)
        return iter([work(box) for box in reversed(boxes)][::-1])

    with mapped_by(backwards):
        found = image_statistics(image, clip_percentile_low=0.01, clip_percentile_high=0.99)
    assert len(passes) == (3 if dtype == "float32" else 1)
    assert found == image_statistics(image, clip_percentile_low=0.01, clip_percentile_high=0.99)
