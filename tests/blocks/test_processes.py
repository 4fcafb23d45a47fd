from __future__ import annotations

import importlib
import os

import pytest

from connectomics.blocks import (
    BlockGrid,
    Shard,
    end_workers,
    keeping_workers,
    open_ledger,
    run_tasks,
)
from connectomics.blocks.processes import LocalProcesses
from connectomics.errors import DataError

GRID = BlockGrid((2, 4, 4), (1, 2, 2))  # eight blocks
WORKS = """
import os, signal
from dataclasses import dataclass
from pathlib import Path

from connectomics.process.cpus import available_cpus

@dataclass
class Work:
    folder: Path
    deadly: str = ""
    always: bool = False
    opened: int = 0

    def __call__(self, task):
        self.opened += 1
        if task.name == self.deadly and (self.always or not (self.folder / "died").exists()):
            (self.folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        with (self.folder / task.name).open("a") as file:
            file.write("x")
        gpu = os.environ.get("CUDA_VISIBLE_DEVICES")
        return {"pid": os.getpid(), "tasks": self.opened, "cpus": available_cpus(), "gpu": gpu}
"""


@pytest.fixture
def works(tmp_path, monkeypatch):
    """A module that other processes can import."""
    (tmp_path / "works_of_a_test.py").write_text(WORKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return importlib.import_module("works_of_a_test")


def run(work, tmp_path, executor):
    ledger = open_ledger(tmp_path / "ledger", {}, "blocks")
    return run_tasks(lambda: GRID, work, ledger, what="infer", executor=executor), ledger


def test_processes_share_the_work_and_open_things_once(works, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    tally, ledger = run(works.Work(tmp_path), tmp_path, LocalProcesses(2, threads=3, gpus=2))
    assert tally.done == 8
    facts = [ledger.facts(block.name) for block in GRID]
    pids = {fact["pid"]: fact["gpu"] for fact in facts}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert sorted(pids.values()) == ["5", "7"]
    assert {fact["cpus"] for fact in facts} == {3}
    assert max(fact["tasks"] for fact in facts) >= 4  # one object for all tasks of a process
    assert {(tmp_path / block.name).read_text() for block in GRID} == {"x"}


def test_a_killed_process_costs_the_block_in_its_hand(works, tmp_path):
    deadly = "0000_0001_0001"
    tally, _ = run(works.Work(tmp_path, deadly), tmp_path, LocalProcesses(2))
    assert tally.done == 8
    assert {(tmp_path / block.name).read_text() for block in GRID} == {"x"}


def test_a_block_that_kills_its_process_is_listed_and_all_else_is_done(works, tmp_path):
    work = works.Work(tmp_path, "0000_0001_0001", always=True)
    with pytest.raises(DataError, match=r"1 of 8 blocks failed; all others are done") as error:
        run(work, tmp_path, LocalProcesses(1))
    assert "was ended by SIGKILL, most likely because memory ran out" in str(error.value)
    assert sum((tmp_path / block.name).exists() for block in GRID) == 7


def test_no_more_tasks_are_taken_than_are_in_hand(works, tmp_path):
    def counted():
        for block in BlockGrid((1000, 1, 1), (1, 1, 1)):
            taken.append(block.name)
            yield block

    taken: list[str] = []
    outcomes = LocalProcesses(2).map(works.Work(tmp_path), counted())
    next(outcomes)
    assert len(taken) <= 4
    outcomes.close()


def test_a_shard_is_shared_by_processes_too(works, tmp_path):
    ledger = open_ledger(tmp_path / "ledger", {}, "blocks")
    tally = run_tasks(
        lambda: GRID,
        works.Work(tmp_path),
        ledger,
        what="infer",
        executor=LocalProcesses(2),
        shard=Shard(1, 2),
    )
    assert (tally.total, tally.done) == (4, 4)


def pids_of_passes(works, tmp_path, *executors, between=lambda: None):
    """The processes that work on each of some passes."""
    found = []
    for number, executor in enumerate(executors):
        ledger = open_ledger(tmp_path / str(number), {}, "blocks")
        work = works.Work(tmp_path, opened=100 * number)  # another in each pass
        run_tasks(lambda: GRID, work, ledger, what="decode", executor=executor)
        facts = [ledger.facts(block.name) or {} for block in GRID]
        assert all(100 * number < fact["tasks"] <= 100 * number + 8 for fact in facts)
        found.append({fact["pid"] for fact in facts})
        between()
    return found


def test_processes_stay_for_the_next_pass_of_the_same_executor(works, tmp_path):
    one, two = LocalProcesses(1), LocalProcesses(1, threads=2)
    with keeping_workers():
        with keeping_workers():
            first, second, third, fourth = pids_of_passes(works, tmp_path, one, one, two, one)
        assert first == second
        assert len({*first, *third, *fourth}) == 3
        (pid,) = fourth
        os.kill(pid, 0)  # an inner scope ends nothing
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_processes_that_wait_can_be_ended_and_are_started_again(works, tmp_path):
    one = LocalProcesses(1)
    with keeping_workers():
        first, second = pids_of_passes(works, tmp_path, one, one, between=end_workers)
    assert first != second
    first, second = pids_of_passes(works, tmp_path / "anew", one, one)  # outside they end at once
    assert first != second


def test_a_process_with_a_block_that_nobody_waits_for_is_ended(works, tmp_path):
    one = LocalProcesses(2)
    with keeping_workers():
        outcomes = one.map(works.Work(tmp_path), GRID)
        first = next(outcomes).facts
        outcomes.close()
        (later,) = pids_of_passes(works, tmp_path, one)
        assert first is not None
        assert first["pid"] not in later
