"""CREMI: samples are checked and put in place as they are; padded ones are cut."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from connectomics.data.annotations import read_annotations
from connectomics.data.io import open_volume, read_volume
from connectomics.errors import DataError
from connectomics.exchange.cremi import convert
from tests.exchange.layouts import INVALID, boxes, cremi
from tests.exchange.test_em_r50 import of

SHAPE = (20, 24, 16)
RAW = np.random.default_rng(3).integers(0, 255, SHAPE, np.uint8)
CLEFTS = boxes(SHAPE)


@pytest.fixture
def made(tmp_path):
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a").mkdir()
    return tmp_path / "a"


def test_samples_stay_as_they_are(folder, made):
    for letter in "ABC":
        cremi(folder / f"sample_{letter}_20160501.hdf", RAW, CLEFTS)
    account = convert(of(folder), made)
    for letter in "ABC":
        name = f"sample_{letter}_20160501.hdf"
        assert (made / name).read_bytes() == (folder / name).read_bytes()
        assert "4 clefts, 2 partners; 0.05% does not count" in account.made[name]
        assert "40 x 4 x 4 nm" in account.made[name]
    assert len(account.differs) == 3  # the shape of each


@pytest.mark.parametrize("name", ["sample_B_padded_20160501.hdf", "sample_b_2016.h5"])
def test_a_padded_sample_is_cut_to_what_is_labelled(folder, made, name):
    padding = (2, 5, 3)
    cremi(folder / name, RAW, CLEFTS, padding=padding)
    account = convert(of(folder), made)
    made_file = made / "sample_B_20160501.hdf"
    with open_volume(f"{made_file}::volumes/raw") as raw:
        assert raw.resolution == (40, 4, 4)
        assert raw.offset_nm == (80, 20, 12)
        np.testing.assert_array_equal(raw.read(), RAW)
    clefts = read_volume(f"{made_file}::volumes/labels/clefts")
    np.testing.assert_array_equal(clefts * (clefts < INVALID), CLEFTS * (clefts < INVALID))
    assert read_annotations(str(made_file)).pre_nm[0].tolist() == [120, 60, 52]
    assert any("what is labelled of" in text for text in account.differs)
    assert any(f"{name} stands for" in text for text in account.differs)


def test_what_is_no_training_sample_is_said(folder, made):
    cremi(folder / "sample_A_20160501.hdf", RAW, CLEFTS, neurons=False, partners=0)
    cremi(folder / "sample_A+_20160601.hdf", RAW, CLEFTS)
    (folder / "readme.txt").write_text("")
    account = convert(of(folder), made)
    assert set(account.made) == {"sample_A_20160501.hdf"}
    said = "\n".join(account.differs)
    for text in (
        "sample_A+_20160601.hdf is not used: a test volume, without labels",
        "readme.txt is not used",
        "there are no neuron ids",
        "there are no partners",
    ):
        assert text in said


def remove(file, name):
    with h5py.File(file, "r+") as made:
        del made[name]


def shift(file):
    with h5py.File(file, "r+") as made:
        made["volumes/labels/clefts"].attrs["offset"] = (4000.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: remove(file, "volumes/raw"), "volumes/raw"),
        (lambda file: remove(file, "volumes/labels/clefts"), "clefts"),
        (lambda file: remove(file, "annotations/locations"), "no locations"),
        (shift, "do not fit together"),
    ],
    ids=["no image", "no clefts", "no locations", "beside its image"],
)
def test_a_sample_that_is_not_what_its_name_says(folder, made, spoil, said):
    file = cremi(folder / "sample_A_padded_20160501.hdf", RAW, CLEFTS, padding=(1, 1, 1))
    spoil(file)
    with pytest.raises(DataError, match=said):
        convert(of(folder), made)


def test_labels_of_another_shape(folder, made):
    file = cremi(folder / "sample_A_20160501.hdf", RAW, CLEFTS)
    with h5py.File(file, "r+") as spoilt:
        del spoilt["volumes/raw"]
        spoilt["volumes/raw"] = RAW[:10]
        spoilt["volumes/raw"].attrs["resolution"] = (40.0, 4.0, 4.0)
    with pytest.raises(DataError, match="do not fit together"):
        convert(of(folder), made)


def test_nothing_of_cremi(folder, made):
    (folder / "other.h5").write_bytes(b"")
    with pytest.raises(DataError, match=r"no training sample. It holds other\.h5"):
        convert(of(folder), made)
