"""Which labels belong to which image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from connectomics.data.io import open_volume, save_volume
from connectomics.data.pairing import pair
from connectomics.data.recognition import Kind, Recognised
from connectomics.errors import DataError

SMALL, LARGE = (2, 4, 4), (3, 6, 5)


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def found(*named: tuple[str, Kind, tuple[int, ...]]) -> list[Recognised]:
        made = []
        for name, kind, shape in named:
            save_volume(name, np.zeros(shape, np.uint8))
            made.append(Recognised(open_volume(name), kind, "made"))
        return made

    return found


def pairs(found: list[Recognised]) -> dict[str, str | None]:
    return {g.image.source: g.label.source if g.label else None for g in pair(found)}


def test_volumes_pair_by_shape(found) -> None:
    volumes = found(
        ("a.h5", "image", SMALL),
        ("b.h5", "image", LARGE),
        ("c.h5", "label", LARGE),
        ("d.h5", "label", SMALL),
    )
    assert pairs(volumes) == {"a.h5": "d.h5", "b.h5": "c.h5"}


def test_volumes_of_one_shape_pair_by_name(found) -> None:
    volumes = found(
        ("raw_2.h5", "image", SMALL),
        ("raw_1.h5", "image", SMALL),
        ("syn_1.h5", "label", SMALL),
        ("syn_2.h5", "label", SMALL),
    )
    assert pairs(volumes) == {"raw_1.h5": "syn_1.h5", "raw_2.h5": "syn_2.h5"}


def test_what_lies_in_one_file_belongs_together(found) -> None:
    volumes = found(
        ("b.h5::raw", "image", SMALL),
        ("a.h5::raw", "image", SMALL),
        ("a.h5::labels", "label", SMALL),
        ("b.h5::labels", "label", SMALL),
    )
    assert pairs(volumes) == {"a.h5::raw": "a.h5::labels", "b.h5::raw": "b.h5::labels"}


def test_labels_named_after_synapses_come_before_others(found) -> None:
    volumes = found(
        ("a.h5::raw", "image", SMALL),
        ("a.h5::seg", "label", SMALL),
        ("a.h5::clefts", "label", SMALL),
    )
    assert pairs(volumes) == {"a.h5::raw": "a.h5::clefts"}


def test_the_rest_finds_its_image_and_an_image_may_be_alone(found) -> None:
    volumes = found(
        ("a.h5", "image", SMALL),
        ("b.h5", "image", LARGE),
        ("pre.h5", "pre", SMALL),
        ("post.h5", "post", SMALL),
        ("cells.h5", "neurons", SMALL),
        ("elsewhere.h5", "neurons", (9, 9, 9)),
    )
    first, second = pair(volumes)
    assert (first.pre, first.post, first.neurons) == tuple(v.volume for v in volumes[2:5])
    assert second.label is None


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ([("a.h5", "label", SMALL)], "none of these is an image"),
        (
            [("a.h5", "image", LARGE), ("b.h5", "label", SMALL)],
            "labels of 2 x 4 x 4 voxels without",
        ),
        ([("a.h5", "image", LARGE), ("b.h5", "label", LARGE[::-1])], "order \\(x, y, z\\)"),
        (
            [("a.h5", "image", SMALL), ("b.h5", "image", SMALL), ("c.h5", "label", SMALL)],
            "fits a.h5, b.h5 by its shape",
        ),
        (
            [("a.h5", "image", SMALL), ("b.h5", "label", SMALL), ("c.h5", "label", SMALL)],
            "2 volumes may be its label",
        ),
    ],
)
def test_what_does_not_pair_is_said(found, named: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pair(found(*named))
