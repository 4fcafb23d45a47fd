"""What is done of an artifact that is made piece by piece: so that a stopped run goes on.

A ledger is a folder beside what is being made:

    key.json             what the artifact depends on
    done/<pass>/<...>    one marker for each piece that is done, with the sum of what was written

A marker is written, whole or not at all, after what it speaks of. So a piece without a marker is
made again, whatever there is of it, and one with a marker is not.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from connectomics.digests import changes, digest
from connectomics.errors import DataError
from connectomics.files import writing_to

KEY = "key.json"

SUM, OF = "sum", "of"
"""What a marker says of itself: the sum of all else in it, and of which key it is."""

Facts = Mapping[str, Any]
"""What a marker says of what was written, as plain values."""


@dataclass(frozen=True)
class Ledger:
    """Markers of what is done, in a folder. It can be pickled and used by many processes at once.

    Attributes:
        folder: See the module.
        stage: Part of the work that the markers are of, such as a pass.
        key: Sum of what the artifact depends on; "" to read markers whatever they are of.
    """

    folder: Path
    stage: str = "blocks"
    key: str = ""
    _seen: dict[Path, frozenset[str]] = field(default_factory=dict, compare=False, repr=False)

    def of(self, stage: str) -> Ledger:
        """The markers of another part of the work."""
        return Ledger(self.folder, stage, self.key)

    def require_begun(self) -> None:
        """Refuse to go on where the folder was deleted, or begun anew with other settings.

        A worker of a cluster may outlive the command that it works for.
        """
        if self.key and digest(parts_begun(self.folder)) != self.key:
            problem = "was deleted, or begun anew with other settings, while blocks were made."
            raise DataError(str(self.folder), problem, "Give the same command again.")

    def is_done(self, name: str) -> bool:
        """Whether a piece was done when its neighbours were first asked for.

        Names are listed a folder at a time, as asking for each of millions takes hours on a
        network disk.
        """
        folder, file = self._place(name)
        if folder not in self._seen:
            self._seen.clear()
            with suppress(FileNotFoundError):
                self._seen[folder] = frozenset(one.name for one in folder.iterdir())
        return file in self._seen.get(folder, ())

    def mark(self, name: str, facts: Facts) -> None:
        """Note that a piece is done; the marker is on disk, whole, when this returns.

        Raises:
            DataError: See `require_begun`.
        """
        self.require_begun()
        folder, file = self._place(name)
        folder.mkdir(parents=True, exist_ok=True)
        marker = {**facts, OF: self.key}
        marker[SUM] = digest(marker)
        write_whole(folder / file, json.dumps(marker).encode())

    def facts(self, name: str) -> dict[str, Any] | None:
        """What the marker of a piece says; None where there is none, or it is damaged.

        Nor is it taken where it is of another key, as a program leaves it that was killed while it
        removed what had been begun.
        """
        folder, file = self._place(name)
        try:
            found = json.loads((folder / file).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(found, dict):
            return None
        if found.pop(SUM, None) not in (None, digest(found)):  # earlier versions wrote none
            return None
        of = found.pop(OF, self.key)
        return found if not self.key or of == self.key else None

    def forget(self, name: str) -> None:
        """Have a piece made again."""
        folder, file = self._place(name)
        (folder / file).unlink(missing_ok=True)
        self._seen.clear()

    def _place(self, name: str) -> tuple[Path, str]:
        # Folders by the first part of a name, which is a layer of blocks: none holds millions.
        first, _, _ = name.partition("_")
        return self.folder / "done" / self.stage / first, name

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "stage": self.stage, "key": self.key, "_seen": {}}


def open_ledger(folder: Path, parts: Mapping[str, Any], what: str) -> Ledger:
    """Begin, or go on with, an artifact.

    Args:
        folder: Of the ledger; it is made.
        parts: Everything that the artifact depends on, by name, as plain values.
        what: The artifact, for the message.

    Raises:
        DataError: One of other parts was begun there, or the folder cannot be written.
    """
    begun = ledger_begun(folder, parts, what)
    if begun is not None:
        return begun
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / KEY, json.dumps(dict(parts), indent=1).encode())
    return Ledger(folder, key=digest(dict(parts)))


def ledger_begun(folder: Path, parts: Mapping[str, Any], what: str) -> Ledger | None:
    """The ledger of an artifact that is begun; None where none is.

    Args:
        folder: As of `open_ledger`, and so are the others.
        parts: Everything that the artifact depends on.
        what: The artifact, for the message.

    Raises:
        DataError: One of other parts was begun there.
    """
    begun, key = parts_begun(folder), digest(dict(parts))
    if begun is None:
        return None
    if digest(begun) != key:
        raise DataError(
            str(folder),
            f"holds {what} that were begun with other settings or data: "
            f"{'; '.join(changes(begun, parts))}.",
            "Finish them with what they were begun with, or delete that folder to begin anew.",
        )
    return Ledger(folder, key=key)


def begin_anew(folder: Path) -> None:
    """Remove what was begun in the folder of a ledger; whoever holds it goes on holding it."""
    (folder / KEY).unlink(missing_ok=True)
    for one in folder.iterdir():
        if one.is_dir():
            shutil.rmtree(one, ignore_errors=True)


def parts_begun(folder: Path) -> dict[str, Any] | None:
    """What an artifact depends on that was begun in a folder; None where none was."""
    try:
        found = json.loads((folder / KEY).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        remedy = "Delete that folder to begin anew."
        raise DataError(str(folder / KEY), f"cannot be read: {error}.", remedy) from error
    return found if isinstance(found, dict) else {}


def discard(folder: Path) -> None:
    """Remove a ledger and what lies with it, and the folder around it if that is empty then.

    The key goes first, so that what a killed program leaves is no ledger.
    """
    (folder / KEY).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # others may lie beside it
        folder.parent.rmdir()


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file that is whole, and on disk, or not there.

    Quicker than `files.atomic_path`, which makes a folder for each: there may be millions.
    """
    # Processes of two machines may have one number.
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
