"""From a dataset's name to the files that its tutorials read.

The licence is accepted; files are downloaded, or named; their sums are compared with what is known;
archives are unpacked in a folder that is removed again; what comes out is moved into place. Beside
the data, `dataset.yaml` says where they come from and what was done.
"""

from __future__ import annotations

import filecmp
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from connectomics.errors import ConfigError, DataError
from connectomics.exchange.checksums import checksum
from connectomics.exchange.dataset_yaml import read_record, write_acceptance, write_record
from connectomics.exchange.download import download
from connectomics.exchange.materials import materials_of
from connectomics.exchange.next_command import told
from connectomics.exchange.records import ANOTHER_FOLDER, Account, Dataset
from connectomics.files import temporary_folder, writing_to

DOWNLOADS = "download"


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
    record = read_record(to)
    _agree(dataset, to, record, accepts)
    if not sources and _is_complete(dataset, to, record):
        print(f"{dataset.name}: {to} is complete")
        return to
    with temporary_folder(to) as work:
        given = list(sources) or _downloaded(dataset, to)
        sums = [checksum(dataset, path, downloaded=not sources) for path in given]
        account, parts = Account(), []
        for number, material in enumerate(materials_of(dataset, given, work, ours=not sources)):
            parts.append(work / f"made_{number}")
            parts[-1].mkdir()
            print(f"convert: {material.source}", flush=True)
            _join(account, dataset.convert(material, parts[-1]))
        _move_into_place(dataset, parts, to)
    _forget_moved([to / DOWNLOADS / remote.name for remote in dataset.files], to)
    account.differs[:0] = [text for entry in sums if (text := entry.pop("differs", ""))]
    account.missing = [name for name in dataset.needed if not (to / name).is_file()]
    write_record(to, dataset, record, sums, account)
    print("\n".join(told(dataset, to, sums, account)))
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
    write_acceptance(to, dataset)


def _is_complete(dataset: Dataset, to: Path, record: Mapping[str, Any]) -> bool:
    made = record.get("made")
    if not isinstance(made, dict) or not set(dataset.needed) <= made.keys():
        return False
    return all((to / str(name)).is_file() for name in made)


def _downloaded(dataset: Dataset, to: Path) -> list[Path]:
    """Download what is not in place yet."""
    missing = [remote for remote in dataset.files if not (to / remote.name).exists()]
    return [download(remote, to / DOWNLOADS, dataset.bounds) for remote in missing]


def _join(account: Account, part: Account) -> None:
    account.made |= part.made
    account.differs += part.differs
    account.overrides += part.overrides


def _move_into_place(dataset: Dataset, parts: Sequence[Path], to: Path) -> None:
    """Move what was made, if nothing else is there in its place.

    Just the same may be: what a command left that was stopped in here.

    Raises:
        DataError: Something else is.
    """
    files = [(file, file.relative_to(part)) for part in parts for file in part.rglob("*")]
    files = [(file, name) for file, name in files if file.is_file()]
    there = [str(to / name) for file, name in files if not _is_free(to / name, file)]
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


def _is_free(target: Path, file: Path) -> bool:
    return not target.exists() or filecmp.cmp(file, target, shallow=False)


def _forget_moved(downloads: Sequence[Path], to: Path) -> None:
    """Remove the second name of downloads that are the data themselves."""
    for path in downloads:
        if path.is_file() and (to / path.name).is_file() and path.samefile(to / path.name):
            path.unlink()
