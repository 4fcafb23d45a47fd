"""Scores of large volumes, whose blocks others look at, are those of the whole."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from connectomics.blocks import runner
from connectomics.data import identity
from connectomics.errors import DataError
from connectomics.evaluation import volumes
from connectomics.geometry import Box, block_boxes
from connectomics.pipeline.by_block import counting
from connectomics.report import cutouts
from connectomics.scoring import labels as label_volumes
from tests.pipeline.crossing_synapses import synapses
from tests.pipeline.tiny_run import TinyRun

SHAPE = (14, 50, 46)
METRICS = (
    "evaluation.metrics=[polarity,detection,jaccard,cremi_clefts,em_r50_pair,points,cremi_partners,"
    "{name: em_r50_union, kwargs: {crop_z: 1, min_size: 4}}]"
)
PROCESSES = "system.executor={name: processes, workers: 2}"


def store(path: str | Path, labels: np.ndarray) -> None:
    """Write labels in small chunks."""
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("main", data=labels, chunks=(7, 17, 12))
        dataset.attrs.update(encoding="polarity", resolution=(30.0, 8.0, 8.0))


class Run(TinyRun):
    """Its volume is decoded; results are the scores."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__(capsys)
        self.results = self.run / "results"
        self.begun = self.results / "blocks"

    def written(self) -> dict[str, bytes]:
        """Scores, page and picture, without what says when they were made; they go."""
        found = {
            path.name: path.read_bytes()
            for path in (*self.results.glob("*.*"), self.results / "vol" / "comparison.png")
            if path.suffix in (".json", ".csv", ".txt", ".html", ".png")
        }
        for name in found:
            (self.results / name).unlink(missing_ok=True)
        return found


@pytest.fixture
def run(trained, tmp_path, monkeypatch, capsys) -> Run:
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    rng = np.random.default_rng(0)
    store("mask.h5", (rng.random(SHAPE) < 0.9).astype(np.uint8))
    store("neurons.h5", rng.integers(0, 5, SHAPE).astype(np.uint32))
    config = yaml.safe_load(Path("my.yaml").read_text())
    config["data"]["test"] |= {"mask": "mask.h5", "neurons": "neurons.h5"}
    Path("my.yaml").write_text(yaml.safe_dump(config))
    run = Run(capsys)
    truth = synapses(rng, SHAPE, 20)
    found = np.where(
        rng.random((14, 1, 1)) < 0.7, np.roll(truth, (1, 2), (1, 2)), synapses(rng, SHAPE, 20)
    )
    (run.results / "vol").mkdir(parents=True)
    store("syn.h5", truth)
    store(run.results / "vol" / "labels.h5", found)
    return run


@pytest.fixture
def large(monkeypatch):
    """Volumes count as large, and blocks are small."""
    monkeypatch.setattr(label_volumes, "IN_MEMORY", 0)
    monkeypatch.setattr(label_volumes, "_SEEN", {})
    monkeypatch.setattr(volumes, "BLOCK_VOXELS", 2**12)
    monkeypatch.setattr(counting, "FEW_VOXELS", 0)
    monkeypatch.setattr(cutouts, "LARGEST_SLAB", 0)


@pytest.mark.parametrize("name", ["processes", pytest.param("dask", marks=pytest.mark.slow)])
def test_scores_by_other_processes_are_those_of_the_whole(run, request, name):
    if name == "dask":
        pytest.importorskip("distributed")
    run("evaluate", METRICS)
    expected = run.written()
    assert {"scores.json", "matches.csv", "report.html", "comparison.png"} <= set(expected)
    request.getfixturevalue("large")
    said = run("evaluate", METRICS, f"system.executor={{name: {name}, workers: 2}}")
    assert "evaluate: distances measured: 6 blocks done now" in said
    assert "evaluate: components found: 6 blocks done now" in said
    assert run.written() == expected
    assert not run.begun.exists()


@pytest.mark.usefixtures("large")
def test_what_two_metrics_ask_is_counted_once(run):
    said = run("evaluate", "evaluation.metrics=[polarity,detection]")
    lines = [line for line in said.splitlines() if "labels compared" in line]
    assert lines[0] == "evaluate: labels compared: 6 blocks done now"
    assert lines[1] == "evaluate: labels compared: 6 done before"


def test_semantic_labels_are_grouped_by_processes(run, request):
    semantic = ("evaluation.truth_encoding=semantic", "evaluation.metrics=[polarity]")
    with h5py.File("syn.h5", "r+") as file:
        file["main"].attrs["encoding"] = "semantic"
        labels = np.asarray(file["main"])
        file["main"][...] = np.where(labels > 0, 2 - labels % 2, 0)  # pyright: ignore
    run("evaluate", *semantic)
    expected = run.written()
    request.getfixturevalue("large")
    said = run("evaluate", *semantic, PROCESSES)
    assert "evaluate: components found: 6 blocks done now" in said
    assert run.written() == expected


def test_small_volumes_begin_nothing(run, monkeypatch):
    begun = []
    monkeypatch.setattr(counting, "begin_anew", begun.append)
    monkeypatch.setattr(counting, "open_ledger", lambda *_: begun.append(_))
    said = run("evaluate", METRICS, PROCESSES)
    assert "done now" not in said
    assert not begun


@pytest.mark.usefixtures("large")
def test_what_is_read_to_know_volumes_is_shared_out_and_kept(run, monkeypatch):
    monkeypatch.setattr(identity, "TILE", 16)  # a chunk is 17 x 12: 2 x 3 columns
    run("evaluate")
    expected = run.written()
    monkeypatch.setattr(identity, "_READ", {})
    monkeypatch.setattr(label_volumes, "_SEEN", {})
    count = counting.run_pass
    monkeypatch.setattr(
        counting, "run_pass", lambda *a, what: count(*a, what=what) and "labels" not in what
    )
    said = run("evaluate")
    assert said.count("evaluate: voxels read: 2 blocks done now") == 4  # with mask and neurons
    assert list((run.begun / "volumes" / "done").iterdir())
    monkeypatch.setattr(counting, "run_pass", count)
    monkeypatch.setattr(identity, "_READ", {})
    monkeypatch.setattr(label_volumes, "_SEEN", {})
    said = run("evaluate")
    assert "voxels read" not in said  # as the scores that were begun know the volumes
    assert run.written() == expected
    assert not run.begun.exists()


@pytest.mark.usefixtures("large")
def test_a_stopped_evaluation_goes_on(run, monkeypatch):
    run("evaluate", METRICS)
    expected = run.written()
    count, seen = runner._count, []

    def stops(outcome, tally, progress):
        count(outcome, tally, progress)
        seen.append(outcome.task.name)
        if len(seen) == 15:  # in the third pass
            raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_count", stops)
    monkeypatch.setattr(label_volumes, "_SEEN", {})
    run("evaluate", METRICS, code=130)
    assert not (run.results / "scores.json").exists()
    assert (run.begun / "scores" / "key.json").exists()
    monkeypatch.setattr(runner, "_count", count)
    monkeypatch.setattr(label_volumes, "_SEEN", {})
    said = run("evaluate", METRICS)
    assert "evaluate: labels read: 6 done before\nevaluate: voxels counted: 6 done before" in said
    assert "evaluate: labels read: 3 blocks done now, 3 done before" in said
    assert run.written() == expected
    assert not run.begun.exists()


@pytest.mark.usefixtures("large")
def test_what_was_begun_with_others_is_counted_anew(run, monkeypatch):
    count = counting.run_pass
    monkeypatch.setattr(counting, "run_pass", lambda *a, **b: count(*a, **b) and False)
    run("evaluate", "evaluation.metrics=[polarity]")
    begun = run.begun / "scores"
    assert (begun / "key.json").exists()
    monkeypatch.setattr(counting, "run_pass", count)
    monkeypatch.setattr(label_volumes, "_SEEN", {})
    said = run("evaluate", "evaluation.metrics=[detection]")
    assert "evaluate: all blocks anew: evaluation.metrics[0].name was polarity" in said
    assert "evaluate: labels read: 6 blocks done now" in said


def flip(path: Path) -> None:
    """Change a byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("what", ["part", "marker", "key"])
def test_a_count_that_is_damaged_is_counted_again(run, monkeypatch, what):
    only = "evaluation.metrics=[polarity]"
    run("evaluate", only)
    expected = run.written()
    count = counting.run_pass

    def stops(*a, **b):
        if "labels compared" in b["what"]:
            raise KeyboardInterrupt
        return count(*a, **b)

    monkeypatch.setattr(label_volumes, "_SEEN", {})
    with monkeypatch.context() as patch:
        patch.setattr(counting, "run_pass", stops)
        run("evaluate", only, code=130)
    begun = run.begun / "scores"
    part, *_ = sorted(begun.glob("voxels_counted-*/*/*.npz"))
    marker = begun / "done" / part.relative_to(begun).with_suffix("")
    flip({"part": part, "marker": marker, "key": begun / "key.json"}[what])
    monkeypatch.setattr(label_volumes, "_SEEN", {})
    said = run("evaluate", only)
    lines = {
        "part": f"evaluate: {part}: not as written; made again\n"
        "evaluate: voxels counted: 1 block done now, 5 done before\n",
        "marker": "evaluate: voxels counted: 1 block done now, 5 done before, 1 made again, whose",
        "key": "evaluate: all blocks anew: ",
    }
    assert lines[what] in said
    assert run.written() == expected
    assert not run.begun.exists()


@pytest.mark.usefixtures("large")
def test_shards_share_the_blocks_of_an_evaluation(run, monkeypatch):
    only = "evaluation.metrics=[polarity,cremi_clefts]"
    run("evaluate", only)
    expected = run.written()
    for _ in range(20):
        said = []
        for shard in ("0/2", "1/2"):
            monkeypatch.setattr(label_volumes, "_SEEN", {})
            said.append(run("evaluate", only, f"system.shard={shard}"))
        assert not (run.results / "scores.json").exists()
        if "evaluate: all blocks are done." in said[1]:
            break
        assert "blocks of other shards are not done yet" in said[0]
    assert "3 blocks done now of shard" not in said[1]
    monkeypatch.setattr(label_volumes, "_SEEN", {})
    said = run("evaluate", only)
    assert "done now" not in said.partition("what was there")[0]
    assert run.written() == expected


DRIVER = """
import os, signal, sys
from multiprocessing import active_children
from connectomics.blocks import runner
from connectomics.errors import DataError
from connectomics.evaluation import volumes
from connectomics.pipeline.by_block import counting
from connectomics.scoring import labels
from main import main

def kills(outcome, tally, progress, count=runner._count, seen=[]):
    count(outcome, tally, progress)
    seen.append(outcome)
    if len(seen) == {at}:
        os.kill({pid}, signal.SIGKILL)

runner._count, labels.IN_MEMORY, volumes.BLOCK_VOXELS, counting.FEW_VOXELS = kills, 0, 2**12, 0
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    ("at", "pid"),
    [(2, "os.getpid()"), (50, "os.getpid()"), (15, "active_children()[0].pid")],
)
def test_a_kill_costs_the_blocks_in_hand(run, at, pid):
    only = "evaluation.metrics=[polarity,cremi_clefts,points]"
    run("evaluate", only)
    expected = run.written()
    Path("driver.py").write_text(DRIVER.replace("{at}", str(at)).replace("{pid}", pid))
    arguments = ["--config", "my.yaml", "--mode", "evaluate", "--checkpoint", str(run.run)]
    command = [sys.executable, "driver.py", *arguments, only, PROCESSES]
    paths = os.pathsep.join(sys.path)
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, check=False)
    if pid == "os.getpid()":
        assert ended.returncode == -signal.SIGKILL
        assert not (run.results / "scores.json").exists()
        marked = len(list((run.begun / "scores" / "done").glob("*-*/*/*")))
        assert marked >= at
        label_volumes._SEEN.clear()
        said = run("evaluate", only, PROCESSES)
        before = re.findall(r"(\d+) done before", said.partition("what was there")[0])
        assert sum(map(int, before)) >= marked
    else:
        assert ended.returncode == 0
    assert run.written() == expected
    assert not run.begun.exists()


def test_what_another_has_written_is_not_run(tmp_path):
    work = partial(np.multiply, 2)
    file, known = counting._packed(work, tmp_path)
    file.write_bytes(pickle.dumps(partial(print, "run")))
    with pytest.raises(DataError, match="was changed"):
        counting._unpickled(file, known, "")
    assert counting._packed(work, tmp_path) == (file, known)
    assert counting._unpickled(file, known, "")(3) == 6


def test_tasks_are_blocks_that_make_up_a_box(monkeypatch):
    monkeypatch.setattr(counting, "TASK_VOXELS", 64)
    boxes = block_boxes((4, 4, 20), (2, 2, 2))
    tasks = list(counting.tasks_of(boxes, range(len(boxes))))
    assert [box for task in tasks for box in task.boxes] == boxes
    assert [len(task.boxes) for task in tasks] == [8, 2] * 4
    assert [list(task.given or ()) for task in tasks[:2]] == [[*range(8)], [8, 9]]
    assert tasks[1].box == Box((0, 0, 16), (2, 2, 20))
    assert [task.name for task in tasks[:2]] == ["00000_00000000", "00000_00000008"]


def test_a_worker_that_outlives_a_command_reads_volumes_anew(tmp_path):
    work = partial(np.multiply, 2)
    file, known = counting._packed(work, tmp_path)
    counting._unpickled.cache_clear()
    for key in ("a", "a", "b"):
        assert counting._unpickled(file, known, key)(3) == 6
    assert counting._unpickled.cache_info().misses == 2
