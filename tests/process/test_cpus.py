from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zarr

from connectomics.process import cgroups, cpus
from connectomics.process.cpus import available_cpus, cpus_taken, use_threads


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Count the CPUs of a machine of eight, with cgroups of its own."""

    def count(membership: str = "", /, **files: str) -> int:
        for name, content in files.items():
            file = tmp_path / "cgroup" / name.replace("__", "/").replace("_max", ".max")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        (tmp_path / "membership").write_text(membership)
        return available_cpus()

    monkeypatch.setattr(cgroups, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cgroups, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(cpus, "_told", None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return count


def test_without_a_quota_the_affinity_counts(machine, monkeypatch):
    assert machine() == 8
    assert machine("0::/\n") == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert machine() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine() == 1


@pytest.mark.parametrize(
    ("limit", "found"),
    [("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1), ("max 100000", 8),
     ("900000 100000", 8), ("nonsense", 8), ("100000 0", 8)],
)  # fmt: skip
def test_a_quota_of_version_2(machine, limit, found):
    assert machine("0::/a/b\n", a__b__cpu_max=limit) == found


def test_the_tightest_of_nested_quotas_counts(machine):
    files = {"a__b__cpu_max": "max 100000", "a__cpu_max": "300000 100000", "cpu_max": "max 1"}
    assert machine("0::/a/b\n", **files) == 3


@pytest.mark.parametrize(("quota", "found"), [("250000", 3), ("-1", 8), ("50000", 1)])
@pytest.mark.parametrize("top", ["cpu", "cpu,cpuacct"])
def test_a_quota_of_version_1(machine, tmp_path, top, quota, found):
    folder = tmp_path / "cgroup" / top / "job"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert machine("4:memory:/job\n3:cpu,cpuacct:/job\n0::/\n") == found


def test_what_the_program_was_told_counts(machine, monkeypatch):
    for variable in ("OMP_NUM_THREADS", "ZARR_THREADING__MAX_WORKERS"):
        monkeypatch.setenv(variable, "7")
    use_threads(3)
    assert machine() == 3
    assert os.environ["OMP_NUM_THREADS"] == os.environ["ZARR_THREADING__MAX_WORKERS"] == "3"
    assert zarr.config.get("threading.max_workers") == 3
    use_threads(None)
    assert machine() == 8
    assert zarr.config.get("threading.max_workers") is None


def test_what_zarr_was_told_stays_where_nothing_else_is_said(monkeypatch):
    monkeypatch.setattr(cpus, "_told", None)
    with zarr.config.set({"threading.max_workers": 5}):
        use_threads(None)
        assert zarr.config.get("threading.max_workers") == 5


def test_the_cpus_that_others_keep_busy_are_counted(tmp_path, monkeypatch):
    stat = tmp_path / "stat"
    stat.write_text(
        "cpu  600 0 0 600 0 0 0 0 0 0\n"
        "cpu0 100 0 0 900 0 0 0 0 7 0\n"
        "cpu1 100 20 30 900 50 5 5 0 0 0\n"
        "cpu2 100 0 0 900 0 0 0 0 0 0\n"
        "intr 5 6\n"
    )
    later = (
        "cpu0 130 0 0 900 0 0 0 0 9 0\n"  # all of 30 ticks
        "cpu1 103 22 31 918 54 6 6 1 0 0\n"  # 9 of 31: waiting for a disk is not work
        "cpu2 150 0 0 900 0 0 0 0 0 0\n"  # not one of ours
    )
    monkeypatch.setattr(cpus, "STAT", stat)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(cpus.time, "sleep", lambda _: stat.write_text(later))
    assert cpus_taken() == pytest.approx(1 + 9 / 31)


def test_where_the_system_does_not_tell_no_cpu_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(cpus, "STAT", tmp_path / "stat")
    assert cpus_taken(0) == 0
    (tmp_path / "stat").write_text("cpu0 1 0 0 9 0 0 0 0 0 0\n")
    monkeypatch.setattr(cpus, "STAT", tmp_path / "stat")
    assert cpus_taken(0) == 0  # nothing passed
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cpus_taken(0) == 0
