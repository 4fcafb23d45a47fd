from __future__ import annotations

import os

import pytest

from connectomics.checkpoints import find_checkpoint, newest
from connectomics.errors import CheckpointError


def test_a_folder_stands_for_its_last_checkpoint(tmp_path):
    folder = tmp_path / "runs" / "a" / "checkpoints"
    folder.mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"a: is a folder without last\.ckpt"):
        find_checkpoint(folder.parent)
    last = folder / "last.ckpt"
    last.touch()
    assert (
        find_checkpoint(folder) == find_checkpoint(folder.parent) == find_checkpoint(last) == last
    )
    with pytest.raises(CheckpointError, match=f"The newest checkpoint below it is {last}"):
        find_checkpoint(tmp_path / "runs")
    assert find_checkpoint(tmp_path / "none.ckpt") == tmp_path / "none.ckpt"


def test_where_there_is_no_last_one_another_is_offered(tmp_path):
    (tmp_path / "last.ckpt").mkdir()
    (tmp_path / "step_000010_val_loss_0.5.ckpt").touch()
    with pytest.raises(CheckpointError, match=r"below it is .*step_000010_val_loss_0\.5\.ckpt"):
        find_checkpoint(tmp_path)


def test_the_newest_file_is_the_one_changed_last(tmp_path):
    for name, time in (("a", 200), ("b", 300), ("c", 100)):
        path = tmp_path / name / "checkpoints" / "last.ckpt"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (time, time))
    assert newest(tmp_path, "*/checkpoints/last.ckpt") == tmp_path / "b/checkpoints/last.ckpt"
    assert newest(tmp_path, "*/nothing") is None
