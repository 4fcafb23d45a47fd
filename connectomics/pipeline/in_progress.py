"""What is known of a result in progress, made by block: its key, and the volumes behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from connectomics.blocks import Ledger
from connectomics.data.identity import Identity
from connectomics.geometry import Triple

BLOCK_SIZE = "block size"
"""The part of a key that says how a volume was cut; absent where it was not."""

NOTES = "notes"
"""What is not worth finding out again, among the markers of a ledger."""


def block_in(parts: Mapping[str, Any]) -> Triple | None:
    """The size of blocks in the parts of a key."""
    found = parts.get(BLOCK_SIZE)
    if not isinstance(found, Sequence) or len(found) != 3:
        return None
    return int(found[0]), int(found[1]), int(found[2])


def with_block(parts: Mapping[str, Any], block: Triple | None) -> dict[str, Any]:
    """The parts of a key, with the size of blocks where there are any."""
    return {**parts, **({BLOCK_SIZE: list(block)} if block else {})}


def known_volumes(folder: Path) -> dict[str, Identity]:
    """What is known, by an earlier run, of the volumes that an unfinished result is made from.

    A volume need not be read again to be recognised, by each process of a job array for itself.
    """
    notes = Ledger(folder).of(NOTES)
    stored = notes.facts("volumes") or {}
    known = {name: Identity.from_dict(one) for name, one in stored.items()}
    return {name: one for name, one in known.items() if one}


def note_volumes(ledger: Ledger, volumes: Mapping[str, Identity]) -> None:
    """Keep what `known_volumes` gives."""
    notes = ledger.of(NOTES)
    notes.mark("volumes", {name: one.as_dict() for name, one in volumes.items()})
