"""Reading the sites and partners of the CREMI format."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from connectomics.data.annotations import annotation_faults, read_annotations
from connectomics.errors import DataError


def write(path, *, group="annotations", offset=None, **arrays):
    sites = {
        "ids": np.array([7, 3, 5, 9], np.uint64),
        "locations": np.array([[0.0, 0, 1], [0, 0, 2], [0, 0, 3], [40, 4, 4]]),
        "presynaptic_site/partners": np.array([[3, 9], [7, 5]], np.uint64),
    }
    with h5py.File(path, "w") as file:
        made = file.create_group(group)
        for name, array in {**sites, **arrays}.items():
            if array is not None:
                made[name] = array
        if offset is not None:
            made.attrs["offset"] = offset
    return str(path)


def test_partners_are_found_by_their_ids_and_moved_by_the_offset(tmp_path):
    pre, post = read_annotations(write(tmp_path / "a.hdf", offset=(100.0, 0, 0)))
    assert pre.tolist() == [[100, 0, 2], [100, 0, 1]]
    assert post.tolist() == [[140, 4, 4], [100, 0, 3]]
    pre, _ = read_annotations(write(tmp_path / "b.hdf", group="mine/sites") + "::mine/sites")
    assert pre.tolist() == [[0, 0, 2], [0, 0, 1]]


def test_what_this_package_writes_comes_back(tmp_path):
    from connectomics.decoding import synapse_table, write_cremi

    labels = np.zeros((2, 3, 4), int)
    labels[0, 0, 0], labels[0, 1, 0], labels[1, 2, 3] = 1, 2, 3
    table = synapse_table(labels, resolution=(30, 8, 8), offset_nm=(60, 0, 0))
    write_cremi(table, tmp_path / "a.h5", offset_nm=(60, 0, 0))
    pre, post = read_annotations(str(tmp_path / "a.h5"))
    assert (pre.tolist(), post.tolist()) == ([[60, 0, 0]], [[60, 8, 0]])


def test_no_synapse_at_all(tmp_path):
    nothing = {"ids": np.zeros(0, int), "locations": np.zeros((0, 3))}
    nothing["presynaptic_site/partners"] = np.zeros((0, 2), int)
    pre, post = read_annotations(write(tmp_path / "a.hdf", **nothing))
    assert (pre.shape, post.shape) == ((0, 3), (0, 3))


@pytest.mark.parametrize("partners", [None, np.zeros(0), np.zeros((0, 2), np.uint64)])
@pytest.mark.parametrize("sites", [{}, {"ids": None, "locations": None}])
def test_sites_without_partners_are_no_connections(tmp_path, partners, sites):
    file = write(tmp_path / "a.hdf", **{"presynaptic_site/partners": partners, **sites})
    assert annotation_faults(file) == []
    assert [len(points) for points in read_annotations(file)] == [0, 0]


def test_a_file_of_the_format_without_annotations_has_none(tmp_path):
    with h5py.File(tmp_path / "sample_A+.hdf", "w") as file:
        file["volumes/raw"] = np.ones((2, 2, 2))
    file = str(tmp_path / "sample_A+.hdf")
    assert read_annotations(file).pre_nm.shape == (0, 3)
    (fault,) = annotation_faults(f"{file}::annotations")  # but asked for by name
    assert fault.problem == "has no group 'annotations'."


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"ids": None}, "no ids or no locations"),
        ({"locations": None}, "no ids or no locations"),
        ({"ids": np.zeros((4, 1))}, r"its annotations/ids holds float64 of shape \(4, 1\)"),
        ({"ids": np.array([b"7", b"3", b"5", b"9"])}, "its annotations/ids holds"),
        ({"locations": np.zeros((4, 2))}, "do not fit together"),
        ({"locations": np.full((4, 3), np.nan)}, "not finite"),
        ({"presynaptic_site/partners": np.array([[3, 4]])}, "the id 4, which no site has"),
        ({"group": "sites"}, "has no group 'annotations'"),
        ({"offset": (1.0, 2.0)}, r"an offset \(2,\)"),
    ],
)
def test_what_does_not_fit(tmp_path, arrays, problem):
    file = write(tmp_path / "a.hdf", **arrays)
    with pytest.raises(DataError, match=problem):
        read_annotations(file)
    (fault,) = annotation_faults(file)
    assert fault.where == file
    assert "CREMI format" in fault.remedy


def test_no_file_and_no_hdf5(tmp_path):
    assert annotation_faults(str(tmp_path / "a.hdf"))[0].problem == "no such file."
    (tmp_path / "b.hdf").write_text("sites")
    assert "HDF5" in annotation_faults(str(tmp_path / "b.hdf"))[0].problem
    assert annotation_faults(write(tmp_path / "c.hdf")) == []
