"""Tables on disk and in the forms of other programs."""

from __future__ import annotations

import importlib.util
import json

import h5py
import numpy as np
import pandas as pd
import pytest

from connectomics.decoding import (
    EXPORTS,
    Grid,
    check_exports,
    read_table,
    synapse_table,
    write_cave,
    write_cremi,
    write_export,
    write_neuprint,
    write_table,
)
from connectomics.errors import DataError

NM = (30.0, 8.0, 8.0)


@pytest.fixture
def table():
    """Three synapses: a plain one, one without post, and one of a neuron with itself."""
    labels = np.zeros((2, 4, 12), np.uint8)
    labels[1, 0, :3], labels[1, 1, :3] = 1, 2
    labels[1, 0, 5:8] = 3
    labels[0, 0, 9:], labels[0, 1, 9:] = 5, 6
    neurons = np.zeros(labels.shape, np.uint64)
    neurons[1, 0], neurons[1, 1], neurons[0] = 2**60 + 1, 8, 9
    return synapse_table(
        labels,
        resolution=NM,
        probabilities=np.full((3, *labels.shape), 0.5),
        neurons=neurons,
        offset_nm=(300.0, 0.0, 0.0),
    )


@pytest.mark.parametrize("name", ["deep/table.csv", "table.parquet"])
def test_tables_come_back_as_they_were(tmp_path, table, name):
    write_table(table, tmp_path / name)
    again = read_table(tmp_path / name)
    pd.testing.assert_frame_equal(again, table)
    assert again.pre_neuron[0] == 2**60 + 1


def test_an_empty_table_comes_back(tmp_path):
    table = synapse_table(np.zeros((1, 2, 3), int), resolution=NM)
    write_table(table, tmp_path / "none.csv")
    assert len(read_table(tmp_path / "none.csv")) == 0


def test_what_is_no_table_is_refused(tmp_path, table):
    with pytest.raises(DataError, match="no format of tables"):
        write_table(table, tmp_path / "table.xlsx")
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "table.csv")
    (tmp_path / "other.csv").write_text("synapse_id,side\n1,paired\n")
    with pytest.raises(DataError, match="lacks pre_x_nm"):
        read_table(tmp_path / "other.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
@pytest.mark.parametrize("content", [b"", b"a\n1,2\n", b"\x89HDF\r\n\x1a\n\xff\xfe"])
def test_what_is_no_table_at_all_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read as a table|is no synapse table"):
        read_table(tmp_path / name)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, table, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r'pip install "connectomics\[parquet\]"'):
        write_table(table, tmp_path / "table.parquet")
    assert list(tmp_path.iterdir()) == []


def test_cave_takes_what_has_two_sides_and_two_neurons(tmp_path, table):
    path = tmp_path / "cave.csv"
    assert write_cave(table, path) == 1
    rows = pd.read_csv(path)
    assert list(rows.columns) == [
        "id",
        "pre_pt_position",
        "post_pt_position",
        "ctr_pt_position",
        "size",
    ]
    assert json.loads(rows.pre_pt_position[0]) == [8, 0, 330]
    assert json.loads(rows.post_pt_position[0]) == [8, 8, 330]
    assert rows["size"][0] == 6 * 1920
    write_cave(table, path, voxel_size=NM)
    assert json.loads(pd.read_csv(path).post_pt_position[0]) == [1, 1, 11]


def test_neuprint_takes_sites(tmp_path, table):
    path = tmp_path / "sites.csv"
    assert write_neuprint(table, path, voxel_size=NM) == 5
    rows = pd.read_csv(path, dtype={"bodyId": np.uint64})
    assert list(rows.columns) == ["bodyId", "type", "x", "y", "z", "confidence"]
    assert rows.type.tolist() == ["pre", "pre", "pre", "post", "post"]
    assert rows.bodyId[0] == 2**60 + 1
    assert rows.loc[0, ["x", "y", "z"]].tolist() == [1, 0, 11]


def test_connections_of_one_pre_site_share_its_row(tmp_path, table):
    twice = pd.concat([table.head(1), table.head(1).assign(synapse_id=9, confidence=0.9)])
    assert write_neuprint(twice, tmp_path / "sites.csv", voxel_size=NM) == 2
    assert pd.read_csv(tmp_path / "sites.csv").confidence.tolist() == [0.9, 0.9]


def test_cremi_takes_sites_and_partners(tmp_path, table):
    path = tmp_path / "sites.hdf"
    assert write_cremi(table, path, offset_nm=(300.0, 0.0, 0.0)) == 2
    with h5py.File(path) as file:
        group = file["annotations"]
        assert group["ids"][:].tolist() == [1, 3, 5, 2, 6]
        types = [kind.decode() for kind in group["types"][:]]
        assert types == ["presynaptic_site"] * 3 + ["postsynaptic_site"] * 2
        assert group["locations"][0].tolist() == [30, 0, 8]
        assert group["presynaptic_site/partners"][:].tolist() == [[1, 2], [5, 6]]
        assert group.attrs["offset"].tolist() == [300, 0, 0]


@pytest.mark.parametrize("rows", [3, 0])
def test_every_export_is_what_its_own_writer_makes(tmp_path, table, rows):
    table = table.head(rows)
    grid = Grid(NM, (300.0, 0.0, 0.0))
    for name, export in EXPORTS.items():
        write_export(name, table, tmp_path / export.file_name, grid=grid)
    write_cave(table, tmp_path / "cave.csv")
    write_neuprint(table, tmp_path / "neuprint.csv", voxel_size=NM)
    pd.testing.assert_frame_equal(read_table(tmp_path / "synapses.parquet"), table)
    for name in ("cave", "neuprint"):
        written = (tmp_path / f"synapses_{name}.csv").read_text()
        assert written == (tmp_path / f"{name}.csv").read_text()
    with h5py.File(tmp_path / "synapses_cremi.h5") as file:
        assert file["annotations"].attrs["offset"].tolist() == [300, 0, 0]
        assert len(file["annotations/ids"]) == (5 if rows else 0)


def test_faults_of_exports(monkeypatch):
    assert check_exports(list(EXPORTS), "decoding.exports", encoding="polarity") == []
    found = check_exports(["cave", "neuprnt"], "decoding.exports", encoding="instance")
    assert [str(fault) for fault in found] == [
        "decoding.exports: takes synapses with sides, and decoding gives instance labels.\n"
        "  Take it out, or use a decoder of pre, post, union.",
        "decoding.exports[1]: there is no export 'neuprnt'.\n  Did you mean 'neuprint'?",
    ]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (fault,) = check_exports(["cave", "parquet"], "exports")
    assert fault.where == "exports[1]"
    assert 'pip install "connectomics[parquet]"' in fault.remedy
    assert check_exports([], "exports", encoding="instance") == []
