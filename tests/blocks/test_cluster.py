from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from connectomics.blocks import BlockGrid, Ledger, keeping_workers, open_ledger, run_tasks
from connectomics.blocks.cluster import DaskCluster, Job, workers_there
from connectomics.errors import MachineError

GRID = BlockGrid((3, 4, 4), (1, 2, 2))  # twelve blocks
WORKS = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
from connectomics.process.cpus import available_cpus

@dataclass
class Work:
    deadly: str = ""

    def __call__(self, task):
        if task.name == self.deadly and not Path("died").exists():
            Path("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.05)
        Path(task.name).touch()  # seen from where the command was given
        return {"pid": os.getpid(), "threads": available_cpus()}
"""


@pytest.fixture
def works(tmp_path, monkeypatch):
    """A module that workers can import."""
    pytest.importorskip("distributed")
    (tmp_path / "works_of_a_cluster.py").write_text(WORKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return importlib.import_module("works_of_a_cluster")


def test_workers_share_the_blocks_and_one_that_is_killed_costs_its_own(works, tmp_path):
    ledger = open_ledger(tmp_path / "ledger", {}, "blocks")
    work = works.Work("0001_0000_0001")
    cluster = DaskCluster(workers=2, threads=3)
    tally = run_tasks(lambda: GRID, work, ledger, what="infer", executor=cluster)
    assert tally.done == len(GRID)
    assert (tmp_path / "here" / "died").exists()
    assert all((tmp_path / "here" / block.name).exists() for block in GRID)
    facts = [ledger.facts(block.name) or {} for block in GRID]
    pids = {one["pid"] for one in facts}
    assert os.getpid() not in pids
    assert len(pids) >= 2
    assert {one["threads"] for one in facts} == {3}


def test_a_cluster_is_asked_for_its_workers_once_for_all_passes(works, tmp_path, monkeypatch):
    asked, start = [], DaskCluster.start
    monkeypatch.setattr(DaskCluster, "start", lambda self: asked.append(self) or start(self))
    pids = set()
    with keeping_workers():
        for stage in ("candidates", "labels"):
            ledger = open_ledger(tmp_path / stage, {}, stage)
            cluster = DaskCluster(workers=1, job=Job(directives=["--gres=gpu:1"]))
            run_tasks(lambda: GRID, works.Work(), ledger, what="decode", executor=cluster)
            pids |= {(ledger.facts(block.name) or {})["pid"] for block in GRID}
    assert (len(asked), len(pids)) == (1, 1)


@pytest.fixture
def started():
    """Starts parts of Dask, and ends them."""
    processes = []

    def start(part: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{part}", *arguments]
        processes.append(subprocess.Popen([*command, "--no-dashboard"], stderr=subprocess.DEVNULL))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_lost_scheduler_costs_nothing_that_is_marked(works, tmp_path, started, capfd):
    port = "18797"
    ledger = open_ledger(tmp_path / "ledger", {}, "blocks")
    executor = DaskCluster(scheduler=f"tcp://127.0.0.1:{port}")
    scheduler = started("scheduler", "--host", "127.0.0.1", "--port", port)
    started("worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1")
    many = BlockGrid((400, 1, 1), (1, 1, 1))

    def kill_when_some_are_done():
        while len(list((ledger.folder / "done").rglob("*_0000"))) < 9:
            time.sleep(0.05)
        scheduler.kill()

    threading.Thread(target=kill_when_some_are_done, daemon=True).start()
    with pytest.raises(MachineError, match="the Dask scheduler was lost"):
        run_tasks(lambda: many, works.Work(), ledger, what="infer", executor=executor)
    assert "Traceback" not in capfd.readouterr().err
    tally = run_tasks(lambda: many, works.Work(), Ledger(ledger.folder), what="infer")
    assert tally.earlier >= 9
    assert tally.earlier + tally.done == 400


def test_every_worker_is_counted_as_long_as_the_scheduler_answers():
    threads = {f"tcp://10.0.0.{number}:4000": 1 for number in range(40)}
    client = SimpleNamespace(status="running", nthreads=lambda: threads)
    assert workers_there(client) == 40

    def silent():
        raise OSError("the connection is closed")

    assert workers_there(SimpleNamespace(status="running", nthreads=silent)) == 0
    assert workers_there(SimpleNamespace(status="closed")) == 0


def test_a_scheduler_that_is_not_there_is_said(works, tmp_path):
    ledger = open_ledger(tmp_path / "ledger", {}, "blocks")
    executor = DaskCluster(scheduler="tcp://127.0.0.1:9", seconds_to_answer=1)
    with pytest.raises(MachineError, match="no Dask scheduler answers there"):
        run_tasks(lambda: GRID, works.Work(), ledger, what="infer", executor=executor)


def test_without_dask_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MachineError, match=r'pip install "distributed>=2025\.1"'):
        next(DaskCluster().map(lambda task: {}, []))


@pytest.mark.parametrize(
    ("cluster", "lines"),
    [
        (
            "slurm",
            [
                "#SBATCH -p gpu",
                "#SBATCH -A lab",
                "#SBATCH -t 4:00:00",
                "#SBATCH --gres=gpu:1",
                "#SBATCH --cpus-per-task=8",
                "#SBATCH --mem=30G",
            ],
        ),
        (
            "lsf",
            [
                "#BSUB -q gpu",
                '#BSUB -P "lab"',
                "#BSUB -W 4:00:00",
                "#BSUB -n 8",
                "#BSUB --gres=gpu:1",
            ],
        ),
        (
            "pbs",
            [
                "#PBS -q gpu",
                "#PBS -A lab",
                "#PBS -l walltime=4:00:00",
                "ncpus=8:mem=32GB",
                "#PBS --gres=gpu:1",
            ],
        ),
    ],
)
def test_what_a_job_asks_for_stands_in_its_script(cluster, lines):
    pytest.importorskip("dask_jobqueue")
    job = Job(8, "32GB", "4:00:00", "gpu", "lab", ("--gres=gpu:1",))
    with DaskCluster(4, cluster, job=job).jobs() as jobs:
        script = jobs.job_script()
    for line in lines:
        assert line in script
    assert "--nthreads 1" in script


@pytest.mark.parametrize(
    ("cluster", "command"), [("slurm", "sbatch"), ("lsf", "bsub"), ("pbs", "qsub")]
)
def test_jobs_are_refused_where_nothing_submits_them(cluster, command, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MachineError, match=f"{cluster} submits jobs by {command}, which this"):
        DaskCluster(4, cluster).start()
