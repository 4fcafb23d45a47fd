"""Modules are read ahead, and nothing is imported for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from connectomics.process import reading_ahead
from connectomics.process.reading_ahead import read_ahead


@pytest.fixture
def advised(monkeypatch):
    """The files that the system was told of."""
    seen = []
    monkeypatch.setattr(reading_ahead, "_advise", lambda path: seen.append(Path(path).name))
    return seen


def test_modules_and_small_libraries_are_read_and_others_are_not(tmp_path, monkeypatch, advised):
    for name in ("__init__.py", "sub/__pycache__/a.pyc", "sub/b.so", "tests/c.pyc", "d.txt"):
        path = tmp_path / "package_ahead" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise AssertionError('imported')")
    with (tmp_path / "package_ahead" / "large.so").open("wb") as file:
        file.truncate(reading_ahead.SMALL + 1)
    monkeypatch.syspath_prepend(str(tmp_path))
    for thread in read_ahead(["package_ahead", "no_such_package"]):
        thread.join()
    assert sorted(advised) == ["a.pyc", "b.so"]
    assert "package_ahead" not in sys.modules


def test_a_file_that_cannot_be_opened_costs_itself_alone(tmp_path, monkeypatch):
    opened, real = [], os.open

    def recorded(path, flags):
        file = real(path, flags)
        opened.append(Path(path).name)
        return file

    package = tmp_path / "package_broken"
    package.mkdir()
    (package / "__init__.py").touch()
    for n in range(4):  # whatever order a folder is listed in
        (package / f"{n}_gone.pyc").symlink_to("nowhere")
        (package / f"{n}_gone.so").symlink_to("nowhere")
        (package / f"{n}.pyc").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(reading_ahead.os, "open", recorded)
    for thread in read_ahead(["package_broken"]):
        thread.join()
    assert sorted(opened) == [f"{n}.pyc" for n in range(4)]
