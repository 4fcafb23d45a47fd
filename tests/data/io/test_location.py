from __future__ import annotations

from pathlib import Path

import pytest

from connectomics.data.io.location import Location, format_of, parse_location
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


def test_web_addresses_are_refused() -> None:
    with pytest.raises(DataError, match="only local files"):
        parse_location("s3://bucket/em.zarr")


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


def test_a_path_into_a_file_shows_how_to_write_it(tmp_path: Path) -> None:
    (tmp_path / "a.h5").touch()
    text = message(tmp_path / "a.h5" / "raw" / "x")
    assert f"write {tmp_path / 'a.h5'}::raw/x." in text


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
