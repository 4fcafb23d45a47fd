from __future__ import annotations

import os

import pytest

from connectomics.checkpoints import find_checkpoint, newest, what_may_be_meant
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


def test_the_nearest_name_is_offered_and_the_newest_beside_it(tmp_path):
    runs = tmp_path / "outputs" / "synapses"
    for run, time in (("run_a", 100), ("other", 200)):
        path = runs / run / "checkpoints" / "last.ckpt"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (time, time))
    (runs / "check").mkdir()
    last, newer = (runs / run / "checkpoints" / "last.ckpt" for run in ("run_a", "other"))
    also = f" The newest of this experiment is {newer}."
    assert what_may_be_meant(runs / "run_b") == f"Did you mean '{runs / 'run_a'}'?{also}"
    assert what_may_be_meant(last.with_name("lst.ckpt")) == f"Did you mean '{last}'?{also}"
    assert what_may_be_meant(runs / "othr") == f"Did you mean '{runs / 'other'}'?"
    # Through several folders, and from an experiment to its newest run:
    wrong = tmp_path / "output" / "synapse" / "run_c" / "checkpoints" / "last.ckpt"
    assert what_may_be_meant(wrong) == f"Did you mean '{last}'?"
    assert what_may_be_meant(tmp_path / "outputs" / "synaps") == f"Did you mean '{newer}'?"
    # Of another experiment, two folders up, nothing is said:
    stray = tmp_path.parent / f"{tmp_path.name}_stray" / "checkpoints" / "last.ckpt"
    stray.parent.mkdir(parents=True)
    stray.touch()
    assert what_may_be_meant(tmp_path / "outputs" / "synaps") == f"Did you mean '{newer}'?"
    # What holds no checkpoint is not offered, nor what has another name.
    assert what_may_be_meant(runs / "chck") == f"The newest of this experiment is {newer}."
    assert what_may_be_meant(tmp_path / "nowhere" / "at" / "all") == ""


def test_a_path_that_leads_through_a_file_means_nothing(tmp_path):
    file = tmp_path / "a" / "b" / "my.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("")
    assert what_may_be_meant(file / "last.ckpt") == ""
