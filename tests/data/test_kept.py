"""What was found in a volume is taken for that volume, as it was, and for nothing else."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomics.data import kept as keeping
from connectomics.data.io import LazyVolume, open_volume, save_volume
from connectomics.data.kept import Kept
from connectomics.data.volumes import MemoryVolume, Volume
from connectomics.errors import DataError

FOUND = {"a": np.arange(5), "b": np.array(2.5)}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keeping, "WORTH_KEEPING_BYTES", 0)
    save_volume("em.h5", np.zeros((4, 6, 8), np.uint8))


def find(kept: Kept, *volumes: Volume | None, **settings: Any) -> bool:
    """Whether it had to be found."""
    made = []

    def make() -> Mapping[str, np.ndarray]:
        made.append(True)
        return FOUND

    given = volumes or (open_volume("em.h5"),)
    found = kept.find("grey values", given, make, settings=settings, code=["geometry.py"])
    assert found.keys() == FOUND.keys()
    assert all(np.array_equal(found[name], FOUND[name]) for name in FOUND)
    return bool(made)


def kept_in(run: str = "run") -> Path:
    kept = Kept()
    assert find(kept)
    kept.keep(Path(run))
    (file,) = Path(run).glob("measured/grey_values-*.npz")
    return file


def test_it_is_found_once_and_then_known_to_the_runs_and_processes_that_follow():
    first = Kept()
    assert find(first)
    assert not find(first)
    assert first.notes() == []
    first.keep(Path("run"))
    assert not find(pickle.loads(pickle.dumps(first)))  # as another process of the run has it
    second = Kept(Path("run"))
    assert not find(second)
    assert second.notes() == [
        "the grey values of what has not changed are not read again, but taken from run/measured"
    ]
    second.keep(Path("next"))
    assert not find(Kept(Path("next")))
    with np.load(kept_in()) as stored:  # to look at, it is a plain .npz
        assert stored["a"].tolist() == [0, 1, 2, 3, 4]


def test_other_voxels_parts_and_settings_are_found_anew():
    kept_in()
    volume = open_volume("em.h5")
    assert find(Kept(Path("run")), volume[1:])
    assert find(Kept(Path("run")), volume, volume)
    assert find(Kept(Path("run")), low=0.5)
    assert not find(Kept(Path("run")), volume, None)
    save_volume("em.h5", np.zeros((4, 6, 8), np.uint8), overwrite=True)
    assert find(Kept(Path("run")))


def test_a_file_that_is_damaged_anywhere_is_none():
    file = kept_in()
    whole = file.read_bytes()
    for n in range(0, len(whole), 7):
        for damaged in (whole[:n], whole[:n] + bytes([whole[n] ^ 16]) + whole[n + 1 :]):
            file.write_bytes(damaged)
            assert find(Kept(Path("run")))
    file.write_bytes(whole)
    assert not find(Kept(Path("run")))
    file.unlink()
    file.mkdir()
    assert find(Kept(Path("run")))


def test_a_file_of_another_volume_under_its_name_is_none():
    kept = Kept()
    find(kept, open_volume("em.h5")[1:])
    kept.keep(Path("other"))
    (other,) = Path("other/measured").iterdir()
    other.rename(kept_in())
    assert find(Kept(Path("run")))


def test_what_cannot_be_told_from_another_is_known_to_this_command_alone(monkeypatch):
    from connectomics.data import identity

    monkeypatch.setattr(identity, "_files_digest", lambda volume: "")  # as of a web server
    kept = Kept()
    assert find(kept)
    kept.keep(Path("run"))
    assert not find(pickle.loads(pickle.dumps(kept)))
    assert find(Kept(Path("run")))


def test_small_volumes_and_arrays_leave_no_file(monkeypatch):
    kept = Kept()
    assert find(kept, MemoryVolume("em", np.zeros((4, 6, 8))))
    assert find(kept, open_volume("em.h5"), MemoryVolume("mask", np.zeros((4, 6, 8))))
    kept.keep(Path("run"))
    monkeypatch.setattr(keeping, "WORTH_KEEPING_BYTES", 4 * 6 * 8 + 1)
    kept = Kept()
    assert find(kept)
    assert find(kept)
    kept.keep(Path("run"))
    assert not Path("run").exists()


def test_a_long_read_is_announced(monkeypatch, capsys):
    kept_in()
    monkeypatch.setattr(keeping, "SPOKEN_OF_BYTES", 0)
    find(Kept())
    assert capsys.readouterr().out == "  reading em.h5, to find its grey values\n"
    find(Kept(Path("run")))
    assert capsys.readouterr().out == ""


def test_a_folder_that_cannot_be_written_is_said():
    kept = Kept()
    find(kept)
    Path("run").write_text("a file")
    with pytest.raises(DataError, match="run"):
        kept.keep(Path("run"))


def test_nothing_is_read_to_know_a_volume(monkeypatch):
    kept_in()
    monkeypatch.setattr(LazyVolume, "read", None)
    assert not find(Kept(Path("run")))
