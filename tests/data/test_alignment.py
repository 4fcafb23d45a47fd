from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from connectomics.config.schema import SplitSection
from connectomics.data.alignment import alignment_faults, require_alignment
from connectomics.data.checks import open_on_one_grid, split_faults
from connectomics.data.io import open_volume, save_volume
from connectomics.errors import DataError, DataWarning

VOLUME = np.arange(5 * 6 * 7, dtype=np.uint8).reshape(5, 6, 7)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, **attributes: Any) -> str:
    with h5py.File(name, "w") as file:
        file.create_dataset("main", data=VOLUME).attrs.update(attributes)
    return name


def write_sections(folder: str, *numbers: object) -> str:
    Path(folder).mkdir()
    for number, section in zip(numbers, VOLUME, strict=False):
        Image.fromarray(section).save(f"{folder}/s{number}.png")
    return folder


def faults(image: str, label: str) -> list[str]:
    files = {"data.train.image": image, "data.train.label": label}
    return [str(fault) for fault in open_on_one_grid(files, integers=["data.train.label"])[1]]


def test_files_that_say_nothing_or_the_same_lie_on_one_grid() -> None:
    image = write("image.h5", resolution=(50, 4.6, 4.6), offset=(0, 0, 0))
    for name, stated in {
        "nothing.h5": {},
        "same.h5": {"resolution": (50, 4.60001, 4.6), "offset": (0, 0, 0)},
        "near.h5": {"resolution": (50, 4.6, 4.6), "offset": (24, 2, -2)},
        "units.h5": {"voxel_size": (0.05, 0.0046, 0.0046), "units": "um"},
    }.items():
        assert faults(image, write(name, **stated)) == []


def test_axes_in_another_order_are_told_from_another_size() -> None:
    image = write("image.h5")
    with h5py.File("turned.h5", "w") as file:
        file["main"] = VOLUME.T
    (said,) = faults(image, "turned.h5")
    assert "turned.h5: has shape (7, 6, 5), its image image.h5 (5, 6, 7)." in said
    assert "One is in the order (x, y, z), and both have to be (z, y, x)" in said
    save_volume("cut.h5", VOLUME[1:])
    assert "crop one of them" in faults(image, "cut.h5")[0]
    with h5py.File("turned.h5", "r+") as file:  # the remedy
        file["main"].attrs["axes"] = "xyz"
    assert faults(image, "turned.h5") == []


def test_a_file_without_an_offset_may_lie_anywhere() -> None:
    raw = write("raw.h5", resolution=(40, 4, 4))
    clefts = write("clefts.h5", resolution=(40, 4, 4), offset=(1520, 3644, 3644))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert faults(raw, clefts) == []


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        (
            {"offset": (1520, 3644, 3644)},
            "label.h5: says that it begins at 1520 x 3644 x 3644 nm (z, y, x), its image image.h5 "
            "at 0 x 40 x 400.",
        ),
        ({"offset": (20, 40, 400)}, "begins at 20 x 40 x 400"),
        ({"offset": (400, 40, 0)}, "One is in the order (x, y, z)."),
        (
            {"resolution": (40, 8, 8)},
            "label.h5: says 40 x 8 x 8 nm per voxel (z, y, x), its image image.h5 40 x 4 x 4.",
        ),
        ({"resolution": (4, 4, 40)}, "One is in the order (x, y, z)."),
    ],
)
@pytest.mark.filterwarnings("ignore::connectomics.errors.DataWarning")
def test_files_of_other_places_are_refused_with_both_values(
    stated: dict[str, Any], said: str
) -> None:
    image = write("image.h5", resolution=(40, 4, 4), offset=(0, 40, 400))
    (fault,) = faults(image, write("label.h5", **{"resolution": (40, 4, 4), **stated}))
    assert said in fault


@pytest.mark.filterwarnings("ignore::connectomics.errors.DataWarning")
@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"resolution": (40, 8, 8)}, "mask.h5: says 40 x 8 x 8 nm per voxel (z, y, x), its label"),
        (
            {"offset": (40, 0, 0)},
            "mask.h5: says that it begins at 40 x 0 x 0 nm (z, y, x), its label",
        ),
    ],
)
def test_where_the_image_says_nothing_the_others_are_compared(
    stated: dict[str, Any], said: str
) -> None:
    files = {
        "data.train.image": write("image.h5"),
        "data.train.label": write("label.h5", resolution=(40, 4, 4), offset=(0, 0, 0)),
        "data.train.mask": write("mask.h5", **stated),
    }
    (fault,) = open_on_one_grid(files, integers=["data.train.label"])[1]
    assert str(fault).startswith(said)


def test_without_a_voxel_size_offsets_are_compared_in_nm() -> None:
    image = write("image.h5", offset=(0, 0, 0))
    assert faults(image, write("near.h5", offset=(0, 0, 0.25))) == []
    assert len(faults(image, write("far.h5", offset=(0, 0, 1)))) == 1


@pytest.mark.filterwarnings("ignore::connectomics.errors.DataWarning")
def test_sections_pair_by_their_numbers() -> None:
    image = write_sections("image", 1, 2, 4, 5, 10)
    assert faults(image, write_sections("same", "01", "02", "04", "05", "10")) == []
    (fault,) = faults(image, write_sections("label", 1, 2, 3, 5, 10))
    assert "by their numbers: label has no 4; its image image has no 3." in fault
    (fault,) = faults(image, write_sections("fewer", 1, 2, 4, 5))
    assert "fewer has no 10." in fault
    assert faults(image, write("label.h5")) == []


def test_a_gap_is_said_and_regular_numbers_are_not() -> None:
    with pytest.warns(DataWarning, match="gap: has no section 7; those beside it are taken for"):
        open_volume(write_sections("gap", 6, 8, 9))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_volume(write_sections("even", 2, 4, 6, 8))


def test_what_lies_in_a_run_is_compared_with_its_image() -> None:
    image = open_volume(write("image.h5", resolution=(40, 4, 4), offset=(0, 0, 0)))
    save_volume("p.h5", np.stack([VOLUME] * 3), resolution=(40, 4, 4))
    require_alignment(image, open_volume("p.h5"))
    save_volume("other.h5", VOLUME, resolution=(40, 4, 4), offset_nm=(40, 0, 0))
    with pytest.raises(DataError, match=r"other\.h5: says that it begins at 40 x 0 x 0 nm"):
        require_alignment(image, open_volume("other.h5"))
    assert alignment_faults({"image": image}) == []


def split(**settings: Any) -> SplitSection:
    return SplitSection.model_validate(settings)


def test_a_range_that_goes_by_the_numbers_of_files_is_said() -> None:
    image = write_sections("image", 1, 2, 3, 4, 5)
    with pytest.warns(DataWarning) as caught:
        assert split_faults(split(image=image, z_range=[1, 5]), "data.test") == []
    assert "data.test.z_range: [1, 5] counts from 0" in str(caught[0].message)
    assert "the first that it takes is 2." in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert split_faults(split(image=image, z_range=[0, 4]), "data.test") == []
    (fault,) = split_faults(split(image=image, z_range=[1, 6]), "data.test")
    assert "counted from 0" in fault.remedy


def annotate(name: str, points: list[list[float]]) -> str:
    with h5py.File(name, "w") as file:
        file["annotations/ids"] = np.arange(len(points))
        file["annotations/locations"] = np.array(points, float)
        file["annotations/types"] = np.array([b"presynaptic_site"] * len(points))
        file["annotations/presynaptic_site/partners"] = [[0, 1]]
    return name


@pytest.mark.parametrize(
    ("points", "slip"),
    [
        ([[9e4, 9e4, 9e4], [9e4, 9e4, 9e4]], "say their offset."),
        ([[4, 5, 6], [4, 4, 4]], "in voxels."),
        ([[124, 120, 4190], [120, 124, 4180]], "in the order (x, y, z)."),
        ([[4.04, 0.12, 0.12]] * 2, "in micrometres."),
    ],
)
def test_sites_of_which_none_lies_in_the_volume_are_said(
    points: list[list[float]], slip: str
) -> None:
    image = write("image.h5", resolution=(40, 4, 4), offset=(4000, 100, 100))
    one = split(image=image, annotations=annotate("sites.h5", points))
    with pytest.warns(DataWarning) as caught:
        assert split_faults(one, "data.test") == []
    (said,) = [str(warning.message) for warning in caught]
    assert "sites.h5: none of its 2 sites lies in image.h5, which covers" in said
    assert said.endswith(slip)


def test_sites_of_which_some_lie_in_the_volume_are_ordinary() -> None:
    image = write("image.h5", resolution=(40, 4, 4))
    points = [[40.0, 4.0, 4.0], [9e4, 9e4, 9e4]]
    one = split(image=image, annotations=annotate("sites.h5", points))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert split_faults(one, "data.test") == []
