"""New results take the place of earlier ones, which are kept: nothing is overwritten."""

from __future__ import annotations

import filecmp
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from connectomics.files import temporary_folder, writing_to
from connectomics.process.signals import unbroken

EARLIER = "earlier"


def keep_earlier(path: Path, *companions: Path) -> Path | None:
    """Move what stands at `path` aside, so that a new result can take its name.

    It goes to `earlier/<its own time>/` in the same folder. Nothing a user made is lost.

    Args:
        path: A file or folder.
        companions: What was made together with it, and goes to the same place where it exists;
            what lies deeper in the same folder, as deep there.

    Returns:
        Where it went, or None where nothing stood there.
    """
    if not path.exists():
        return None
    moved = [path, *(other for other in companions if other.exists())]
    return _move_aside(path.parent, moved) / path.name


@contextmanager
def replacing(
    *paths: Path, stale: Iterable[Path] = (), about: Mapping[Path, str] | None = None
) -> Iterator[list[Path]]:
    """Give places to write new results; once all are whole, they take the names `paths`.

    What stood there goes to one folder in `earlier/`, and it is said where. If writing fails,
    it stays; also where the new is the same to the last bit, which is said.

    Args:
        paths: Final places, all in or below the folder of the first, which takes its name last.
        stale: What was made from or with the earlier results and goes with them.
        about: Texts that say how the results were made, by their places. They come and go with
            the results; another such text alone makes no other result.

    Yields:
        Files of the same names, below one new folder.
    """
    parent, texts, stale = paths[0].parent, about or {}, list(stale)
    with writing_to(parent), temporary_folder(parent) as folder:
        final = (*paths, *texts)
        new = [folder / path.relative_to(parent) for path in final]
        for one in new:
            one.parent.mkdir(parents=True, exist_ok=True)
        for one, (place, text) in zip(new[len(paths) :], texts.items(), strict=True):
            with writing_to(place):
                one.write_text(text, encoding="utf-8")
        yield new[: len(paths)]
        others = set(stale) - set(final)
        if _same(paths, new) and not any(path.exists() for path in others):
            print(f"  what was there ({_named(paths)}) is the same to the last bit, and stays")
            return
        _exchange(final, new, stale)


@unbroken
def _exchange(final: Sequence[Path], new: Sequence[Path], stale: Sequence[Path]) -> None:
    """Keep what stands at the final places, and move the new there."""
    set_aside(final[0].parent, [one for one in dict.fromkeys((*final, *stale)) if one.exists()])
    # The first says what it was made from, so it comes last: whoever is killed here begins anew.
    for path, written in reversed(list(zip(final, new, strict=True))):
        path.parent.mkdir(parents=True, exist_ok=True)
        written.rename(path)


def _same(paths: Sequence[Path], new: Sequence[Path]) -> bool:
    return all(_same_files(path, one) for path, one in zip(paths, new, strict=False))


def _same_files(path: Path, new: Path) -> bool:
    if not new.is_dir():
        return path.is_file() and filecmp.cmp(path, new, shallow=False)
    names = {file.relative_to(new) for file in new.rglob("*")}
    return names == {file.relative_to(path) for file in path.rglob("*")} and all(
        _same_files(path / name, new / name) for name in names if (new / name).is_file()
    )


def set_aside(parent: Path, there: Sequence[Path]) -> None:
    """Move what lies in or below a folder to one folder in its `earlier/`, and say so."""
    if there:
        print(f"  what was there ({_named(there)}) is kept in {_move_aside(parent, there)}")


def _named(paths: Iterable[Path]) -> str:
    return ", ".join(path.name for path in paths)


@unbroken
def _move_aside(parent: Path, moved: Sequence[Path]) -> Path:
    """Move what lies in or below a folder to a new one in `earlier/`, named by the first's time."""
    stamp = datetime.fromtimestamp(moved[0].stat().st_mtime).strftime("%Y-%m-%d_%H-%M-%S")
    with writing_to(parent):
        for suffix in ("", *(f"_{number}" for number in range(2, 10000))):
            folder = parent / EARLIER / f"{stamp}{suffix}"
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            for one in moved:
                target = folder / one.relative_to(parent)
                target.parent.mkdir(parents=True, exist_ok=True)
                one.rename(target)
            return folder
    raise RuntimeError(f"ten thousand earlier results in {parent}")
