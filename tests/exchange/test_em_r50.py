"""EM-R50 in each layout that is known, and in some that cannot be used."""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
import pytest

from connectomics.data.io import open_volume, read_volume, save_volume
from connectomics.errors import DataError
from connectomics.exchange.em_r50 import EM_R50, convert
from connectomics.exchange.next_command import told
from connectomics.exchange.records import Material
from tests.exchange.layouts import em_r50

SHAPE = (20, 24, 16)


def sided(number=3):
    """Labels 2n-1 and 2n side by side, and their image."""
    label = np.zeros(SHAPE, np.uint16)
    for n in range(1, number + 1):
        label[4 * n : 4 * n + 3, 6 * n - 4 : 6 * n, 3:6] = 2 * n - 1
        label[4 * n : 4 * n + 3, 6 * n - 4 : 6 * n, 6:9] = 2 * n
    return np.random.default_rng(1).integers(0, 255, SHAPE, np.uint8), label


IMAGE, INSTANCES = sided()
SEMANTIC = np.where(INSTANCES > 0, 2 - INSTANCES % 2, 0).astype(np.uint8)


@pytest.fixture
def made(tmp_path):
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


def of(folder):
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return Material("a.zip", {PurePosixPath(f.relative_to(folder).as_posix()): f for f in files})


@pytest.mark.parametrize("name", ["{}", "jwr15/{}", "data_{}", "vol3/{}_Yx2", "a/b/c/{}"])
@pytest.mark.parametrize("label", [SEMANTIC, INSTANCES], ids=["semantic", "instances"])
def test_every_known_layout_becomes_the_same_two_files(tmp_path, made, name, label):
    account = convert(of(em_r50(tmp_path / "a", {name: (IMAGE, label)})), made)
    assert set(account.made) == {"img.h5", "syn.h5"}
    with open_volume(made / "img.h5") as image:
        assert image.resolution == (30, 8, 8)
        np.testing.assert_array_equal(image.read(), IMAGE)
    found = read_volume(made / "syn.h5")
    np.testing.assert_array_equal(found, label)
    assert found.dtype == np.uint8
    said = account.made["syn.h5"]
    assert ("semantic" if label is SEMANTIC else "3 synapses: 2n-1 pre") in said
    assert any("(100, 1400, 700) is known" in text for text in account.differs)


def test_further_volumes_keep_folders_of_their_own(tmp_path, made):
    volumes = {f"d/vol{n}/{{}}_Yx2": (IMAGE + n, SEMANTIC) for n in (2, 3, 4)}
    account = convert(of(em_r50(tmp_path / "a", volumes)), made)
    parts = ("", "vol3/", "vol4/")
    assert set(account.made) == {f"{p}{f}" for p in parts for f in ("img.h5", "syn.h5")}
    for part, n in zip(parts, (2, 3, 4), strict=True):
        np.testing.assert_array_equal(read_volume(made / f"{part}img.h5"), IMAGE + n)
    assert any("3 volumes. The tutorial takes d/vol2" in text for text in account.differs)


def test_square_pixels_are_preferred_and_the_rest_is_said(tmp_path, made):
    folder = em_r50(tmp_path / "a", {"vol2/{}_Yx2": (IMAGE, SEMANTIC)})
    save_volume(folder / "vol2" / "im.h5", IMAGE[:, ::2])
    save_volume(folder / "vol2" / "syn.h5", SEMANTIC[:, ::2])
    account = convert(of(folder), made)
    assert read_volume(made / "img.h5").shape == SHAPE
    assert {"vol2/im.h5 is not used", "vol2/syn.h5 is not used"} <= set(account.differs)


def test_rows_as_imaged_are_said_to_be_higher(tmp_path, made):
    save_volume(tmp_path / "a" / "im.h5", IMAGE)
    save_volume(tmp_path / "a" / "syn.h5", SEMANTIC)
    account = convert(of(tmp_path / "a"), made)
    with open_volume(made / "img.h5") as image:
        assert image.resolution == (30, 16, 8)
    assert "data.train.resolution=[30,16,8]" in account.overrides


def test_another_depth_is_divided_as_the_tutorial_divides_its_own(tmp_path, made):
    account = convert(of(em_r50(tmp_path / "a", {"{}": (IMAGE, SEMANTIC)})), made)
    assert account.overrides == ["data.train.z_range=[0,14]", "data.test.z_range=[15,20]"]


@pytest.mark.parametrize("depth", [1, 2])
def test_a_section_or_two_are_not_divided(tmp_path, made, depth):
    parts = {"{}": (IMAGE[4 : 4 + depth], SEMANTIC[4 : 4 + depth])}
    account = convert(of(em_r50(tmp_path / "a", parts)), made)
    assert (account.learned, account.overrides) == (0, [])  # 2 would be tested from 2 on
    lines = told(EM_R50, made, [], account)
    assert (
        "to train: too few sections for tutorials/syn_em_r50.yaml, whose patches are" in lines[-2]
    )


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (SEMANTIC[:10], r"shapes \(20, 24, 16\) and \(10, 24, 16\)"),
        (SEMANTIC * 0, "nothing but background"),
        (SEMANTIC // 2, "hold 1 alone"),
        (SEMANTIC * 127, "hold 127, 254, of which"),
        (SEMANTIC * 0.5, "must be whole numbers"),
    ],
    ids=["shape", "empty", "one side", "grey values", "fractions"],
)
def test_labels_that_cannot_be_meant(tmp_path, made, label, said):
    with pytest.raises(DataError, match=said):
        convert(of(em_r50(tmp_path / "a", {"{}": (IMAGE, label)})), made)


def test_an_image_without_labels_or_under_another_name(tmp_path, made):
    save_volume(tmp_path / "a" / "renamed.h5", IMAGE)
    save_volume(tmp_path / "a" / "syn.h5", SEMANTIC)
    with pytest.raises(DataError, match=r"It holds renamed\.h5, syn\.h5") as refused:
        convert(of(tmp_path / "a"), made)
    assert "img.h5 + syn.h5" in str(refused.value)
