from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from connectomics.errors import DataError
from connectomics.files import atomic_path, require_writable, temporary_folder, writing_to


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_halfway(target: Path, error: BaseException) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "note.txt"
    with atomic_path(target) as temporary:
        assert temporary.suffix == ".txt"
        assert temporary.name == "note.txt"
        assert not temporary.exists()
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert names(target.parent) == ["note.txt"]


def test_a_file_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "note.txt"
    target.write_text("old")
    with atomic_path(str(target)) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt()])
def test_nothing_changes_when_the_block_fails(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "note.txt"
    target.write_text("old")
    with pytest.raises(type(error)):
        fail_halfway(target, error)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["note.txt"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "em.zarr"
    (target / "old").mkdir(parents=True)
    with atomic_path(target) as temporary:
        (temporary / "new").mkdir(parents=True)
    assert names(target) == ["new"]
    assert names(tmp_path) == ["em.zarr"]


def test_a_folder_survives_when_its_successor_cannot_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "em.zarr"
    (target / "old").mkdir(parents=True)
    replace = Path.replace

    def refuse(self: Path, to: Path) -> Path:
        if to == target and (self / "new").exists():
            raise OSError(errno.EIO, "Input/output error")
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(DataError, match="Input/output error"), atomic_path(target) as temporary:
        (temporary / "new").mkdir(parents=True)
    assert names(target) == ["old"]
    assert names(tmp_path) == ["em.zarr"]


def test_a_file_never_replaces_a_folder(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "precious.h5").write_text("data")
    with (
        pytest.raises(DataError, match="cannot be written"),
        atomic_path(tmp_path / "results") as temporary,
    ):
        temporary.write_text("a file")
    assert (tmp_path / "results" / "precious.h5").read_text() == "data"


def test_a_full_disk_is_a_data_error_that_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "big.bin"
    with pytest.raises(DataError) as caught:
        fail_halfway(target, OSError(errno.ENOSPC, "No space left on device"))
    assert str(target) in str(caught.value)
    assert "No space left on device" in str(caught.value)
    assert "Free some space" in str(caught.value)
    assert names(tmp_path) == []


def test_a_folder_that_is_a_file_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    said = r"x: cannot be written: .*results is a file, where a folder has to be\.\n  Move that"
    with pytest.raises(DataError, match=said), atomic_path(tmp_path / "results/x"):
        pass
    with pytest.raises(DataError, match=said):
        require_writable(tmp_path / "results" / "deep" / "x")


@pytest.mark.parametrize(
    ("flag", "said"), [(os.ST_RDONLY, "Read-only file system"), (0, "Permission denied")]
)
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: int, said: str
) -> None:
    require_writable(tmp_path / "not" / "there")
    assert names(tmp_path) == []
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=flag))
    with pytest.raises(DataError, match=rf"there: cannot be written: {said}\.\n  Free some"):
        require_writable(tmp_path / "not" / "there")


def test_writing_to_keeps_other_errors() -> None:
    with pytest.raises(KeyError), writing_to("somewhere"):
        raise KeyError("a bug")


def test_an_os_error_without_a_reason_still_says_something() -> None:
    with pytest.raises(DataError, match="3 requested and 2 written"), writing_to("somewhere"):
        raise OSError("3 requested and 2 written")


KILLED = """\
import sys
from pathlib import Path
from types import SimpleNamespace
from connectomics.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    input()
"""


def test_what_a_killed_program_left_is_removed_and_what_a_running_one_writes_is_not(
    tmp_path: Path,
) -> None:
    target = tmp_path / "note.txt"
    (tmp_path / ".new_of_mine").mkdir()
    running = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "writing\n"
    (left,) = (path for path in tmp_path.iterdir() if path.name != ".new_of_mine")
    for survives in (True, False):
        with atomic_path(target) as temporary:
            temporary.write_text("whole")
        assert left.is_dir() == survives
        running.kill()
        running.wait()
    assert names(tmp_path) == [".new_of_mine", "note.txt"]


def test_a_fault_names_the_final_place(tmp_path: Path):
    with (
        pytest.raises(DataError, match=f"^DataError: {re.escape(str(tmp_path))}/a.txt: cannot be"),
        temporary_folder(tmp_path) as folder,
        writing_to(folder / "a.txt"),
    ):
        raise OSError(28, "No space left on device")
