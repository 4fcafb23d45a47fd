"""What a volume is, by its values and its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from connectomics.data.io import open_volume, save_volume
from connectomics.data.recognition import own_words, recognise

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (4, 32, 32), dtype=np.uint8)
CLEFTS = np.zeros((4, 32, 32), np.uint8)
CLEFTS[1:3, 4:9, 4:20], CLEFTS[1:3, 9:14, 4:20] = 1, 2
CELLS = np.repeat(np.repeat(np.arange(1, 65, dtype=np.uint16).reshape(1, 8, 8), 4, 1), 4, 2)
CELLS = np.repeat(CELLS, 4, 0)
MARKED = np.where(CLEFTS > 0, CLEFTS.astype(np.uint64), np.uint64(2**64 - 1))


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("a", GREY, "image"),
        ("a", GREY.astype(np.float32) / 255, "image"),
        ("a", CLEFTS, "label"),
        ("a", CLEFTS.astype(np.float32), "label"),
        ("a", MARKED, "label"),
        ("a", (CLEFTS > 0) * np.uint8(255), "label"),
        ("labels", np.zeros_like(CLEFTS), "label"),
        ("a", np.zeros_like(CLEFTS), "other"),
        ("pre", CLEFTS == 1, "pre"),
        ("postsynaptic_mask", CLEFTS == 2, "post"),
        ("prepost", CLEFTS, "label"),
        ("a", CELLS, "neurons"),
        ("mask", np.ones_like(CLEFTS) - (CLEFTS > 0), "mask"),
        ("membranes", CLEFTS > 0, "other"),
        ("pred", GREY.astype(np.float32) / 255, "other"),
    ],
)
def test_kinds(tmp_path: Path, name: str, values: np.ndarray, kind: str) -> None:
    values = values.astype(np.uint8) if values.dtype == bool else values
    save_volume(tmp_path / f"{name}.h5", values)
    assert recognise(open_volume(tmp_path / f"{name}.h5")).kind == kind


def test_values_count_more_than_names_and_the_contradiction_is_said(tmp_path: Path) -> None:
    save_volume(tmp_path / "syn.h5", GREY)
    save_volume(tmp_path / "img.h5", CLEFTS)
    grey, labels = (recognise(open_volume(tmp_path / n)) for n in ("syn.h5", "img.h5"))
    assert (grey.kind, grey.doubt) == ("image", "holds grey values, and is named as labels")
    assert (labels.kind, labels.doubt) == ("label", "holds labels, and is named as an image")


def test_what_lies_between_is_unclear_unless_its_name_says(tmp_path: Path) -> None:
    coarse = np.repeat(RNG.integers(0, 256, (4, 32, 11), dtype=np.uint8), 3, axis=2)
    save_volume(tmp_path / "a.h5", coarse)
    save_volume(tmp_path / "raw.h5", coarse)
    found = [recognise(open_volume(tmp_path / n)) for n in ("a.h5", "raw.h5")]
    assert [one.kind for one in found] == ["unclear", "image"]


def test_several_channels_are_of_no_use(tmp_path: Path) -> None:
    save_volume(tmp_path / "a.h5", np.zeros((3, 4, 8, 8), np.uint8))
    assert recognise(open_volume(tmp_path / "a.h5")).kind == "other"
    save_volume(tmp_path / "rgb.h5", np.zeros((5, 8, 8, 3), np.uint8))
    said = recognise(open_volume(tmp_path / "rgb.h5")).why
    assert said == "has 3 channels along its last axis, where a volume has one: save one alone"


def test_own_words_tell_volumes_apart() -> None:
    assert own_words("data/raw_train1.h5") == own_words("data/syn_train1.h5") == {"train", "1", "5"}
