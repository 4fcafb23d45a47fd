from __future__ import annotations

import importlib
import os
import sys

import pytest

from connectomics.blocks import BlockGrid, open_ledger, run_tasks
from connectomics.blocks.cluster import DaskCluster, Job
from connectomics.errors import MachineError

GRID = BlockGrid((3, 4, 4), (1, 2, 2))  # twelve blocks
WORKS = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path

@dataclass
class Work:
    deadly: str = ""

    def __call__(self, task):
        if task.name == self.deadly and not Path("died").exists():
            Path("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.05)
        Path(task.name).touch()  # seen from where the command was given
        return {"pid": os.getpid()}
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
    cluster = DaskCluster(workers=2)
    tally = run_tasks(lambda: GRID, work, ledger, what="infer", executor=cluster)
    assert tally.done == len(GRID)
    assert (tmp_path / "here" / "died").exists()
    assert all((tmp_path / "here" / block.name).exists() for block in GRID)
    pids = {(ledger.facts(block.name) or {})["pid"] for block in GRID}
    assert os.getpid() not in pids
    assert len(pids) >= 2


def test_a_scheduler_that_is_not_there_is_said(works, tmp_path):
    ledger = open_ledger(tmp_path / "ledger", {}, "blocks")
    executor = DaskCluster(scheduler="tcp://127.0.0.1:9", seconds_to_answer=1)
    with pytest.raises(MachineError, match="no Dask scheduler answers there"):
        run_tasks(lambda: GRID, works.Work(), ledger, what="infer", executor=executor)


def test_without_dask_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MachineError, match=r"pip install 'connectomics\[dask\]'"):
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
