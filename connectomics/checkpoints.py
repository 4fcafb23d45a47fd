"""Where checkpoints lie, found by the run that they belong to."""

from __future__ import annotations

import difflib
from pathlib import Path

from connectomics.errors import CheckpointError

FOLDER = "checkpoints"
"""The folder of a run that they lie in."""

LAST = "last.ckpt"
"""The checkpoint of the last validation, or of the step at which a training was stopped."""


def find_checkpoint(path: Path) -> Path:
    """Find the checkpoint that a path names: itself, or the last one of a run's folder.

    Args:
        path: A checkpoint, a run folder or its `checkpoints` folder.

    Raises:
        CheckpointError: It is a folder without a `last.ckpt`, or may not be looked into.
    """
    try:
        if not path.is_dir():
            return path
        for found in (path / LAST, path / FOLDER / LAST):
            if found.is_file():
                return found
        other = newest(path, f"*/{FOLDER}/{LAST}") or newest(path, "*.ckpt")
    except OSError as error:
        problem = f"may not be read ({error.strerror})."
        raise CheckpointError(str(path)[:200], problem, "Check its permissions.") from error
    raise CheckpointError(
        str(path),
        f"is a folder without {LAST} or checkpoints/{LAST}.",
        f"The newest checkpoint below it is {other}" if other else "Name a .ckpt file.",
    )


def newest_beside(path: Path) -> Path | None:
    """Find the newest checkpoint of the experiment that a path, to a run or into one, names."""
    folders = [path.parent]
    if path.suffix:  # a file, such as <run>/checkpoints/last.ckpt
        folders.append(path.parent.parent.parent)
    found = (newest(folder, f"*/{FOLDER}/{LAST}") for folder in folders)
    return next(filter(None, found), None)


def what_may_be_meant(path: Path) -> str:
    """Name the checkpoint that a path which is not there may mean; empty where none is near.

    It is the one by the nearest name, and the newest of the experiment where that is another.
    """
    named, newest_one = _nearest(path), newest_beside(path)
    texts = []
    if named:
        texts.append(f"Did you mean '{named}'?")
    if newest_one and not (named and find_checkpoint(named) == newest_one):
        texts.append(f"The newest of this experiment is {newest_one}.")
    return " ".join(texts)


def _nearest(path: Path) -> Path | None:
    """A checkpoint, or the folder of a run, by the nearest name in every folder of a path."""
    try:
        if path.is_file():
            return path
        if path.is_dir():
            leads = [path / LAST, path / FOLDER / LAST]
            below = newest(path, f"*/{FOLDER}/{LAST}") or newest(path, "*.ckpt")
            return path if any(map(Path.is_file, leads)) else below
        first = next(folder for folder in path.parents if folder.is_dir())
        missing, *rest = path.relative_to(first).parts
        # No dead link, and no file that the path leads through.
        names = [one.name for one in first.iterdir() if one.exists() and one.name != missing]
    except (OSError, StopIteration):
        return None
    near = difflib.get_close_matches(missing, names, n=3, cutoff=0.7)
    found = (_nearest(first.joinpath(name, *rest)) for name in near)
    return next(filter(None, found), None)


def newest(folder: str | Path, pattern: str) -> Path | None:
    """Find the newest file below a folder that matches, such as `*/checkpoints/last.ckpt`."""
    found = [path for path in Path(folder).glob(pattern) if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)
