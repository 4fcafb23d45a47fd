from __future__ import annotations

import pickle

import numpy as np
import pytest

from connectomics.blocks import Ledger, discard, open_ledger, parts_begun, read_arrays, write_arrays
from connectomics.errors import DataError


def test_what_is_marked_is_done_for_whoever_asks(tmp_path):
    ledger = open_ledger(tmp_path, {"a": 1}, "labels")
    assert not ledger.is_done("0000_0000_0001")
    ledger.mark("0000_0000_0001", {"bytes": 3})
    again = pickle.loads(pickle.dumps(open_ledger(tmp_path, {"a": 1}, "labels")))
    assert again.is_done("0000_0000_0001")
    assert not again.is_done("0000_0000_0002")
    assert not again.of("other").is_done("0000_0000_0001")
    assert again.facts("0000_0000_0001") == {"bytes": 3}
    again.forget("0000_0000_0001")
    assert not again.is_done("0000_0000_0001")
    assert again.facts("0000_0000_0001") is None


def test_another_key_is_refused_with_what_differs(tmp_path):
    open_ledger(tmp_path, {"voxels": "x", "block size": [1, 2, 3], "old": 1}, "labels")
    with pytest.raises(DataError) as error:
        open_ledger(tmp_path, {"voxels": "x", "block size": [4, 2, 3]}, "labels")
    message = str(error.value)
    assert "other settings or data: block size" in message
    assert "block size was [1, 2, 3] and is [4, 2, 3]; old was 1 and is not given" in message
    assert "voxels" not in message
    assert parts_begun(tmp_path)["old"] == 1
    discard(tmp_path)
    assert parts_begun(tmp_path) is None
    open_ledger(tmp_path, {"voxels": "y"}, "labels")


@pytest.mark.parametrize("others", [None, {"a": 2}])
def test_a_worker_that_outlives_its_folder_marks_nothing_in_another(tmp_path, others):
    left = pickle.loads(pickle.dumps(open_ledger(tmp_path / "l", {"a": 1}, "labels").of("pass")))
    left.mark("0000_0000_0001", {"bytes": 3})
    discard(tmp_path / "l")
    if others:
        open_ledger(tmp_path / "l", others, "labels")
    with pytest.raises(DataError, match="begun anew with other settings, while blocks were made"):
        left.mark("0000_0000_0001", {"bytes": 3})
    assert not list(tmp_path.rglob("0000_0000_0001"))


def test_what_differs_is_named_as_deep_as_it_lies(tmp_path):
    window = {"window_size": [16, 256, 256], "overlap": 0.5, "blending": "gaussian", "flips": [0]}
    inference = {"window": window, "save_dtype": "uint8"}
    open_ledger(tmp_path, {"inference": inference}, "probabilities")
    with pytest.raises(DataError, match=r"data: inference\.save_dtype was uint8 and is float16\."):
        open_ledger(tmp_path, {"inference": inference | {"save_dtype": "float16"}}, "probabilities")


def test_a_setting_in_a_list_is_named_too_and_sums_are_not_shown(tmp_path):
    steps = [{"name": "synapses", "kwargs": {"thres": 0.5, "vote": True}}]
    parts = {"voxels": "f1f358ce809e1eca", "decoding.steps": steps}
    open_ledger(tmp_path, parts, "labels")
    others = [{"name": "synapses", "kwargs": {"thres": 0.4, "vote": True}}]
    with pytest.raises(DataError) as error:
        open_ledger(tmp_path, {"voxels": "f" * 16, "decoding.steps": others}, "labels")
    said = "data: voxels changed; decoding.steps[0].kwargs.thres was 0.5 and is 0.4.\n"
    assert said in str(error.value)
    with pytest.raises(DataError, match=r"data: voxels changed\.\n"):
        open_ledger(tmp_path, {**parts, "voxels": "f" * 16}, "labels")


def test_a_marker_that_is_half_written_does_not_count(tmp_path):
    ledger = open_ledger(tmp_path, {}, "labels")
    ledger.mark("0000_1", {"bytes": 3})
    (marker,) = (path for path in tmp_path.rglob("0000_1"))
    marker.write_text('{"bytes": ')
    assert ledger.facts("0000_1") is None
    # What a killed process leaves under a temporary name is no marker either.
    marker.with_name(".0000_2.77").write_text("{}")
    assert not open_ledger(tmp_path, {}, "labels").is_done("0000_2")


def test_a_marker_that_was_changed_or_is_of_another_key_does_not_count(tmp_path):
    ledger = open_ledger(tmp_path, {"a": 1}, "labels")
    ledger.mark("0000_1", {"low": 12.5})
    (marker,) = (path for path in tmp_path.rglob("0000_1"))
    (tmp_path / "key.json").unlink()  # as by a program that was killed while it removed all of it
    assert open_ledger(tmp_path, {"a": 2}, "labels").facts("0000_1") is None
    assert Ledger(tmp_path).facts("0000_1") == {"low": 12.5}
    marker.write_text(marker.read_text().replace("12.5", "13.5"))
    assert ledger.facts("0000_1") is None
    marker.write_text('{"low": 13.5}')  # of an earlier version
    assert ledger.facts("0000_1") == {"low": 13.5}


def test_arrays_are_read_only_as_they_were_written(tmp_path):
    path = tmp_path / "deep" / "part.npz"
    facts = write_arrays(path, {"ids": np.arange(5), "none": np.zeros((0, 3), np.uint8)})
    found = read_arrays(path, facts)
    assert found["ids"].tolist() == [0, 1, 2, 3, 4]
    assert found["none"].shape == (0, 3)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="marked as done, and is not what was written"):
        read_arrays(path, facts)
    path.unlink()
    with pytest.raises(DataError, match="marked as done"):
        read_arrays(path, facts)
