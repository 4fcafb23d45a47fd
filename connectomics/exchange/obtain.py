"""From a dataset's name to the files that its tutorials read.

The licence is accepted; files are downloaded, or named; their sums are compared with what is known;
archives are unpacked in a folder that is removed again; what comes out is moved into place. Beside
the data, `dataset.yaml` says where they come from and what was done.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

import connectomics
from connectomics.errors import ConfigError, DataError
from connectomics.exchange.download import download
from connectomics.exchange.records import (
    ANOTHER_FOLDER,
    Account,
    Dataset,
    Material,
    RemoteFile,
)
from connectomics.exchange.unpack import is_archive, unpack
from connectomics.files import atomic_path, temporary_folder, writing_to
from connectomics.process.progress import elapsing

RECORD = "dataset.yaml"
DOWNLOADS = "download"
PLAIN_PATH = re.compile(r"[A-Za-z0-9_./:-]+")
"""What needs no quotes on the command line."""

HDF5 = (".h5", ".hdf", ".hdf5")


def obtain(
    dataset: Dataset,
    to: Path | None = None,
    sources: Sequence[Path] = (),
    *,
    accepts: Callable[[], bool],
) -> Path:
    """Get a dataset ready for its tutorials.

    Args:
        dataset: Which.
        to: The folder for it; by default where the tutorials look.
        sources: Archives, files or a folder that are here already; they are left as they are.
            None to download.
        accepts: Asked once whether the licence is accepted.

    Returns:
        The folder.

    Raises:
        ConfigError: The licence is not accepted, or pooch is not installed.
        DataError: It cannot be downloaded, is damaged or is something else; or files that would be
            made are there already; or the tutorials still lack some.
    """
    to = dataset.folder if to is None else to
    record = _read_record(to)
    _agree(dataset, to, record, accepts)
    if not sources and _is_complete(dataset, to, record):
        print(f"{dataset.name}: {to} is complete")
        return to
    with temporary_folder(to) as work:
        given = list(sources) or _downloaded(dataset, to)
        sums = [_sum(dataset, path, downloaded=not sources) for path in given]
        account, parts = Account(), []
        for number, material in enumerate(_materials(dataset, given, work, ours=not sources)):
            parts.append(work / f"made_{number}")
            parts[-1].mkdir()
            print(f"convert: {material.source}", flush=True)
            _join(account, dataset.convert(material, parts[-1]))
        _move_into_place(dataset, parts, to)
    _forget_moved([to / DOWNLOADS / remote.name for remote in dataset.files], to)
    account.differs[:0] = [text for entry in sums if (text := entry.pop("differs", ""))]
    account.missing = [name for name in dataset.needed if not (to / name).is_file()]
    _write_record(to, dataset, record, sums, account)
    print("\n".join(_told(dataset, to, sums, account)))
    if account.missing:
        problem = f"{', '.join(account.missing)} is still missing for {dataset.tutorials[0]}."
        raise DataError(str(to), problem, "Name the files that hold it: --from FILE ...")
    return to


def _agree(
    dataset: Dataset, to: Path, record: Mapping[str, Any], accepts: Callable[[], bool]
) -> None:
    """Show whose the data are, and have their terms accepted, once for a folder."""
    if record.get("dataset") not in (None, dataset.name):
        problem = f"holds another dataset, {record['dataset']}."
        raise ConfigError(str(to), problem, "Choose another folder: --to FOLDER")
    if record.get("accepted"):
        return
    print(f"{dataset.title}\n  licence: {dataset.licence}\n  cite: {dataset.citation}", flush=True)
    if not accepts():
        problem = "the licence has not been accepted."
        raise ConfigError(dataset.name, problem, "Where you accept it, add --accept-licence")
    accepted = datetime.now().astimezone().isoformat(timespec="seconds")
    _write_yaml(to / RECORD, {**_facts(dataset), "accepted": accepted})


def _facts(dataset: Dataset) -> dict[str, Any]:
    return {
        "dataset": dataset.name,
        "title": dataset.title,
        "licence": dataset.licence,
        "cite": dataset.citation,
        "homepage": dataset.homepage,
    }


def _is_complete(dataset: Dataset, to: Path, record: Mapping[str, Any]) -> bool:
    made = record.get("made")
    if not isinstance(made, dict) or not set(dataset.needed) <= made.keys():
        return False
    return all((to / str(name)).is_file() for name in made)


def _downloaded(dataset: Dataset, to: Path) -> list[Path]:
    """Download what is not in place yet."""
    missing = [remote for remote in dataset.files if not (to / remote.name).exists()]
    return [download(remote, to / DOWNLOADS, dataset.bounds) for remote in missing]


def _sum(dataset: Dataset, path: Path, *, downloaded: bool) -> dict[str, Any]:
    """What is known of a file: its size, its sum, and whether it is the known one.

    Raises:
        DataError: It is not there, or was downloaded and is not what is known.
    """
    if path.is_dir():
        return {"file": str(path)}
    if not path.is_file():
        raise DataError(str(path), "no such file or folder.", "Check --from.")
    with elapsing(f"download: summing up {path.name}"), path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    remote = _known(dataset, path, found)
    entry: dict[str, Any] = {"file": path.name, "bytes": path.stat().st_size, "sha256": found}
    if downloaded and remote:
        entry["url"] = remote.url
    entry |= _judged(path, found, remote, downloaded=downloaded)
    return entry


def _known(dataset: Dataset, path: Path, sha256: str) -> RemoteFile | None:
    """Which file of the dataset this is: by its name, by its sum, or as there is but one."""
    for one in dataset.files:
        if one.name == path.name or one.sha256 == sha256:
            return one
    return dataset.files[0] if len(dataset.files) == 1 and is_archive(path) else None


def _judged(
    path: Path, found: str, remote: RemoteFile | None, *, downloaded: bool
) -> dict[str, str]:
    if remote is None or remote.sha256 is None:
        return {"checksum": "none is published for it; the one above was seen"}
    if found == remote.sha256:
        return {"checksum": f"as {remote.known_from} records it"}
    text = f"its SHA-256 is {found}, and {remote.known_from} records {remote.sha256}"
    if downloaded and remote.steady:
        path.unlink()
        remedy = (
            "It was damaged on its way, and has been removed: give the command again. Where that "
            "does not help, its owners have changed it: download it by hand, and use --from FILE."
        )
        raise DataError(remote.url, f"{text}.", remedy)
    why = "" if remote.steady else " (the server packs it anew for each request)"
    return {
        "checksum": "another than the known one; its contents were checked",
        "differs": f"{path.name}: {text}{why}",
    }


def _materials(
    dataset: Dataset, given: Sequence[Path], work: Path, *, ours: bool
) -> list[Material]:
    """Unpack archives; single files are one material together."""
    materials, single = [], {}
    for number, path in enumerate(given):
        if path.is_dir():
            files = {
                PurePosixPath(file.relative_to(path).as_posix()): file
                for file in sorted(path.rglob("*"))
                if file.is_file() and not any(p.startswith(".") for p in file.parts[-1:])
            }
            materials.append(Material(str(path), files))
        elif is_archive(path):
            folder = work / f"unpacked_{number}"
            folder.mkdir()
            print(f"download: unpacking {path}", flush=True)
            materials.append(Material(str(path), unpack(path, folder, dataset.bounds), ours=True))
        elif path.suffix.lower() in HDF5:
            _require_hdf5(path)
            single[PurePosixPath(path.name)] = path
        else:
            raise DataError(str(path), f"is {_kind(path)}.", _by_hand(dataset))
    if single:
        source = ", ".join(str(path) for path in single.values())
        materials.append(Material(source, single, ours=ours))
    return materials


def _require_hdf5(path: Path) -> None:
    import h5py

    if not h5py.is_hdf5(path):
        raise DataError(str(path), f"is {_kind(path)}.", "Download it again.")


def _kind(path: Path) -> str:
    """What a file is that is neither archive nor HDF5."""
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "empty"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "a web page, not the file"
    if start.startswith(b"PK"):
        return "a damaged or incomplete zip file"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the file"
    return "no archive that is known here (zip, tar), or a damaged one"


def _by_hand(dataset: Dataset) -> str:
    return f"Download it again; {dataset.homepage} says from where."


def _join(account: Account, part: Account) -> None:
    account.made |= part.made
    account.differs += part.differs
    account.overrides += part.overrides


def _move_into_place(dataset: Dataset, parts: Sequence[Path], to: Path) -> None:
    """Move what was made, if nothing is there in its place.

    Raises:
        DataError: Something is.
    """
    files = [(file, file.relative_to(part)) for part in parts for file in part.rglob("*")]
    files = [(file, name) for file, name in files if file.is_file()]
    there = [str(to / name) for _, name in files if (to / name).exists()]
    if there:
        problem = "is there already" if len(there) == 1 else "are there already"
        remedy = "Move it away, or choose another folder: --to FOLDER"
        raise DataError(", ".join(there), f"{problem}.", remedy)
    twice = [str(name) for name, n in Counter(name for _, name in files).items() if n > 1]
    if twice:
        problem = f"several of the files named hold {', '.join(twice)}."
        raise DataError(dataset.name, problem, "Name one of them: --from FILE")
    with writing_to(to, ANOTHER_FOLDER):
        for file, name in files:
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            file.rename(to / name)


def _forget_moved(downloads: Sequence[Path], to: Path) -> None:
    """Remove the second name of downloads that are the data themselves."""
    for path in downloads:
        if path.is_file() and (to / path.name).is_file() and path.samefile(to / path.name):
            path.unlink()


def _read_record(to: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load((to / RECORD).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem = f"cannot be read: {type(error).__name__}."
        raise DataError(str(to / RECORD), problem, "Move it away.") from error
    return found if isinstance(found, dict) else {}


def _write_record(
    to: Path,
    dataset: Dataset,
    record: Mapping[str, Any],
    sums: list[dict[str, Any]],
    account: Account,
) -> None:
    """Say beside the data what they are; what an earlier command said of other files stays."""
    earlier = _read_record(to)
    before = record.get("sources") if isinstance(record.get("sources"), list) else []
    made = record.get("made") if isinstance(record.get("made"), dict) else {}
    content = {
        **_facts(dataset),
        "accepted": earlier.get("accepted"),
        "sources": [*(before or []), *sums],
        "made": {**(made or {}), **account.made},
        "differs": account.differs,
        "overrides": account.overrides,
        "connectomics": connectomics.__version__,
    }
    _write_yaml(to / RECORD, content)


def _write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    with writing_to(path, ANOTHER_FOLDER):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=100)
        temporary.write_text(text, encoding="utf-8")


def _told(
    dataset: Dataset, to: Path, sums: Sequence[Mapping[str, Any]], account: Account
) -> list[str]:
    """The account, for a person."""
    lines = [f"{dataset.name}: {to}"]
    lines += [f"  {name}: {what}" for name, what in account.made.items()]
    for entry in sums:
        if "sha256" in entry:
            lines.append(f"  {entry['file']}: SHA-256 {entry['sha256']} ({entry['checksum']})")
    lines.append(f"  {to / RECORD} says where they come from")
    if account.differs:
        lines += ["what differs from what is known:", *(f"  {text}" for text in account.differs)]
    if not account.missing:
        for intro, tutorial in zip(("to train", "on a CPU"), dataset.tutorials, strict=False):
            words = ["--config", f"tutorials/{tutorial}.yaml"]
            words += [*_moved(dataset, to), *account.overrides]
            lines.append(f"{intro}: python scripts/main.py {shlex.join(words)}")
    return lines


def _moved(dataset: Dataset, to: Path) -> list[str]:
    """What the tutorial has to be told of data in another folder than it names."""
    if to.resolve() == dataset.folder.resolve():
        return []
    from connectomics.config import load_config
    from connectomics.config.inheritance import TUTORIALS
    from connectomics.config.overrides import override_texts

    data = load_config(TUTORIALS / f"{dataset.tutorials[0]}.yaml").config.data
    told = []
    for split in ("train", "test"):
        section = getattr(data, split)
        for key in ("image", "label"):
            paths = [
                str(to / PurePosixPath(path).relative_to(dataset.folder.as_posix()))
                for path in getattr(section, key)
            ]
            name, value = f"data.{split}.{key}", paths[0] if len(paths) == 1 else paths
            if all(PLAIN_PATH.fullmatch(path) for path in paths):
                listed = ",".join(paths)
                told.append(f"{name}={listed if len(paths) == 1 else f'[{listed}]'}")
            else:
                told += override_texts({name: value})
    return told
