"""Work shared among threads."""

from __future__ import annotations

import threading

import pytest

from connectomics.process import sections
from connectomics.process.sections import map_sections


@pytest.mark.parametrize("cpus", [1, 2, 3])
@pytest.mark.parametrize("depth", [1, 2, 7, 100])
@pytest.mark.parametrize("thickness", [None, 0, 1, 3, 1000])
def test_every_section_is_visited_once_and_in_order(monkeypatch, cpus, depth, thickness):
    monkeypatch.setattr(sections, "available_cpus", lambda: cpus)
    ranges = map_sections(depth, lambda begin, end: range(begin, end), thickness=thickness)
    assert [z for visited in ranges for z in visited] == list(range(depth))


def test_threads_work_at_the_same_time(monkeypatch):
    monkeypatch.setattr(sections, "available_cpus", lambda: 2)
    meeting = threading.Barrier(2, timeout=30)
    map_sections(2, lambda begin, end: meeting.wait(), thickness=1)
    assert threading.active_count() < 50


def test_errors_come_through(monkeypatch):
    monkeypatch.setattr(sections, "available_cpus", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        map_sections(4, lambda begin, end: 1 // (begin - 2), thickness=1)


def test_few_voxels_are_left_to_one_thread(monkeypatch):
    monkeypatch.setattr(sections, "available_cpus", lambda: 2)
    for area, ranges in ((10, 1), (sections.FEW // 4, 4)):
        assert len(map_sections(4, lambda begin, end: None, thickness=1, area=area)) == ranges
