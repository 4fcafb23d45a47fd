"""Arrays by name in one file, with a sum that tells whether they are what was written."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from connectomics.blocks.ledger import Facts, write_whole
from connectomics.errors import DamagedError


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> Facts:
    """Write arrays to an .npz file, whole or not at all.

    Returns:
        What a marker is to say of the file.
    """
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **dict(arrays))
    data = stream.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
    return facts_of(data)


def read_arrays(path: Path, facts: Facts) -> dict[str, np.ndarray]:
    """Read what `write_arrays` wrote.

    Args:
        path: The file.
        facts: What its marker says.

    Raises:
        DamagedError: The file is not there, or not as it was written.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    if dict(facts_of(data)) != {name: facts.get(name) for name in ("bytes", "sha256")}:
        problem = "is marked as done, and is not what was written then."
        remedy = "A disk failed, or something changed it: the same command makes it again."
        raise DamagedError(str(path), problem, remedy)
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


def facts_of(data: bytes) -> Facts:
    """Length and sum of bytes."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()[:32]}


def facts_of_file(path: Path) -> Facts:
    """Length and sum of a file."""
    with path.open("rb") as file:
        total = hashlib.file_digest(file, "sha256").hexdigest()[:32]
        return {"bytes": file.tell(), "sha256": total}
