"""Tables on disk and in the forms of other programs."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest

from connectomics.data.annotations import read_annotations
from connectomics.decoding import (
    EXPORTS,
    check_exports,
    lines,
    read_table,
    synapse_table,
    write_cave,
    write_cremi,
    write_export,
    write_neuprint,
    write_table,
)
from connectomics.errors import DataError
from connectomics.geometry import VoxelGrid

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


@pytest.mark.parametrize("name", ["none.csv", "none.parquet"])
def test_an_empty_table_comes_back_with_its_types(tmp_path, name):
    table = synapse_table(np.zeros((1, 2, 3), int), resolution=NM)
    write_table(table, tmp_path / name)
    pd.testing.assert_frame_equal(read_table(tmp_path / name), table)


def test_csv_and_parquet_hold_the_same_numbers(tmp_path):
    """Positions and sizes that no decimal fraction hits, and ids that no float holds."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 60, (5, 9, 11))
    table = synapse_table(
        labels,
        resolution=(50, 4.6, 13 / 3),
        offset_nm=(1 / 3, -7.7, 1e6 + 0.1),
        probabilities=rng.random((3, *labels.shape)),
        neurons=rng.integers(0, 3, labels.shape).astype(np.uint64) * (2**64 // 3 - 5),
    )
    for name in ("t.csv", "t.parquet"):
        write_table(table, tmp_path / name)
        pd.testing.assert_frame_equal(read_table(tmp_path / name), table, check_exact=True)


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
    with pytest.raises(DataError, match=r'pip install "pyarrow>=15"'):
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


def test_cave_gets_the_rows_that_its_client_posts(tmp_path, table):
    """As `CAVEclient.annotation.post_annotation_df` makes requests of a data frame."""
    write_cave(table, tmp_path / "cave.csv")
    positions = ["pre_pt_position", "post_pt_position", "ctr_pt_position"]
    rows = pd.read_csv(tmp_path / "cave.csv", converters=dict.fromkeys(positions, json.loads))
    (record,) = rows.to_dict("records")
    assert {name: record[name] for name in positions} == {
        "pre_pt_position": [8, 0, 330],
        "post_pt_position": [8, 8, 330],
        "ctr_pt_position": [8, 0, 330],
    }
    assert set(record) - set(positions) == {"id", "size"}


def test_what_cave_does_not_take_is_counted(tmp_path, table, caplog):
    write_cave(table, tmp_path / "cave.csv")
    assert caplog.messages == [
        "CAVE takes 1 of 3 synapses: 1 have one side only, 1 connect a neuron with itself."
    ]
    caplog.clear()
    assert write_cave(table.head(1), tmp_path / "cave.csv") == 1
    assert not caplog.messages
    unknown = table.assign(pre_neuron=pd.NA, post_neuron=pd.NA)
    unknown = unknown.astype({"pre_neuron": "UInt64", "post_neuron": "UInt64"})
    assert write_cave(unknown, tmp_path / "cave.csv") == 2  # two unknown neurons are not one


@pytest.mark.parametrize("offset", [0.0, 0.5, -3.7, 1e6 + 0.3])
def test_whole_numbers_stay_in_the_voxel_they_name(tmp_path, offset):
    """Voxels of 4.6 nm, in units of 1 nm for CAVE and of a voxel for neuPrint."""
    labels = np.arange(1, 2 * 40 + 1).reshape(1, 1, 80)
    table = synapse_table(labels, resolution=(30, 8, 4.6), offset_nm=(0, 0, offset))
    write_cave(table, tmp_path / "cave.csv")
    rows = pd.read_csv(tmp_path / "cave.csv")
    for side, first in (("pre", 0), ("post", 1)):
        places = np.array([json.loads(text)[0] for text in rows[f"{side}_pt_position"]])
        assert places.dtype == np.int64
        assert (np.floor((places - offset) / 4.6) == np.arange(first, 80, 2)).all()
    write_neuprint(table, tmp_path / "sites.csv", voxel_size=(30, 8, 4.6))
    sites = pd.read_csv(tmp_path / "sites.csv")
    assert len(sites) == 80
    first = int(np.floor(offset / 4.6 + 1e-6))
    assert sites.x.tolist() == [*range(first, first + 80, 2), *range(first + 1, first + 80, 2)]


def test_neuprint_takes_sites(tmp_path, table):
    path = tmp_path / "sites.csv"
    assert write_neuprint(table, path, voxel_size=NM) == 5
    rows = pd.read_csv(path, dtype={"bodyId": np.uint64})
    assert list(rows.columns) == ["bodyId", "type", "x", "y", "z", "confidence"]
    assert rows.type.tolist() == ["pre", "pre", "pre", "post", "post"]
    assert all(rows[axis].dtype == np.int64 and abs(rows[axis]).max() < 2**31 for axis in "xyz")
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


def test_cremi_sites_are_read_back(tmp_path, table):
    """By this project's reader, and by the definition of the format."""
    offset = (300.0, 16.0, -8.0)
    path = tmp_path / "sites.hdf"
    write_cremi(table, path, offset_nm=offset)
    read = read_annotations(str(path))
    paired = table[table.side == "paired"]
    for points, side in ((read.pre_nm, "pre"), (read.post_nm, "post")):
        np.testing.assert_array_equal(points, paired[[f"{side}_{a}_nm" for a in "zyx"]])
    with h5py.File(path) as file:
        group = file["annotations"]
        assert file.attrs["file_format"] == "0.2"
        stored = {name: group[name].dtype for name in ("ids", "locations")}
        assert stored == {"ids": np.uint64, "locations": np.float64}
        assert group["presynaptic_site/partners"].dtype == np.uint64
        assert h5py.check_string_dtype(group["types"].dtype).length is None
        kind = dict(zip(group["ids"][:].tolist(), group["types"].asstr()[:], strict=True))
        place = dict(zip(group["ids"][:].tolist(), group["locations"][:], strict=True))
        for pre, post in group["presynaptic_site/partners"][:].tolist():
            assert (kind[pre], kind[post]) == ("presynaptic_site", "postsynaptic_site")
            row = table[table.synapse_id == post // 2].iloc[0]
            at = place[post] + group.attrs["offset"]
            assert at.tolist() == [row[f"post_{axis}_nm"] for axis in "zyx"]


@pytest.mark.parametrize("rows", [3, 0])
def test_every_export_is_what_its_own_writer_makes(tmp_path, table, rows):
    table = table.head(rows)
    grid = VoxelGrid(NM, (300.0, 0.0, 0.0))
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
    assert 'pip install "pyarrow>=15"' in fault.remedy
    assert check_exports([], "exports", encoding="instance") == []


def test_cremi_on_a_full_disk(tmp_path, table):
    """HDF5 alone would take the process down at its end; so it is a process of its own."""
    path = tmp_path / "synapses.h5"
    write_cremi(table, path)
    before = path.read_bytes()
    table.to_pickle(tmp_path / "table")
    code = (
        "import resource, sys\n"
        "import pandas as pd\n"
        "from connectomics.decoding import write_cremi\n"
        "from connectomics.errors import DataError\n"
        f"table = pd.read_pickle({str(tmp_path / 'table')!r})\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 2},) * 2)\n"
        "try:\n"
        f"    write_cremi(table, {str(path)!r})\n"
        "except DataError as error:\n"
        "    sys.exit(f'said: {error}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "synapses.h5: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"synapses.h5", "table"}


def test_neuroglancer_shows_synapses_as_lines(tmp_path):
    labels = np.zeros((3, 8, 12), np.uint8)
    labels[1, 2:4, 1:4] = 1
    labels[1, 2:4, 5:9] = 2
    labels[2, 6, 2:5] = 5  # has no post side
    place = {"resolution": (30, 8, 8), "offset_nm": (60, 0, 16)}
    table = synapse_table(labels, **place)
    seen = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "write_lines", lambda folder, found: seen.update({folder: found}))
        write_export("neuroglancer", table, tmp_path / "n", grid=VoxelGrid(**place))
    found = seen[tmp_path / "n" / "synapses"]
    assert found.ids.tolist() == [1, 3]
    assert found.relationships["pre_segment"].tolist() == [1, 5]
    assert found.relationships["post_segment"].tolist() == [2, 0]
    assert found.relationships.keys() == {"pre_segment", "post_segment"}
    # The voxels they end in, beside the two and two that the offset is worth.
    starts = np.floor(found.starts).astype(int) - (2, 0, 2)
    stops = np.floor(found.stops).astype(int) - (2, 0, 2)
    assert [labels[z, y, x] for x, y, z in starts] == [1, 5]
    assert [labels[z, y, x] for x, y, z in stops] == [2, 5]
    values = {one.name: one.values.tolist() for one in found.properties}
    assert (values["side"], values["pre_voxels"], values["post_voxels"]) == ([0, 1], [6, 3], [8, 0])
    write_export("neuroglancer", table, tmp_path / "n", grid=VoxelGrid(**place))
    assert (tmp_path / "n" / "synapses" / "info").is_file()
