"""Archives from strangers, unpacked without harm.

Every member is looked at before the first is written: its path stays inside the folder, it is a
plain file or a folder, and all of them together stay within bounds. What a member claims of its
size is not believed: writing stops where it is exceeded.
"""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from connectomics.errors import DataError, MachineError, reading
from connectomics.exchange.records import ANOTHER_FOLDER, Bounds
from connectomics.files import writing_to
from connectomics.process.progress import BytesProgress

CHUNK = 2**20
BY_HAND = "Where you trust it, unpack it yourself and name the folder: --from FOLDER"
AGAIN = "It is incomplete or damaged: download it again."


@dataclass(frozen=True)
class _Member:
    """One entry of an archive; `kind` is file, folder, link or something else."""

    name: str
    size: int
    kind: str
    entry: zipfile.ZipInfo | tarfile.TarInfo


class _Archive:
    """A zip or tar file, read alike."""

    def __init__(self, file: zipfile.ZipFile | tarfile.TarFile) -> None:
        self.file = file

    def members(self) -> Iterator[_Member]:
        if isinstance(self.file, zipfile.ZipFile):
            for info in self.file.infolist():
                yield _Member(info.orig_filename, info.file_size, _zip_kind(info), info)
            return
        for entry in self.file:
            yield _Member(entry.name, entry.size, _tar_kind(entry), entry)

    def open(self, member: _Member) -> IO[bytes]:
        if isinstance(self.file, zipfile.ZipFile):
            assert isinstance(member.entry, zipfile.ZipInfo)
            return self.file.open(member.entry)
        assert isinstance(member.entry, tarfile.TarInfo)
        stream = self.file.extractfile(member.entry)
        assert stream is not None
        return stream


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar file, whatever its name."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def unpack(path: Path, folder: Path, bounds: Bounds) -> dict[PurePosixPath, Path]:
    """Unpack an archive into a folder.

    Args:
        path: A zip file, or a tar file, compressed or not.
        folder: Empty.
        bounds: How much it may hold.

    Returns:
        The files by their paths inside the archive; what systems leave in archives for
        themselves (`__MACOSX`, hidden files) is left out.

    Raises:
        DataError: It is damaged, or a member would lie outside the folder, is a link or a device,
            is there twice, or is encrypted; or there are too many, or they are too large.
        MachineError: The disk has no room for it.
    """
    with _opened(path) as archive:
        members = _checked(path, archive, bounds)
        total = sum(member.size for member in members.values())
        _require_room(folder, total)
        written = {}
        with BytesProgress("unpack", total) as progress:
            for place, member in members.items():
                target = folder.joinpath(*place.parts)
                _write(archive, member, target, path, progress)
                written[place] = target
        return written


@contextmanager
def _opened(path: Path) -> Iterator[_Archive]:
    with reading(str(path), AGAIN, "cannot be unpacked"):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                yield _Archive(file)
        else:
            with tarfile.open(path) as file:
                yield _Archive(file)


def _checked(path: Path, archive: _Archive, bounds: Bounds) -> dict[PurePosixPath, _Member]:
    """The files of an archive that are wanted, once all members are known to be harmless."""
    files: list[tuple[PurePosixPath, _Member]] = []
    total = 0
    for number, member in enumerate(archive.members(), start=1):
        if number > bounds.members:
            problem = f"holds more than {bounds.members:,} members, which this dataset cannot."
            raise DataError(str(path), problem, BY_HAND)
        place = _place(path, member)
        total += max(member.size, 0)
        if total > bounds.unpacked:
            problem = (
                f"would take more than {size_text(bounds.unpacked)} unpacked, which this dataset "
                f"cannot (up to {_shown(member.name)})."
            )
            raise DataError(str(path), problem, BY_HAND)
        if member.kind == "folder" or _is_of_a_system(place):
            continue
        files.append((place, member))
    _require_distinct(path, [place for place, _ in files])
    return dict(files)


def _place(path: Path, member: _Member) -> PurePosixPath:
    """Where a member goes, seen from the folder.

    Raises:
        DataError: Outside, or it is no plain file.
    """
    name, place = member.name, PurePosixPath(member.name)
    windows = PureWindowsPath(name)
    outside = place.is_absolute() or windows.drive or windows.root or ".." in windows.parts
    if outside or ".." in place.parts or "\0" in name or "\\" in name:
        problem = f"its member {_shown(name)} would be written outside the folder."
        raise DataError(str(path), problem, "Do not use it; download it from its owners.")
    if not place.parts or len(name) > 1000:
        raise DataError(str(path), f"its member {_shown(name)} has no usable name.", BY_HAND)
    if member.kind not in ("file", "folder"):
        raise DataError(str(path), f"its member {_shown(name)} is {member.kind}.", BY_HAND)
    return place


def _require_distinct(path: Path, places: Sequence[PurePosixPath]) -> None:
    """Two members of one name would take each other's place, as would a file and its folder."""
    names = Counter(str(place).casefold() for place in places)
    folders = {str(parent).casefold() for place in places for parent in place.parents}
    for name, count in names.items():
        if count > 1 or name in folders:
            raise DataError(str(path), f"holds {_shown(name)} twice.", BY_HAND)


def _is_of_a_system(place: PurePosixPath) -> bool:
    return any(part == "__MACOSX" or part.startswith(".") for part in place.parts)


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    if info.flag_bits & 1:
        return "encrypted"
    if info.is_dir():
        return "folder"
    if stat.S_ISLNK(mode):
        return "a link"
    return "file" if stat.S_IFMT(mode) in (0, stat.S_IFREG) else "no plain file"


def _tar_kind(entry: tarfile.TarInfo) -> str:
    if entry.isdir():
        return "folder"
    if entry.issym() or entry.islnk():
        return "a link"
    return "file" if entry.isreg() and not entry.issparse() else "no plain file"


def _write(
    archive: _Archive, member: _Member, target: Path, path: Path, progress: BytesProgress
) -> None:
    left = member.size
    with reading(str(path), AGAIN, f"its member {_shown(member.name)} cannot be unpacked"):
        source = archive.open(member)
    with writing_to(target, ANOTHER_FOLDER), source:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            while True:
                with reading(str(path), AGAIN, f"{_shown(member.name)} cannot be unpacked"):
                    piece = source.read(CHUNK)
                if not piece:
                    break
                left -= len(piece)
                if left < 0:
                    break
                file.write(piece)
                progress.add(len(piece))
    if left:
        problem = f"its member {_shown(member.name)} is not as long as it says."
        raise DataError(str(path), problem, AGAIN)


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        problem = f"has {size_text(free)} free, and {size_text(needed)} are to be unpacked."
        raise MachineError(str(folder), problem, ANOTHER_FOLDER)


def size_text(n: float) -> str:
    """Bytes for a person.

    >>> size_text(1_500_000), size_text(999)
    ('1.5 MB', '999 bytes')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= scale:
            return f"{n / scale:.3g} {unit}"
    return f"{n:.0f} bytes"


def _shown(name: str) -> str:
    text = ascii(name)
    return text if len(text) <= 80 else f"{text[:80]}…'"
