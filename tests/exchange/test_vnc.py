"""VNC: sections become one file, or it is said which are missing."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.data.io import open_volume, read_volume, save_volume
from connectomics.errors import DataError
from connectomics.exchange.next_command import told
from connectomics.exchange.vnc import VNC, convert
from tests.exchange.layouts import boxes, png, vnc
from tests.exchange.test_em_r50 import of

SHAPE = (20, 32, 24)
RAW = np.random.default_rng(2).integers(0, 255, SHAPE, np.uint8)
SYNAPSES = boxes(SHAPE) > 0


@pytest.fixture
def made(tmp_path):
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


@pytest.fixture
def folder(tmp_path):
    return vnc(tmp_path / "a" / "groundtruth-drosophila-vnc-master", RAW, SYNAPSES)


def test_sections_become_one_file(folder, made):
    account = convert(of(folder.parent), made)
    for name, expected in (("raw", RAW), ("synapses", SYNAPSES)):
        with open_volume(f"{made}/vnc_stack1.h5::{name}") as volume:
            assert volume.resolution == (50, 4.6, 4.6)
            assert volume.dtype == np.uint8
            np.testing.assert_array_equal(volume.read(), expected)
    assert account.overrides == []
    assert list(account.made) == ["vnc_stack1.h5"]


def test_volumes_in_one_file_will_do(tmp_path, made):
    (tmp_path / "a").mkdir()
    for name, values in (("raw", RAW), ("synapses", SYNAPSES.astype(np.uint8)), ("membranes", RAW)):
        save_volume(tmp_path / "a" / f"stack.h5::labels/{name}", values)
    account = convert(of(tmp_path / "a"), made)
    np.testing.assert_array_equal(read_volume(f"{made}/vnc_stack1.h5::raw"), RAW)
    np.testing.assert_array_equal(read_volume(f"{made}/vnc_stack1.h5::synapses"), SYNAPSES)
    assert account.differs == ["the shape is (20, 32, 24), and (20, 1024, 1024) is known"]


def test_dark_synapses_are_turned_round(folder, made):
    for z, label in enumerate(SYNAPSES):
        (folder / "stack1" / "synapses" / f"{z:02}.png").write_bytes(
            png(np.where(label, 0, 255).astype(np.uint8))
        )
    account = convert(of(folder), made)
    np.testing.assert_array_equal(read_volume(f"{made}/vnc_stack1.h5::synapses"), SYNAPSES)
    assert any("dark (0) on bright" in text for text in account.differs)


def test_fewer_sections_are_divided_anew(tmp_path, made):
    account = convert(of(vnc(tmp_path / "a", RAW[:10], SYNAPSES[:10])), made)
    assert account.overrides == ["data.train.z_range=[0,7]", "data.test.z_range=[7,10]"]
    lines = told(VNC, made, [], account)
    assert (
        "to train: too few sections for tutorials/syn_vnc.yaml, whose patches are 8 deep" in lines
    )
    assert any(line.startswith("on a CPU: python ") for line in lines)
    init = f"a config for what there is: python scripts/main.py --init {made / 'vnc_stack1.h5'}"
    assert lines[-1] == init


@pytest.mark.parametrize("depth", [1, 2])
def test_a_section_or_two_are_not_divided(tmp_path, made, depth):
    """Of one, none would be left to test on: no command names sections that are not there."""
    first = int(np.flatnonzero(SYNAPSES.any(axis=(1, 2)))[0])
    parts = (values[first : first + depth] for values in (RAW, SYNAPSES))
    account = convert(of(vnc(tmp_path / "a", *parts)), made)
    told_of = "\n".join(told(VNC, made, [], account))
    assert account.learned == depth - 1
    assert "z_range=[1,1]" not in told_of
    assert told_of.count("too few sections for tutorials/syn_vnc") == 2


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (["raw/03.tif", "raw/04.tif"], "raw: lacks section 3, 4"),
        (["synapses/19.png"], "synapses: lacks section 19"),
        (["raw/07.tif", "synapses/07.png"], "lacks section 7"),
    ],
)
def test_sections_that_are_missing(folder, made, gone, said):
    for name in gone:
        (folder / "stack1" / name).unlink()
    with pytest.raises(DataError, match=said):
        convert(of(folder), made)
    assert not any(made.iterdir())


def test_grey_labels(folder, made):
    (folder / "stack1" / "synapses" / "05.png").write_bytes(png(RAW[5]))
    with pytest.raises(DataError, match="two are known, background and synapse"):
        convert(of(folder), made)


def test_a_section_of_another_size(folder, made):
    (folder / "stack1" / "raw" / "05.tif").write_bytes(png(RAW[5, :9], "TIFF"))
    with pytest.raises(DataError, match=r"05\.tif"):
        convert(of(folder), made)


def test_folders_under_other_names(folder, made):
    (folder / "stack1" / "synapses").rename(folder / "stack1" / "clefts")
    with pytest.raises(DataError, match="no folder raw beside a folder synapses") as refused:
        convert(of(folder), made)
    assert "stack1/clefts" in str(refused.value)


def test_an_archive_inside_the_archive(tmp_path, made):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "inner.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"Unpack inner\.zip"):
        convert(of(tmp_path / "a"), made)
