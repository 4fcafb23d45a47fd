from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from connectomics.data.io.header import Header
from connectomics.data.io.ome import describe, scales
from connectomics.errors import DataError


def axes(names: str, unit: str | None = "nanometer") -> list[dict[str, str]]:
    kinds = {"t": "time", "c": "channel"}
    described = [{"name": n, "type": kinds.get(n, "space")} for n in names]
    return [a | {"unit": unit} if unit and a["type"] == "space" else a for a in described]


def level(path: str, *steps: tuple[str, list[float]]) -> dict[str, Any]:
    transformations = [{"type": kind, kind: values} for kind, values in steps]
    return {"path": path, "coordinateTransformations": transformations}


def image(names: str, *levels: dict[str, Any], unit: str | None = "nanometer") -> dict[str, Any]:
    return {"multiscales": [{"axes": axes(names, unit), "datasets": list(levels)}]}


def test_groups_without_images_have_no_scales() -> None:
    assert scales("a.zarr", {}) == []
    assert scales("a.zarr", {"multiscales": []}) == []


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_finest_scale_comes_first(version: str) -> None:
    coarse = level("s1", ("scale", [60, 16, 16]))
    fine = level("s0", ("scale", [30, 8, 8]))
    metadata = image("zyx", coarse, fine)
    found = scales("a.zarr", {"ome": metadata} if version == "0.5" else metadata)
    assert [scale.path for scale in found] == ["s0", "s1"]
    assert found[0].resolution_nm("a.zarr") == (30, 8, 8)
    assert found[0].offset_nm("a.zarr") is None


def test_units_are_converted() -> None:
    metadata = image("zyx", level("0", ("scale", [0.05, 0.0046, 0.0046])), unit="micrometer")
    assert scales("a.zarr", metadata)[0].resolution_nm("a.zarr") == (50, 4.6, 4.6)


def test_axes_are_found_by_name_and_type() -> None:
    metadata = image("txyz", level("0", ("scale", [1, 4, 5, 30])))
    metadata["multiscales"][0]["axes"].append({"name": "ch", "type": "channel"})
    steps = metadata["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    steps[0]["scale"].append(1)
    found = scales("a.zarr", metadata)[0]
    assert found.names == ("t", "x", "y", "z", "c")
    assert found.resolution_nm("a.zarr") == (30, 5, 4)


def test_transformations_are_chained() -> None:
    fine = level("0", ("scale", [30, 8, 8]), ("translation", [300, 0, 16]))
    metadata = image("zyx", fine)
    metadata["multiscales"][0]["coordinateTransformations"] = [
        {"type": "scale", "scale": [2, 1, 1]},
        {"type": "translation", "translation": [1, 2, 3]},
    ]
    found = scales("a.zarr", metadata)[0]
    assert found.resolution_nm("a.zarr") == (60, 8, 8)
    assert found.offset_nm("a.zarr") == (601, 2, 19)


def test_without_units_nothing_is_known() -> None:
    found = scales("a.zarr", image("zyx", level("0", ("scale", [1, 1, 1])), unit=None))[0]
    assert found.resolution_nm("a.zarr") is None
    assert found.offset_nm("a.zarr") is None


def test_2d_images_have_no_voxel_size() -> None:
    assert (
        scales("a.zarr", image("yx", level("0", ("scale", [4, 4]))))[0].resolution_nm("a.zarr")
        is None
    )


def test_old_versions_have_names_or_nothing() -> None:
    oldest = {"multiscales": [{"datasets": [{"path": "0"}, {"path": "1"}]}]}
    found = scales("a.zarr", oldest)
    assert [scale.path for scale in found] == ["0", "1"]
    assert found[0].names == ("t", "c", "z", "y", "x")
    named = {"multiscales": [{"axes": ["z", "y", "x"], "datasets": [{"path": "0"}]}]}
    assert scales("a.zarr", named)[0].names == ("z", "y", "x")


@pytest.mark.parametrize(
    "metadata",
    [
        {"multiscales": [{"axes": axes("zyx")}]},
        {"multiscales": [{"datasets": [{}]}]},
        {"multiscales": "0"},
        {"ome": []},
        image("zyx", level("0", ("scale", [30, 8]))),
        image("zyx", level("0", ("scale", ["a", "b", "c"]))),
        image("zyx", level("0", ("affine", [1.0] * 12))),
        {"multiscales": [{"axes": [1, 2, 3], "datasets": [{"path": "0"}]}]},
    ],
)
def test_metadata_that_makes_no_sense_is_an_error(metadata: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"a\.zarr: its OME-Zarr metadata cannot be understood"):
        scales("a.zarr", metadata)


@pytest.mark.parametrize("shape", [(5, 6, 7), (3, 5, 6, 7)])
def test_what_is_described_can_be_read(shape: tuple[int, ...]) -> None:
    header = Header(shape, np.dtype(np.uint8), (30, 8, 8), (300, 0, 0))
    found = scales("a.zarr", {"ome": describe("em", header)})[0]
    assert found.names == ("c", "z", "y", "x")[-len(shape) :]
    assert found.resolution_nm("a.zarr") == (30, 8, 8)
    assert found.offset_nm("a.zarr") == (300, 0, 0)


def test_an_unknown_voxel_size_stays_unknown() -> None:
    header = Header((5, 6, 7), np.dtype(np.uint8))
    assert scales("a.zarr", {"ome": describe("em", header)})[0].resolution_nm("a.zarr") is None


def test_units_of_each_axis_and_without_a_scale_nothing() -> None:
    metadata = image("zyx", level("0", ("scale", [0.03, 80, 8])))
    described = metadata["multiscales"][0]["axes"]
    for axis, unit in zip(described, ("micrometer", "angstrom", "nanometer"), strict=True):
        axis["unit"] = unit
    assert scales("a.zarr", metadata)[0].resolution_nm("a.zarr") == (30, 8, 8)
    metadata["multiscales"][0]["datasets"] = [{"path": "0"}]
    assert scales("a.zarr", metadata)[0].resolution_nm("a.zarr") is None
