"""What a result was made from, as its file says: so that it is never taken for another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from connectomics.data.identity import Identity
from connectomics.data.io import open_volume
from connectomics.digests import changes, digest
from connectomics.errors import DataError

DIGEST = "config_hash"
MADE_FROM = "made_from"


@dataclass(frozen=True)
class CacheKey:
    """Everything that a result depends on.

    Attributes:
        parts: Settings, versions of code and sums of contents by name, as plain values. Where
            these are equal, so are the results.
        volumes: What was read, by name, so that it need not be read again to be recognised.
            `image` is the volume that the result is of.
    """

    parts: Mapping[str, Any] = field(default_factory=dict)
    volumes: Mapping[str, Identity] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """A digest of the parts."""
        return digest(self.parts)

    @property
    def image(self) -> Identity | None:
        """The volume that the result is of; None where nobody says."""
        return self.volumes.get("image")

    def attributes(self) -> dict[str, Any]:
        """What the file of the result says of itself."""
        volumes = {name: volume.as_dict() for name, volume in self.volumes.items()}
        return {DIGEST: self.digest, MADE_FROM: {"parts": dict(self.parts), "volumes": volumes}}

    def otherwise(self, now: CacheKey) -> str:
        """Say how a result was made that is not the one asked for; empty where it is.

        >>> CacheKey({"thres": 0.5}).otherwise(CacheKey({"thres": 0.7}))
        'was made with other settings or data: thres was 0.5 and is 0.7'
        >>> one = CacheKey({"volumes": ["a", "b"], "labels of a": 1, "labels of b": 2})
        >>> one.otherwise(CacheKey({"volumes": ["b"], "labels of b": 3}))
        'was made with other settings or data: volumes was ["a", "b"] and is ["b"]; labels of b \
was 2 and is 3'
        """
        before, after = dict(self.parts), dict(now.parts)
        found = []
        if before.get("voxels") != after.get("voxels") and self.image and now.image:
            found.append(f"it is of {self.image.difference(now.image)}")
            for parts in (before, after):
                parts.update({"voxels": None, "voxels measured": None})
        before, after = _of_both(before, after)
        found += changes(before, after)
        return f"was made with other settings or data: {'; '.join(found)}" if found else ""


def _of_both(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Leave out what speaks of a volume that is not in both: that it is not says it all."""
    others = {*before.get("volumes", ())} ^ {*after.get("volumes", ())}
    ends = tuple(f" {word} {name}" for name in others for word in ("of", "on"))
    left = (
        {name: part for name, part in parts.items() if not name.endswith(ends)}
        for parts in (before, after)
    )
    return next(left), next(left)


def key_of(path: Path) -> CacheKey | None:
    """Read what a result was made from.

    Returns:
        A key without parts where an earlier version made it, or it cannot be read; None where
        there is no such file, or another program made it.

    Raises:
        DataError: It may not be read.
    """
    if not path.exists():
        return None
    try:
        with open_volume(path) as volume:
            attributes = volume.attributes
    except DataError as error:
        if isinstance(error.__cause__, PermissionError):
            raise
        return CacheKey()
    return key_in(attributes)


def key_in(attributes: Mapping[str, Any]) -> CacheKey | None:
    """What a result was made from, by what it says of itself; see `key_of`.

    >>> key_in(CacheKey({"thres": 0.5}).attributes())
    CacheKey(parts={'thres': 0.5}, volumes={})
    """
    if DIGEST not in attributes:
        return None
    stored = attributes.get(MADE_FROM)
    if not isinstance(stored, Mapping):
        return CacheKey()
    parts, volumes = stored.get("parts"), stored.get("volumes")
    if not isinstance(parts, Mapping) or not isinstance(volumes, Mapping):
        return CacheKey()
    known = {name: Identity.from_dict(volume) for name, volume in volumes.items()}
    return CacheKey(dict(parts), {name: volume for name, volume in known.items() if volume})


@contextmanager
def reading_result(path: Path, mode: str) -> Iterator[None]:
    """Say of a result that cannot be read how it is made anew.

    Args:
        path: The result.
        mode: What makes it.

    Raises:
        DataError: As inside, with another remedy.
    """
    try:
        yield
    except DataError as error:
        made = f"If it was made here, delete it and make it anew with --mode {mode};"
        remedy = f"{made} if another program wrote it, copy it again."
        raise type(error).of(
            replace(fault, remedy=remedy) if fault.where == str(path) else fault
            for fault in error.faults
        ) from error
