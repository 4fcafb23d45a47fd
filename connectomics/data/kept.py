"""What reading whole volumes has found, kept beside a run, so that they need not be read again.

    <run>/measured/<what>-<sum>.npz

Each file says what it was found in: the files of the volumes, as the file system tells them apart
(`identity.located`), the part that was read, settings and code. It is taken for that and for
nothing else. Behind it lies the sum of its bytes; one that is damaged is found anew.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from connectomics.data.identity import SPOKEN_OF_BYTES, located
from connectomics.data.io import LazyVolume
from connectomics.data.volumes import Volume
from connectomics.digests import code_digest, digest
from connectomics.files import atomic_path

FOLDER = "measured"

WORTH_KEEPING_BYTES = 2**28
"""What is found in less is found anew, in a second."""

SUM_BYTES = 32

Arrays = Mapping[str, np.ndarray]


class Kept:
    """What was found in volumes, by this command and by the run that it goes on from.

    It can be pickled: other processes of a run look into its folder.

    Args:
        run: The folder of a run; None where there is none yet.
    """

    def __init__(self, run: Path | None = None) -> None:
        self._folder = run and run / FOLDER
        self._found: dict[str, tuple[str, Arrays]] | None = {}
        self._taken: list[str] = []
        self._least = WORTH_KEEPING_BYTES
        # For volumes whose files tell nothing, such as those of a web server: what was found in one
        # is known to the processes of this command and to no other.
        self._command = uuid4().hex

    def find(
        self,
        what: str,
        volumes: Sequence[Volume | None],
        make: Callable[[], Arrays],
        *,
        settings: Mapping[str, Any],
        code: Sequence[str],
    ) -> Arrays:
        """Give what was found in volumes before, or find it.

        Args:
            what: Is to be found.
            volumes: That are read for it. What is found in small ones, or in memory, is not kept.
            make: Reads them.
            settings: What it depends on as well, as plain values.
            code: Where that stands which finds it, see `code_digest`.
        """
        read = [volume for volume in volumes if volume is not None]
        nbytes = sum(np.prod(one.shape, dtype=float) * one.dtype.itemsize for one in read)
        on_disk = [one for one in read if isinstance(one, LazyVolume)]
        if nbytes < self._least or len(on_disk) < len(read):
            return make()
        parts = {"volumes": [*map(self._known_by, on_disk)], **settings, "code": code_digest(*code)}
        key = json.dumps(parts, sort_keys=True)
        name = f"{what.replace(' ', '_')}-{digest(parts)}.npz"
        if self._found and name in self._found:
            return self._found[name][1]
        found = self._read(name, key)
        if found is None:
            if nbytes >= SPOKEN_OF_BYTES:
                print(f"  reading {read[0].source}, to find its {what}", flush=True)
            found = make()
        else:
            self._taken.append(what)
        if self._found is not None:
            self._found[name] = key, found
        return found

    def notes(self) -> list[str]:
        """What was not read again, for a log."""
        if not self._taken:
            return []
        of = " and ".join(dict.fromkeys(self._taken))
        return [
            f"the {of} of what has not changed are not read again, but taken from {self._folder}"
        ]

    def keep(self, run: Path) -> None:
        """Write all that was found into the folder of a run, and look there from now on.

        Raises:
            DataError: It cannot be written.
        """
        self._folder = run / FOLDER
        for name, (key, arrays) in (self._found or {}).items():
            stream = io.BytesIO()
            np.savez_compressed(stream, allow_pickle=False, key=np.array(key), **dict(arrays))
            data = stream.getvalue()
            with atomic_path(self._folder / name) as temporary:
                temporary.write_bytes(data + hashlib.sha256(data).digest())
        self._found = None

    def _read(self, name: str, key: str) -> Arrays | None:
        try:
            data = (self._folder / name).read_bytes() if self._folder else b""
        except OSError:
            return None
        data, total = data[:-SUM_BYTES], data[-SUM_BYTES:]
        if hashlib.sha256(data).digest() != total:
            return None
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {one: stored[one] for one in stored.files}
        return arrays if str(arrays.pop("key")) == key else None

    def _known_by(self, volume: LazyVolume) -> dict[str, Any]:
        """By what a volume is recognised without reading it."""
        now = located(volume)
        facts = asdict(now) | {"files": now.files or self._command}
        return {name: fact for name, fact in facts.items() if name not in ("source", "content")}
