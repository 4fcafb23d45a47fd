"""Archives: harmless ones are unpacked, the others refused before anything is written."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import PurePosixPath

import pytest

from connectomics.errors import DataError, MachineError
from connectomics.exchange import unpack as unpacking
from connectomics.exchange.records import Bounds
from connectomics.exchange.unpack import is_archive, unpack
from connectomics.process import progress

BOUNDS = Bounds(file=10**6, unpacked=10**6, members=20)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside"


def make_zip(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def make_tar(path, entries, mode="w"):
    with tarfile.open(path, mode) as file:
        for entry, content in entries:
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return path


def nothing_written(tmp_path, folder):
    return not any(folder.iterdir()) and {p.name for p in tmp_path.iterdir()} == {"inside", "a"}


def test_a_zip_file_is_unpacked(tmp_path, folder):
    members = [("d/", b""), ("d/img.h5", b"one"), ("d/e/syn.h5", b"two"), ("__MACOSX/d/x", b"")]
    path = make_zip(tmp_path / "a", [*members, (".DS_Store", b"")])
    assert is_archive(path)
    found = unpack(path, folder, BOUNDS)
    assert {str(place): file.read_bytes() for place, file in found.items()} == {
        "d/img.h5": b"one",
        "d/e/syn.h5": b"two",
    }
    assert found[PurePosixPath("d/img.h5")] == folder / "d" / "img.h5"
    assert sum(file.is_file() for file in folder.rglob("*")) == 2


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar_file_is_unpacked(tmp_path, folder, mode):
    path = make_tar(tmp_path / "a", [(tarfile.TarInfo("./d/img.h5"), b"one")], mode)
    assert is_archive(path)
    found = unpack(path, folder, BOUNDS)
    assert {str(p): f.read_bytes() for p, f in found.items()} == {"d/img.h5": b"one"}


OUTSIDE = [
    "../evil",
    "d/../../evil",
    "/evil",
    "C:/evil",
    "c:evil",
    "d\\..\\evil",
    "..\\evil",
    "d/..",
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("make", ["zip", "tar"])
def test_a_path_that_leads_outside(tmp_path, folder, name, make):
    good = "good.h5"
    if make == "zip":
        path = make_zip(tmp_path / "a", [(good, b""), (name, b"evil")])
    else:
        path = make_tar(
            tmp_path / "a", [(tarfile.TarInfo(good), b""), (tarfile.TarInfo(name), b"evil")]
        )
    with pytest.raises(DataError, match="would be written outside the folder"):
        unpack(path, folder, BOUNDS)
    assert nothing_written(tmp_path, folder)


def link_in_zip(path):
    info = zipfile.ZipInfo("img.h5")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return make_zip(path, [("good.h5", b""), (info, b"/etc/passwd")])


def of_kind(kind, **said):
    def make(path):
        entry = tarfile.TarInfo("img.h5")
        entry.type = kind
        for name, value in said.items():
            setattr(entry, name, value)
        with tarfile.open(path, "w") as file:
            file.addfile(tarfile.TarInfo("good.h5"))
            file.addfile(entry)
        return path

    return make


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (link_in_zip, "is a link"),
        (of_kind(tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link"),
        (of_kind(tarfile.SYMTYPE, linkname="good.h5"), "is a link"),
        (of_kind(tarfile.LNKTYPE, linkname="good.h5"), "is a link"),
        (of_kind(tarfile.CHRTYPE), "is no plain file"),
        (of_kind(tarfile.FIFOTYPE), "is no plain file"),
    ],
    ids=["zip", "absolute", "inside", "hard", "device", "pipe"],
)
def test_links_and_devices(tmp_path, folder, make, said):
    with pytest.raises(DataError, match=said) as refused:
        unpack(make(tmp_path / "a"), folder, BOUNDS)
    assert "--from FOLDER" in str(refused.value)
    assert nothing_written(tmp_path, folder)


def test_a_bomb(tmp_path, folder):
    path = make_zip(tmp_path / "a", [("zeros", bytes(2 * 10**6))])
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match="would take more than 1 MB"):
        unpack(path, folder, BOUNDS)
    assert nothing_written(tmp_path, folder)


def test_a_bomb_that_lies_of_its_size(tmp_path, folder):
    path = make_zip(tmp_path / "a", [("zeros", bytes(2 * 10**6))])
    content = path.read_bytes()
    lies = content.replace(struct.pack("<L", 2 * 10**6), struct.pack("<L", 100))
    assert lies != content
    path.write_bytes(lies)
    with pytest.raises(DataError, match=r"cannot be unpacked|not as long as it says"):
        unpack(path, folder, BOUNDS)
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= 100


def test_too_many_members(tmp_path, folder):
    path = make_zip(tmp_path / "a", [(f"{n}", b"") for n in range(21)])
    with pytest.raises(DataError, match="more than 20 members"):
        unpack(path, folder, BOUNDS)
    assert nothing_written(tmp_path, folder)


@pytest.mark.parametrize("names", [("a.h5", "a.h5"), ("a.h5", "A.h5"), ("a", "a/b")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_in_one_place(tmp_path, folder, names):
    path = make_zip(tmp_path / "a", [(name, b"") for name in names])
    with pytest.raises(DataError, match="twice"):
        unpack(path, folder, BOUNDS)
    assert nothing_written(tmp_path, folder)


def test_an_encrypted_member(tmp_path, folder):
    path = make_zip(tmp_path / "a", [("img.h5", b"one")], zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + at] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="is encrypted"):
        unpack(path, folder, BOUNDS)


def test_damaged_content(tmp_path, folder):
    path = make_zip(tmp_path / "a", [("img.h5", bytes(range(256)) * 40)], zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[2000] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"'img\.h5' cannot be unpacked"):
        unpack(path, folder, BOUNDS)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_truncated_tar_file(tmp_path, folder, mode):
    content = bytes(range(256)) * 2000
    path = make_tar(tmp_path / "a", [(tarfile.TarInfo("img.h5"), content)], mode)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"unpacked|not as long"):
        unpack(path, folder, BOUNDS)


def test_a_disk_without_room(tmp_path, folder, monkeypatch):
    path = make_zip(tmp_path / "a", [("img.h5", b"one")])
    usage = type("Usage", (), {"free": 2})
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(MachineError, match="2 bytes free, and 3 bytes"):
        unpack(path, folder, BOUNDS)


def test_unpacking_says_how_far_it_is(tmp_path, folder, monkeypatch, capsys):
    monkeypatch.setattr(progress, "IN_LOG", 0.0)
    monkeypatch.setattr(progress, "LINES", 1e9)
    archive = make_zip(tmp_path / "a.zip", [("a", b"a" * 600_000), ("b", b"b" * 200_000)])
    unpack(archive, folder, BOUNDS)
    said = [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert said == ["unpack: 0.6 of 0.8 MB", "unpack: 0.8 of 0.8 MB"]
