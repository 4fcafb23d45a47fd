from __future__ import annotations

from pathlib import Path

import pytest

from connectomics.data.io.location import Location, format_of, is_there, parse_location
from connectomics.errors import DataError


def message(source: str | Path) -> str:
    with pytest.raises(DataError) as caught:
        format_of(parse_location(source))
    return str(caught.value)


def test_sources_are_taken_apart() -> None:
    assert parse_location("a/b.h5") == Location("a/b.h5", Path("a/b.h5"), None)
    found = parse_location("a/b.h5::/volumes/raw/")
    assert (found.path, found.dataset) == (Path("a/b.h5"), "volumes/raw")
    assert parse_location(Path("a/b.tif")).source == "a/b.tif"
    assert parse_location("~/em.h5").path == Path.home() / "em.h5"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a/sample_A.hdf::volumes/raw", "sample_A_volumes_raw"),
        ("a/em.v2.h5", "em.v2"),
        ("a/em.ome.zarr", "em"),
        ("a/em.ome.tif", "em"),
        ("stack1/raw/", "raw"),
        ("stack1/raw.v2", "raw.v2"),
        ("stack1/raw/z*.png", "raw"),
    ],
)
def test_names_are_short(source: str, name: str) -> None:
    assert parse_location(source).name == name


@pytest.mark.parametrize("source", ["", "::raw"])
def test_an_empty_source_is_refused(source: str) -> None:
    with pytest.raises(DataError, match="names no file"):
        parse_location(source)


@pytest.mark.parametrize(
    ("source", "url", "dataset", "name"),
    [
        ("s3://scans/a/em.zarr", "s3://scans/a/em.zarr", None, "em"),
        ("s3://scans/em.ome.zarr/0/", "s3://scans/em.ome.zarr", "0", "em_0"),
        ("gs://scans/em.n5::raw/s0", "gs://scans/em.n5", "raw/s0", "em_raw_s0"),
        ("precomputed://gs://scans/em", "gs://scans/em", None, "em"),
        ("https://h.org/a/em/|neuroglancer-precomputed:", "https://h.org/a/em", None, "em"),
        ("zarr://http://localhost:80/em.zarr/", "http://localhost:80/em.zarr", None, "em"),
    ],
)
def test_web_addresses(source: str, url: str, dataset: str | None, name: str) -> None:
    found = parse_location(source)
    assert (found.source, found.url, found.dataset, found.name) == (source, url, dataset, name)
    assert format_of(found) == "remote"
    assert is_there(source)


@pytest.mark.parametrize(
    "source", ["ftp://h.org/em.zarr", "s3://", "file://h.org/em.zarr", "file://em.zarr"]
)
def test_web_addresses_of_other_kinds_are_refused(source: str) -> None:
    with pytest.raises(DataError, match=r"is no (web address|address of a file)"):
        parse_location(source)


@pytest.mark.parametrize("begin", ["file://", "file://localhost"])
def test_addresses_of_files_are_files(tmp_path: Path, begin: str) -> None:
    (tmp_path / "a b.h5").touch()
    found = parse_location(f"{begin}{tmp_path}/a%20b.h5::raw")
    assert (found.path, found.dataset, found.url) == (tmp_path / "a b.h5", "raw", "")


def test_the_home_of_nobody() -> None:
    with pytest.raises(DataError, match="'~no_such_person' is nobody's home"):
        parse_location("~no_such_person/em.h5")


def test_formats_go_by_suffix_and_content(tmp_path: Path) -> None:
    for file in ("a.h5", "b.HDF5", "c.hdf", "d.tif", "e.TIFF", "z1.png"):
        (tmp_path / file).touch()
    (tmp_path / "sections").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / ".zarray").touch()
    (tmp_path / "not.zarr").mkdir()
    expected = {
        "a.h5": "hdf5",
        "b.HDF5": "hdf5",
        "c.hdf": "hdf5",
        "d.tif": "tiff",
        "e.TIFF": "tiff",
        "sections": "sections",
        "*.png": "sections",
        "store": "zarr",
        "not.zarr": "zarr",
    }
    found = {name: format_of(parse_location(tmp_path / name)) for name in expected}
    assert found == expected


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "em[1].tif").touch()
    assert format_of(parse_location(tmp_path / "em[1].tif")) == "tiff"


def test_a_missing_file_brings_near_names(tmp_path: Path) -> None:
    (tmp_path / "im_Yx2.h5").touch()
    (tmp_path / "syn_Yx2.h5").touch()
    text = message(tmp_path / "im_yx2.h5")
    assert "no such file" in text
    assert f"Did you mean '{tmp_path / 'im_Yx2.h5'}'" in text


def test_a_missing_file_unlike_any_lists_the_folder(tmp_path: Path) -> None:
    for index in range(9):
        (tmp_path / f"{index}.h5").touch()
    text = message(tmp_path / "neurites_of_the_left_hemisphere.h5")
    assert "holds 0.h5, 1.h5, 2.h5, 3.h5, 4.h5, 5.h5, …" in text


def test_a_missing_file_in_an_empty_folder(tmp_path: Path) -> None:
    assert "is empty" in message(tmp_path / "a.h5")


def test_a_missing_folder_names_its_first_missing_part(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    text = message(tmp_path / "dataset" / "JWR15" / "vol3" / "im.h5")
    assert f"no folder '{tmp_path / 'dataset'}'" in text
    assert f"Did you mean '{tmp_path / 'datasets'}'" in text


def test_a_path_into_an_hdf5_file_names_an_array_in_it(tmp_path: Path) -> None:
    (tmp_path / "a.h5").touch()
    found = parse_location(tmp_path / "a.h5" / "raw" / "x")
    assert (found.path, found.dataset) == (tmp_path / "a.h5", "raw/x")
    assert found.name == "a_raw_x"


def test_a_path_into_another_file_shows_how_to_write_it(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    text = message(tmp_path / "a.tif" / "raw" / "x")
    assert f"write {tmp_path / 'a.tif'}::raw/x." in text


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of nested groups, seen from the folder it is in."""
    monkeypatch.chdir(tmp_path)
    for folder in ("em.zarr", "em.zarr/a", "em.zarr/a/0"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "zarr.json").touch()
    return tmp_path / "em.zarr"


def test_a_path_into_a_store_is_what_two_colons_name(store: Path) -> None:
    same = parse_location("em.zarr::a/0")
    assert (same.path, same.dataset, same.name) == (Path("em.zarr"), "a/0", "em_a_0")
    for source in (
        "em.zarr/a/0",
        "em.zarr/a/0/",
        "em.zarr/a::0",
        "./em.zarr//a/0",
        "em.zarr/a::/0/",
    ):
        found = parse_location(source)
        assert (found.path, found.dataset, found.name) == (same.path, same.dataset, same.name)
    for source in (store / "a" / "0", "em.zarr/a/../a/0", "em.zarr/../em.zarr/a/0"):
        found = parse_location(source)
        assert (found.path, found.dataset) == (store, "a/0")


def test_from_inside_a_store_the_whole_of_it_is_found(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store / "a")
    found = parse_location("0")
    assert (found.path, found.dataset) == (store, "a/0")


def test_a_link_into_a_store_keeps_its_name(store: Path, tmp_path: Path) -> None:
    (tmp_path / "train.zarr").symlink_to(store / "a" / "0")
    found = parse_location("train.zarr")
    assert (found.path, found.dataset, found.name) == (store, "a/0", "train")


def test_what_is_not_there_is_looked_for_in_the_store(store: Path) -> None:
    found = parse_location("em.zarr/b")
    assert (found.path, found.dataset) == (Path("em.zarr"), "b")


def test_a_store_is_no_part_of_a_folder_that_is_none(store: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "sections").mkdir(parents=True)
    (tmp_path / "data" / ".zgroup").touch()
    (tmp_path / "data" / "em.h5").touch()
    for source in ("em.zarr", "data/em.h5", "data/sections", "data/missing.h5"):
        found = parse_location(source)
        assert (found.path, found.dataset) == (Path(source), None)


@pytest.mark.parametrize("inside", ["/volumes/raw", "::volumes/raw"])
def test_a_path_into_an_n5_store(tmp_path: Path, inside: str) -> None:
    (tmp_path / "em.n5" / "volumes" / "raw").mkdir(parents=True)
    found = parse_location(f"{tmp_path / 'em.n5'}{inside}")
    assert (found.path, found.dataset) == (tmp_path / "em.n5", "volumes/raw")
    assert (found.name, format_of(found)) == ("em_volumes_raw", "n5")


def test_n5_and_precomputed_are_known_by_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "em" / "8_8_30").mkdir(parents=True)
    (tmp_path / "em" / "info").write_text("about these pictures")
    assert format_of(parse_location(tmp_path / "em")) == "sections"
    (tmp_path / "em" / "info").write_text('{"scales": []}')
    assert format_of(parse_location(tmp_path / "em")) == "precomputed"
    found = parse_location(tmp_path / "em" / "8_8_30")
    assert (found.path, found.dataset) == (tmp_path / "em", "8_8_30")
    (tmp_path / "attributes.json").write_text('{"n5": "2.5.0"}')
    assert format_of(parse_location(tmp_path)) == "n5"


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    assert parse_location("a\0.h5").path == Path("a\0.h5")
    assert parse_location("a" * 5000).dataset is None


def test_unknown_suffixes_list_what_is_supported(tmp_path: Path) -> None:
    (tmp_path / "em.nii").touch()
    (tmp_path / "em").touch()
    assert "unknown format ('.nii')" in message(tmp_path / "em.nii")
    assert "Supported: HDF5 (.h5" in message(tmp_path / "em.nii")
    assert "unknown format (no suffix)" in message(tmp_path / "em")


def test_only_hdf5_and_zarr_have_named_arrays(tmp_path: Path) -> None:
    (tmp_path / "em.tif").touch()
    text = message(f"{tmp_path / 'em.tif'}::raw")
    assert "there is no 'raw' in it" in text
    assert f"Write {tmp_path / 'em.tif'} alone" in text
