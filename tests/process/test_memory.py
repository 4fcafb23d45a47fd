from __future__ import annotations

import os
import platform
import subprocess
import sys
import textwrap

import pytest

from connectomics.process import cgroups, memory
from connectomics.process.memory import HEAPS, share_one_heap


@pytest.fixture
def machine(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal: 4096 kB\nMemAvailable: 2048 kB\n")
    (tmp_path / "cgroup").write_text("0::/jobs/mine\n")
    for name in ("MEMINFO", "MEMBERSHIP", "CGROUPS"):
        file = {"MEMINFO": "meminfo", "MEMBERSHIP": "cgroup", "CGROUPS": "fs"}[name]
        monkeypatch.setattr(memory if name == "MEMINFO" else cgroups, name, tmp_path / file)
    folder = tmp_path / "fs" / "jobs" / "mine"
    folder.mkdir(parents=True)
    return folder


def test_what_the_machine_has_free(machine):
    assert memory.available_memory() == 2048 * 1024
    (machine / "memory.max").write_text("max\n")
    (machine / "memory.current").write_text("5\n")
    assert memory.available_memory() == 2048 * 1024


@pytest.mark.parametrize("above", [False, True])
def test_a_container_leaves_less(machine, above):
    folder = machine.parent if above else machine
    (folder / "memory.max").write_text("1000000\n")
    (folder / "memory.current").write_text("400000\n")
    assert memory.available_memory() == 600_000


def test_version_one_of_cgroups(machine, tmp_path):
    (tmp_path / "cgroup").write_text("4:memory:/job\n3:cpu:/job\n")
    folder = tmp_path / "fs" / "memory" / "job"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("1000\n")
    (folder / "memory.usage_in_bytes").write_text("1200\n")
    assert memory.available_memory() == 0


def test_peak_memory_is_in_bytes():
    assert 2**24 < memory.peak_memory() < 2**40


def test_files_in_memory_make_room(machine):
    (machine / "memory.max").write_text("1000000\n")
    (machine / "memory.current").write_text("400000\n")
    (machine / "memory.stat").write_text("anon 100000\ninactive_file 300000\n")
    assert memory.available_memory() == 900_000


def test_what_there_is_in_all(machine, monkeypatch, tmp_path):
    assert memory.total_memory() == 4096 * 1024
    (machine / "memory.max").write_text("1000000\n")
    (machine / "memory.current").write_text("5\n")
    assert memory.total_memory() == 1_000_000
    (tmp_path / "meminfo").write_text("MemTotal: 4096 kB\nSwapTotal: 1 kB\n")
    assert memory.total_memory() == 1_001_024
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    assert memory.total_memory() is None


def test_what_this_process_uses():
    assert 2**24 < memory.used_memory() <= memory.peak_memory() + 2**22


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have one heap")
@pytest.mark.parametrize(("calls", "user", "heaps"), [(1, None, 1), (0, None, 5), (1, "3", 3)])
def test_threads_share_one_heap_unless_the_user_says_otherwise(tmp_path, calls, user, heaps):
    code = f"""
        import ctypes, threading
        from connectomics.process.memory import share_one_heap
        for _ in range({calls}):
            share_one_heap()
        together = threading.Barrier(4)
        def work():
            kept = bytearray(100_000)
            together.wait()
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        c = ctypes.CDLL(None)
        c.fopen.restype = ctypes.c_void_p
        file = ctypes.c_void_p(c.fopen({str(tmp_path / "heaps.xml").encode()!r}, b"w"))
        c.malloc_info(0, file)
        c.fclose(file)
    """
    environment = {k: v for k, v in os.environ.items() if k != HEAPS}
    environment |= {HEAPS: user} if user else {}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    subprocess.run(command, env=environment, check=True)
    assert (tmp_path / "heaps.xml").read_text().count("<heap nr=") == heaps


def test_programs_started_from_here_share_one_heap_too(monkeypatch):
    monkeypatch.setenv(HEAPS, "2")
    share_one_heap()
    assert os.environ[HEAPS] == "2"
    monkeypatch.delenv(HEAPS)
    share_one_heap()
    assert os.environ[HEAPS] == "1"
