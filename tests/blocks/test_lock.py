from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from connectomics.blocks import Shard, lock, working_on
from connectomics.errors import MachineError

HOLD = """
import sys
from pathlib import Path
from connectomics.blocks import Shard, working_on
shard = Shard(*map(int, sys.argv[2].split("/"))) if len(sys.argv) > 2 else None
with working_on(Path(sys.argv[1]), shard):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another program that works on the folder, as a whole or as a shard."""
    started = []

    def hold(*shard: str) -> int:
        command = [sys.executable, "-c", HOLD, str(tmp_path), *shard]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(command, text=True, **pipes)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process.pid

    yield hold
    for process in started:
        process.kill()
        process.wait()


def test_another_command_is_kept_out_and_told_who_works(tmp_path, holder):
    pid = holder()
    for shard in (None, Shard(0, 2)):
        with pytest.raises(MachineError, match=f"process {pid} on "), working_on(tmp_path, shard):
            pass


def test_shards_of_one_array_work_at_once(tmp_path, holder):
    holder("0/3")
    with working_on(tmp_path, Shard(1, 3)):
        pass
    for shard, said in (
        (Shard(0, 3), "another command works on it"),  # the same share
        (Shard(1, 4), "with 3 shards"),  # another array
        (None, "with 3 shards"),
    ):
        with pytest.raises(MachineError, match=said), working_on(tmp_path, shard):
            pass


def test_a_killed_program_holds_nothing(tmp_path, holder):
    os.kill(holder(), signal.SIGKILL)
    for _ in range(100):
        try:
            with working_on(tmp_path):
                return
        except MachineError:
            time.sleep(0.05)
    pytest.fail("the lock outlived its program")


def test_a_shard_waits_while_the_first_of_its_array_lets_the_others_in(tmp_path):
    with (tmp_path / ".lock").open("a+") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        json.dump({"shards": 3}, first)
        first.flush()
        threading.Timer(0.3, fcntl.flock, (first, fcntl.LOCK_SH)).start()
        with working_on(tmp_path, Shard(1, 3)):
            pass


def test_a_folder_that_is_removed_meanwhile_is_held_anew(tmp_path, monkeypatch):
    hold, folder, held = lock._hold, tmp_path / "labels", []

    def removed_before(*args):
        if not held:
            shutil.rmtree(folder)  # by a command that is through with it
        held.append(hold(*args))

    monkeypatch.setattr(lock, "_hold", removed_before)
    with working_on(folder):
        assert len(held) == 2
        with pytest.raises(MachineError), working_on(folder):
            pass
