"""Tuning must not see what is tested on, and it is said what training has seen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from PIL import Image

from connectomics.config.schema import DataSection
from connectomics.data.checks import check_data
from connectomics.data.io import save_volume
from connectomics.data.overlap import learned_faults, training_notes
from connectomics.errors import DataError

SHAPE = (12, 40, 40)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    label = np.zeros(SHAPE, np.uint16)
    label[9:12, 5:20, 5:20] = 1
    for name in ("a", "b"):
        save_volume(f"{name}.h5", np.zeros(SHAPE, np.uint8))
        save_volume(f"{name}_label.h5", label)


def files(image: str = "a.h5", **keys: Any) -> dict[str, Any]:
    return {"image": image, "label": "a_label.h5", **keys}


def section(**keys: Any) -> DataSection:
    loader = {"patch_size": (3, 16, 16), "num_workers": 0}
    return DataSection.model_validate({"dataloader": loader, **keys})


def faults(**keys: Any) -> list[str]:
    return [str(fault) for fault in check_data(section(**keys), "tune")]


def test_other_files_and_other_sections_are_apart():
    assert faults(val=files("a.h5"), test=files("b.h5")) == []
    assert faults(val=files(z_range=[0, 6]), test=files(z_range=[6, 12])) == []
    assert faults(val=files()) == []


def test_the_same_sections():
    (fault,) = faults(val=files(z_range=[0, 7]), test=files(z_range=[4, 12]))
    assert fault == (
        "data.val: 3 sections (4 to 6) of a.h5 are also in data.test.\n"
        "  Tuned on what is tested, settings score better than they are. Validate on other "
        "volumes, data.val, or another part: z_range, y_range, x_range."
    )
    (fault,) = faults(val=files(z_range=[0, 7]), test=files(z_range=[6, 12]))
    assert fault.startswith("data.val: section 6 of a.h5 is also in data.test.")


@pytest.mark.parametrize(
    ("val", "test", "found"),
    [
        ({"y_range": [0, 20]}, {"y_range": [20, 40]}, None),
        ({"x_range": [0, 20]}, {"z_range": [3, 6], "x_range": [20, 40]}, None),
        ({"y_range": [0, 20]}, {"x_range": [0, 20]}, "parts of 12 sections (0 to 11) of a.h5 are"),
        ({}, {"z_range": [3, 5], "y_range": [9, 40]}, "parts of 2 sections (3 to 4) of a.h5 are"),
        (
            {"z_range": [0, 4], "x_range": [0, 21]},
            {"z_range": [3, 6], "x_range": [20, 40]},
            "a part of section 3 of a.h5 is",
        ),
    ],
)
def test_two_parts_of_the_same_sections(val: Any, test: Any, found: str | None):
    said = faults(val=files(**val), test=files(**test))
    assert [fault.partition(" also in data.test")[0] for fault in said] == (
        [f"data.val: {found}"] if found else []
    )


def test_one_of_several_volumes():
    val = {"image": ["a.h5", "b.h5"], "label": ["a_label.h5", "b_label.h5"]}
    (fault,) = faults(val=val, test=files("b.h5", z_range=[0, 2]))
    assert "2 sections (0 to 1) of b.h5" in fault


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_links_to_a_file_are_the_file(link):
    link("a.h5", "other.h5")
    assert len(faults(val=files(), test=files("other.h5"))) == 1
    assert len(faults(val=files("other.h5"), test=files("a.h5::main"))) == 1


def test_a_linked_folder_and_a_roundabout_path(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "a.h5").rename(tmp_path / "data" / "a.h5")
    Path("link").symlink_to("data")
    val, label = files("data/a.h5"), {"label": "a_label.h5"}
    assert len(faults(val=val, test={"image": "link/../link/a.h5", **label})) == 1
    assert len(faults(val=val, test={"image": str(tmp_path / "data/a.h5"), **label})) == 1


def test_datasets_of_one_file_are_volumes_of_their_own():
    for name in ("one", "two"):
        save_volume(f"both.h5::{name}", np.zeros(SHAPE, np.uint8))
    assert faults(val=files("both.h5::one"), test=files("both.h5::two")) == []
    assert len(faults(val=files("both.h5::one"), test=files("both.h5::/one"))) == 1


def test_arrays_of_one_store_however_they_are_named():
    group = zarr.open_group("store.zarr", mode="w")
    for name in ("one", "two"):
        array = group.create_array(name, shape=SHAPE, dtype="uint8", chunks=SHAPE)
        array[:] = 7
    one = files("store.zarr::one")
    assert faults(val=one, test=files("store.zarr::two")) == []
    assert len(faults(val=one, test=files("store.zarr/one"))) == 1


def test_folders_of_sections_share_files():
    Path("stack").mkdir()
    for z in range(12):
        Image.fromarray(np.zeros(SHAPE[1:], np.uint8)).save(f"stack/z{z}.png")
    val = files("stack", z_range=[0, 4])
    assert faults(val=val, test=files("stack/*.png", z_range=[4, 12])) == []
    (fault,) = faults(val=val, test=files("stack/z1*.png"))
    assert "section 1 of stack" in fault  # z1.png; z10 and z11 are not in the first four


def test_what_is_held_back_from_training_counts_and_nothing_else():
    held = {"train": files(), "val_fraction": 0.25}  # sections 9, 10 and 11
    assert faults(**held, test=files(z_range=[0, 9])) == []
    (fault,) = faults(**held, test=files(z_range=[3, 10]))
    assert fault.startswith(
        "data.train: section 9 of a.h5, held back for validation, is also in data.test."
    )
    (fault,) = faults(train=files(z_range=[2, 8]), test=files(z_range=[5, 12]))
    assert "3 sections (5 to 7) of a.h5, held back for validation, are also" in fault


def test_rows_held_back_lie_in_all_sections():
    """With patches as deep as half the volume, rows 24 to 39 are held back."""
    deep = {"train": files(), "dataloader": {"patch_size": (7, 16, 16)}}
    (fault,) = faults(**deep, test=files(z_range=[0, 1]))
    assert "a part of section 0 of a.h5, held back for validation, is also in data.test" in fault
    assert len(faults(**deep, test=files(y_range=[10, 25]))) == 1
    assert faults(**deep, test=files(y_range=[10, 24])) == []


def test_phantoms_are_the_same_by_their_seed():
    def phantom(seed: int, **keys: Any) -> dict[str, Any]:
        return {"phantom": {"seed": seed, "shape": [8, 64, 64]}, **keys}

    assert faults(val=phantom(1), test=phantom(2)) == []
    assert faults(val=phantom(1, z_range=[0, 4]), test=phantom(1, z_range=[4, 8])) == []
    (fault,) = faults(val=phantom(1), test=phantom(1, z_range=[6, 8]))
    assert "data.val: 2 sections (6 to 7) of the phantom of seed 1 are also in data.test" in fault
    noisy = {"phantom": {"seed": 1, "shape": [8, 64, 64], "kwargs": {"noise": 30.0}}}
    assert len(faults(val=phantom(1), test=noisy)) == 1
    assert len(faults(train=phantom(1), test=noisy)) == 1


def test_a_test_volume_that_is_not_there_yet_is_no_other():
    assert faults(val=files(), test=files("later.h5")) == []


# What training has seen -----------------------------------------------------------------------


def test_sections_that_are_learned_from():
    training = section(train=files(z_range=[2, 8]), val=files("b.h5"))
    tested = section(test=files(z_range=[5, 12])).test
    (fault,) = learned_faults(tested, "data.test", training)
    assert str(fault) == (
        "data.test: 3 sections (5 to 7) of a.h5 are also learned from.\n"
        "  A network does better on what it learned from than on anything new. Name other "
        "volumes, or another part: z_range, y_range, x_range."
    )
    apart = section(test=files(z_range=[8, 12])).test
    assert learned_faults(apart, "data.test", training) == []
    assert learned_faults(section(test=files("later.h5")).test, "data.test", training) == []
    assert learned_faults(None, "data.val", training) == []
    assert learned_faults(tested, "data.test", section()) == []


def test_sections_held_back_are_not_learned_from():
    training = section(train=files(), val_fraction=0.25)  # 9 to 11, and a gap before
    assert learned_faults(section(val=files(z_range=[9, 12])).val, "data.val", training) == []
    assert learned_faults(section(val=files(z_range=[6, 9])).val, "data.val", training) == []
    (fault,) = learned_faults(section(val=files(z_range=[5, 12])).val, "data.val", training)
    assert "section 5 of a.h5 is also learned from" in str(fault)


def test_rows_held_back_leave_a_part_of_every_section_to_learn_from():
    training = section(train=files(), dataloader={"patch_size": (7, 16, 16)})
    (fault,) = learned_faults(section(val=files()).val, "data.val", training)
    assert "parts of 12 sections (0 to 11)" in str(fault)
    part = section(val=files(y_range=[20, 40])).val
    assert learned_faults(part, "data.val", training) == []  # rows 0 to 15 are learned from


def test_notes_on_what_training_has_seen_of_each_volume():
    two = {"image": ["b.h5", "a.h5"], "label": ["b_label.h5", "a_label.h5"]}
    test = section(test=two).test
    assert test is not None
    training = section(train=files(), val_fraction=0.25)
    assert training_notes(test, training) == [
        "",
        "training learned from 6 and validated on 3 of its 12 sections, so this is no held-out "
        "score",
    ]
    training = section(train=files("gone.h5"), val=files("b.h5", z_range=[0, 5]))
    assert training_notes(test, training) == [
        "training validated on 5 of its 12 sections, so this is no held-out score",
        "",
    ]
    part = section(test=files(x_range=[5, 30])).test
    assert part is not None
    assert (
        "learned from parts of 3 of its 12 sections"
        in training_notes(part, section(train=files(z_range=[2, 5]), val=files("b.h5")))[0]
    )
    # A volume of training that has become too small to be divided since: it is still there.
    training = section(train=files(), dataloader={"patch_size": (7, 30, 30)})
    assert "learned from 12 of its 12" in training_notes(test, training)[1]


def test_nothing_to_validate_on():
    (fault,) = faults()
    assert fault == (
        "data.val: no volumes are given, nor volumes of training to hold some back from.\n"
        "  Name labelled ones: data.val.image=FILE data.val.label=FILE."
    )
    (fault,) = faults(val={"image": "a.h5"})
    assert fault.startswith("data.val.label: is missing.")
    (fault,) = faults(train={"image": "a.h5"})
    assert fault.startswith("data.train.label: is missing.")
    with pytest.raises(DataError, match="leaves no room to hold back"):
        faults(train=files(), dataloader={"patch_size": (7, 30, 30)})
