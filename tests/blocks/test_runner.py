from __future__ import annotations

import signal
from dataclasses import dataclass, field

import pytest

from connectomics.blocks import (
    BlockGrid,
    Ledger,
    Shard,
    ThisProcess,
    discard,
    open_ledger,
    run_tasks,
)
from connectomics.errors import DataError, StoreError
from connectomics.process.signals import Stopped

GRID = BlockGrid((2, 4, 4), (1, 2, 2))  # eight blocks


@dataclass
class Work:
    """Counts what it does; some tasks fail some times."""

    fails: dict[str, int] = field(default_factory=dict)
    error: Exception = field(default_factory=lambda: DataError("em.h5", "cannot be read."))
    did: list[str] = field(default_factory=list)

    def __call__(self, task):
        self.did.append(task.name)
        if self.fails.get(task.name, 0) > 0:
            self.fails[task.name] -= 1
            raise self.error
        return {"empty": task.name.endswith("1")}


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return open_ledger(tmp_path, {}, "blocks")


def run(work, ledger, **settings):
    return run_tasks(lambda: GRID, work, ledger, what="infer", **settings)


def test_every_task_is_done_once_and_marked(ledger):
    work = Work()
    tally = run(work, ledger)
    assert sorted(work.did) == [block.name for block in GRID]
    assert (tally.total, tally.done, tally.earlier, tally.counts) == (8, 8, 0, {"empty": 4})
    again = Work()
    tally = run(again, Ledger(ledger.folder))
    assert again.did == []
    assert (tally.done, tally.earlier) == (0, 8)


def test_nothing_is_written_where_others_have_begun_anew(ledger):
    discard(ledger.folder)
    open_ledger(ledger.folder, {"thres": 0.4}, "blocks")
    work = Work()
    with pytest.raises(DataError, match="was deleted, or begun anew"):
        run(work, ledger, retries=0)
    assert work.did == []


def test_a_failure_is_tried_again_after_all_others(ledger):
    work = Work({"0000_0000_0000": 2})
    tally = run(work, ledger)
    assert work.did == [block.name for block in GRID] + ["0000_0000_0000"] * 2
    assert tally.done == 8


def test_what_fails_for_good_is_listed_and_all_else_is_done(ledger, capsys):
    bad = "0001_0000_0001"
    with pytest.raises(DataError) as error:
        run(Work({bad: 9}), ledger)
    message = str(error.value)
    assert "infer: 1 of 8 blocks failed; all others are done." in message
    assert f"{bad} (from voxel (1, 0, 2) to (2, 2, 4)): em.h5: cannot be read." in message
    work = Work()
    run(work, Ledger(ledger.folder))
    assert work.did == [bad]
    assert "Traceback" not in capsys.readouterr().err


def test_a_fault_of_the_program_is_told_in_full(ledger, capsys):
    with pytest.raises(DataError, match="ZeroDivisionError: so"):
        run(Work({"0000_0000_0000": 9}, error=ZeroDivisionError("so")), ledger)
    assert "Traceback" in capsys.readouterr().err


def test_where_nothing_works_the_rest_is_not_tried(ledger):
    grid = BlockGrid((500, 1, 1), (1, 1, 1))
    work = Work({block.name: 9 for block in grid})
    with pytest.raises(DataError, match=r"50 of 500 blocks failed; 450 were not tried"):
        run_tasks(lambda: grid, work, ledger, what="infer")
    assert len(work.did) == 50


def test_where_the_store_is_away_the_rest_is_not_tried(ledger):
    names = [block.name for block in GRID]
    error = StoreError("s3://scans/em", "the server cannot be reached.")
    work = Work(dict.fromkeys([names[1], *names[3:]], 9), error=error)
    expected = "4 of 8 blocks failed; 2 were not tried, as the store that is read failed 3 times"
    with pytest.raises(DataError, match=expected) as caught:
        run(work, ledger)
    assert work.did == names[:6]  # none of them again
    assert f"{names[5]} (from voxel (1, 0, 2) to (2, 2, 4)): s3://scans/em: the server" in str(
        caught.value
    )
    work = Work()
    run(work, Ledger(ledger.folder))
    assert work.did == [names[1], *names[3:]]


def test_whoever_stops_it_is_told_that_it_goes_on(ledger):
    def stopped(task):
        if task.name == "0001_0000_0000":
            raise Stopped(signal.SIGTERM)
        return {}

    with pytest.raises(Stopped, match="4 of 8 blocks are done; the same command goes on"):
        run(stopped, ledger)


def test_shards_do_all_between_them(ledger):
    did = []
    for index in range(3):
        work = Work()
        run(work, Ledger(ledger.folder), shard=Shard(index, 3))
        did += work.did
    assert sorted(did) == [block.name for block in GRID]
    last = Work()
    run(last, Ledger(ledger.folder))
    assert last.did == []


def test_what_is_marked_and_gone_is_made_again(ledger):
    run(Work(), ledger)
    work = Work()
    gone = "0001_0001_0000"
    tally = run(work, Ledger(ledger.folder), intact=lambda task, facts: task.name != gone)
    assert work.did == [gone]
    assert (tally.damaged, tally.earlier, tally.done) == (1, 7, 1)


def test_tasks_are_taken_one_by_one(ledger):
    def endless():
        for block in GRID:
            taken.append(block.name)
            yield block

    taken = []
    outcomes = ThisProcess().map(Work(), endless())
    next(outcomes)
    assert len(taken) == 1
