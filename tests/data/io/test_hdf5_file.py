"""What HDF5 files promise and do not hold: HDF5 itself would read it as 0."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from connectomics.data.annotations import read_annotations
from connectomics.data.io import open_volume, read_volume, save_volume
from connectomics.data.io.header import Gaps
from connectomics.errors import DataError

ONES = np.ones((4, 6, 8), np.uint8)


def message(source: str | Path) -> str:
    with pytest.raises(DataError) as caught:
        open_volume(source)
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Holds 1 in `raw`, beside a file that holds 2 in `raw` and 3 in `deep/raw`."""
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["raw"] = 2 * ONES
        other["deep/raw"] = 3 * ONES
    with h5py.File(tmp_path / "a.h5", "w") as made:
        made["raw"] = ONES
    return tmp_path / "a.h5"


def add(file: Path, name: str, what: object) -> str:
    with h5py.File(file, "r+") as opened:
        opened[name] = what
    return f"{file}::{name}"


@pytest.mark.parametrize("target", ["/raw", "raw", "/chain"])
def test_soft_links_inside_the_file_are_followed(file: Path, target: str) -> None:
    add(file, "chain", h5py.SoftLink("/raw"))
    volume = open_volume(add(file, "link", h5py.SoftLink(target)))
    assert np.array_equal(volume.read(), ONES)
    assert volume.dataset == "/raw"


def test_soft_links_to_groups_are_followed(file: Path) -> None:
    add(file, "group/inside", 5 * ONES)
    add(file, "link", h5py.SoftLink("group"))
    assert read_volume(f"{file}::link/inside").max() == 5
    assert read_volume(f"{file}::link").max() == 5


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (h5py.SoftLink("/gone"), "'link' is a link that leads nowhere: there is no 'gone' in /."),
        (h5py.SoftLink("/link"), "'link' is a link in a circle"),
        (h5py.ExternalLink("other.h5", "/raw"), "not followed: other.h5::raw."),
        (h5py.ExternalLink("gone.h5", "/raw"), "not followed: gone.h5::raw."),
        (h5py.ExternalLink("/etc/secret.h5", "/"), "not followed: /etc/secret.h5::"),
    ],
)
def test_links_that_lead_elsewhere_are_refused(
    file: Path, link: h5py.SoftLink | h5py.ExternalLink, expected: str
) -> None:
    assert expected in message(add(file, "link", link))


def test_what_lies_below_a_link_to_another_file_is_named(file: Path) -> None:
    add(file, "link", h5py.ExternalLink("other.h5", "/deep"))
    text = message(f"{file}::link/raw")
    assert "other.h5::deep/raw" in text
    assert "name it so" in text


def test_a_file_of_links_alone_says_so(file: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "links.h5", "w") as made:
        made["volumes/raw"] = h5py.ExternalLink("a.h5", "raw")
    assert "It holds links. Name one: volumes/raw." in message(tmp_path / "links.h5")


def test_nothing_is_written_through_a_link(file: Path) -> None:
    add(file, "link", h5py.ExternalLink("other.h5", "/deep"))
    with pytest.raises(DataError, match="link into another file"):
        save_volume(f"{file}::link/new", ONES)
    with h5py.File(file.with_name("other.h5")) as other:
        assert list(other["deep"]) == ["raw"]


def test_annotations_are_not_taken_from_another_file(file: Path) -> None:
    add(file, "annotations", h5py.ExternalLink("other.h5", "/"))
    with pytest.raises(DataError, match="link into another file"):
        read_annotations(str(file))


def test_external_raw_storage_reads_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(range(192)))
    with h5py.File(tmp_path / "a.h5", "w") as made:
        made.create_dataset("raw", ONES.shape, "u1", external=[("secret", 0, 192)])
    assert "keeps its voxels outside, in secret, which is not read" in message(tmp_path / "a.h5")


def virtual(folder: Path, sources: list[str], *, dataset: str = "raw", sections: int = 4) -> Path:
    """A volume of sections that are those of other files, one after the other."""
    layout = h5py.VirtualLayout((sections * len(sources), 6, 8), "u1")
    for i, name in enumerate(sources):
        source = h5py.VirtualSource(name, dataset, shape=(sections, 6, 8))
        layout[i * sections : (i + 1) * sections] = source
    with h5py.File(folder / "virtual.h5", "w", libver="latest") as made:
        made.create_virtual_dataset("all", layout, fillvalue=0)
    return folder / "virtual.h5"


def test_virtual_datasets_whose_parts_are_there_are_read(file: Path, tmp_path: Path) -> None:
    volume = open_volume(virtual(tmp_path, ["a.h5", "other.h5"]))
    assert volume.read()[:, 0, 0].tolist() == [1] * 4 + [2] * 4
    assert volume.gaps is None


def test_a_part_may_be_named_by_its_full_path(file: Path, tmp_path: Path) -> None:
    assert read_volume(virtual(tmp_path, [str(file)])).max() == 1


def test_parts_may_lie_in_the_same_file(file: Path) -> None:
    layout = h5py.VirtualLayout(ONES.shape, "u1")
    with h5py.File(file, "r+", libver="latest") as made:
        layout[:] = h5py.VirtualSource(made["raw"])
        made.create_virtual_dataset("all", layout)
    assert read_volume(f"{file}::all").max() == 1


@pytest.mark.parametrize(
    ("name", "dataset", "expected"),
    [
        ("gone.h5", "raw", "a part of it is missing: gone.h5."),
        ("a.h5", "gone", "a part of it is missing: a.h5::gone."),
        ("../a.h5", "raw", "lies elsewhere, which is not followed: ../a.h5."),
        ("/etc/a.h5", "raw", "lies elsewhere, which is not followed: /etc/a.h5."),
    ],
)
def test_virtual_datasets_whose_parts_are_missing_are_refused(
    file: Path, tmp_path: Path, name: str, dataset: str, expected: str
) -> None:
    assert expected in message(virtual(tmp_path, [name], dataset=dataset))


def test_parts_that_are_smaller_than_announced_are_refused(file: Path, tmp_path: Path) -> None:
    assert "takes voxels of a.h5::raw that it has not" in message(
        virtual(tmp_path, ["a.h5"], sections=5)
    )


def test_virtual_datasets_in_a_circle_are_refused(tmp_path: Path) -> None:
    virtual(tmp_path, ["virtual.h5"], dataset="all")
    assert "virtual datasets more than 8 deep" in message(tmp_path / "virtual.h5")


def test_a_part_whose_voxels_lie_outside_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as made:
        made.create_dataset("raw", ONES.shape, "u1", external=[("secret", 0, 192)])
    assert "outside, in secret" in message(virtual(tmp_path, ["a.h5"]))


def test_voxels_that_belong_to_no_part_are_counted(file: Path, tmp_path: Path) -> None:
    layout = h5py.VirtualLayout((6, 6, 8), "u1")
    layout[:4] = h5py.VirtualSource("a.h5", "raw", shape=(4, 6, 8))
    with h5py.File(tmp_path / "virtual.h5", "w", libver="latest") as made:
        made.create_virtual_dataset("all", layout)
    assert open_volume(tmp_path / "virtual.h5").gaps == Gaps(96, 288, "voxels")


@pytest.mark.parametrize("chunks", [None, (2, 3, 4)])
def test_datasets_that_were_never_written_are_refused(
    tmp_path: Path, chunks: tuple[int, int, int] | None
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as made:
        made.create_dataset("raw", (4, 6, 8), "u1", chunks=chunks)
    assert "/raw has a shape and no voxels: none was ever written" in message(tmp_path / "a.h5")


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_chunks_that_were_never_written_are_counted(
    tmp_path: Path, compression: str | None
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as made:
        raw = made.create_dataset("raw", (4, 6, 8), "u1", chunks=(2, 3, 4), compression=compression)
        raw[:2, :3] = 7
    assert open_volume(tmp_path / "a.h5").gaps == Gaps(6, 8, "chunks")


def test_a_whole_dataset_has_no_gaps(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as made:
        made.create_dataset("raw", data=0 * ONES, chunks=(3, 5, 5), compression="gzip")
    assert open_volume(tmp_path / "a.h5").gaps is None


def test_a_filter_that_is_not_there_is_named(tmp_path: Path) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((2, 3, 4))
    properties.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
    with h5py.File(tmp_path / "a.h5", "w") as made:
        space = h5py.h5s.create_simple(ONES.shape)
        h5py.h5d.create(made.id, b"raw", h5py.h5t.STD_U8LE, space, properties)
    text = message(tmp_path / "a.h5")
    assert "is compressed with Zstandard (HDF5 filter 32015), which is not installed." in text
    assert "hdf5plugin" in text
