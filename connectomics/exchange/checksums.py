"""Files are compared with what is known of them: their sums."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from connectomics.errors import DataError
from connectomics.exchange.records import Dataset, RemoteFile
from connectomics.exchange.unpack import is_archive
from connectomics.process.progress import elapsing


def checksum(dataset: Dataset, path: Path, *, downloaded: bool) -> dict[str, Any]:
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
