"""Work on volumes that is done block by block: in any order, in any process, and once.

An artifact that is made so has a `Ledger` in a folder of its own, `run_tasks` does what is not
done yet, and an executor says where.
"""

from __future__ import annotations

from connectomics.blocks.executors import (
    Executor,
    Outcome,
    Task,
    ThisProcess,
    Work,
    end_workers,
    keeping_workers,
)
from connectomics.blocks.grid import Block, BlockGrid
from connectomics.blocks.ledger import (
    Facts,
    Ledger,
    begin_anew,
    discard,
    ledger_begun,
    open_ledger,
    parts_begun,
)
from connectomics.blocks.lock import Shard, UnfinishedError, working_on
from connectomics.blocks.parts import facts_of_file, read_arrays, write_arrays
from connectomics.blocks.runner import Tally, is_done, run_tasks

__all__ = [
    "Block",
    "BlockGrid",
    "Executor",
    "Facts",
    "Ledger",
    "Outcome",
    "Shard",
    "Tally",
    "Task",
    "ThisProcess",
    "UnfinishedError",
    "Work",
    "begin_anew",
    "discard",
    "end_workers",
    "facts_of_file",
    "is_done",
    "keeping_workers",
    "ledger_begun",
    "open_ledger",
    "parts_begun",
    "read_arrays",
    "run_tasks",
    "working_on",
    "write_arrays",
]
