"""A web server for one run: read-only, for this machine only; chunks are made when asked for."""

from __future__ import annotations

import json
import re
import secrets
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from connectomics.data.io import LazyVolume
from connectomics.data.io.levels import coarser_levels
from connectomics.data.io.pyramid import scaled
from connectomics.decoding import read_table
from connectomics.decoding.lines import write_neuroglancer
from connectomics.errors import ConnectomicsError, MachineError
from connectomics.geometry import Box, Triple
from connectomics.neuroglancer.volume import Scale, describe, encode, first_voxel, label_type
from connectomics.viewer.layers import Shown, shown_grid
from connectomics.viewer.showing import view_state

HERE = "127.0.0.1"
STATE = "view.json"
SOURCES = {"sides": "labels"}
RANGE = re.compile(r"bytes=(\d+)-(\d*)$")

# What the viewer can show, and what other types are turned into.
SHOWN_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float32")
TURNED = {"bool": "uint8", "float16": "float32", "float64": "float32", "int64": "float32"}


class Layer:
    """A volume as the viewer reads it: "em", "probabilities", "labels", or the "sides" of labels.

    Sides are 1 where the label is odd, which is pre, and 2 where it is even.
    """

    def __init__(self, volume: LazyVolume, kind: str, lock: threading.Lock) -> None:
        self.volume = volume
        self.kind = kind
        self.labels = kind == "labels"
        name = volume.dtype.name
        shown = np.dtype(name if name in SHOWN_TYPES else TURNED[name])
        self.dtype = label_type(volume.dtype) if self.labels else shown
        if kind == "sides":
            self.dtype = np.dtype(np.uint8)
        self.scales = [(_scale(volume, (1, 1, 1), volume), volume)]
        self.scales += [(_scale(volume, f, level), level) for f, level in coarser_levels(volume)]
        self._lock = lock

    def read(self, path: str) -> bytes | None:
        """The file of that name; None where there is none."""
        if path == "info":
            channels = self.volume.shape[0] if len(self.volume.shape) == 4 else 1
            info = describe(
                [scale for scale, _ in self.scales],
                self.dtype,
                channels=channels,
                labels=self.labels,
            )
            return json.dumps(info).encode()
        key, _, name = path.partition("/")
        for scale, volume in self.scales:
            if key == scale.key and (box := scale.box_of(name)) is not None:
                return encode(self._values(volume, box), labels=self.labels)
        return None

    def close(self) -> None:
        """Close the files, when nobody reads them."""
        with self._lock:
            for _, volume in self.scales:
                volume.close()

    def _values(self, volume: LazyVolume, box: Box) -> NDArray[Any]:
        with self._lock:
            values = volume.read(box)
        if self.kind == "sides":
            values = np.where(values == 0, 0, 2 - values % 2)
        return values.astype(self.dtype)


def _scale(volume: LazyVolume, factors: Triple, level: LazyVolume) -> Scale:
    """A level of a volume; where it begins within a voxel of the viewer's grid, at the nearest."""
    grid = shown_grid(volume)
    assert grid.resolution is not None
    begin = zip(first_voxel(grid), factors, strict=True)
    (a, b, c), (z, y, x) = (round(n / f) for n, f in begin), level.shape[-3:]
    return Scale((z, y, x), (a, b, c), scaled(grid.resolution, factors))


class ViewServer(ThreadingHTTPServer):
    """Serves the volumes of a run below an address that nobody can guess.

    Attributes:
        address: Below which the layers are.
    """

    daemon_threads = False  # closing waits for who still reads a file
    allow_reuse_address = False

    def __init__(self, shown: Sequence[Shown], lines: Path, port: int = 0) -> None:
        self.layers: dict[str, Layer] = {}
        for one in shown:
            locks = {name: threading.Lock() for name in one.volumes}  # a file is read by one
            for name in one.layers:
                if (of := SOURCES.get(name, name)) in locks:
                    self.layers[f"{one.name}/{name}"] = Layer(one.volumes[of], name, locks[of])
        self.lines = lines
        # Any page that is open in the browser may ask this server: it must not know what for.
        self.secret = secrets.token_urlsafe(12)
        try:
            super().__init__((HERE, port), Handler)
        except OSError as error:
            remedy = "Choose another, or leave it out: any that is free is taken."
            raise MachineError(
                f"port={port}", f"cannot be used: {error.strerror}.", remedy
            ) from error
        self.states = {f"{one.name}/{STATE}": view_state(one, self.address) for one in shown}

    @cached_property
    def address(self) -> str:
        """Below which the layers are."""
        return f"http://{HERE}:{self.server_port}/{self.secret}"

    def view_of(self, shown: Shown) -> str:
        """The address of what the viewer is to show of a volume."""
        return f"{self.address}/{quote(shown.name)}/{STATE}"

    def state_of(self, shown: Shown) -> dict[str, Any]:
        """What the viewer is to show of a volume."""
        return self.states[f"{shown.name}/{STATE}"]

    def find(self, path: str) -> bytes | None:
        """What lies at a path below the address; None where nothing does."""
        for place, layer in self.layers.items():
            if path.startswith(f"{place}/"):
                return layer.read(path.removeprefix(f"{place}/"))
        if path in self.states:
            return json.dumps(self.states[path]).encode()
        file = (self.lines / path).resolve()
        inside = file.is_relative_to(self.lines.resolve())
        return file.read_bytes() if inside and file.is_file() else None


class Handler(BaseHTTPRequestHandler):
    """Answers the viewer, each time on a new connection, so that no thread is left over."""

    server: ViewServer  # pyright: ignore

    def do_OPTIONS(self) -> None:
        """Let a page from the web ask."""
        self._answer(204, b"")

    def do_HEAD(self) -> None:
        """As GET, without the content."""
        self.do_GET()

    def do_GET(self) -> None:
        """Give a file, or the part that is asked for."""
        path = unquote(self.path.partition("?")[0]).lstrip("/")
        secret, _, inside = path.partition("/")
        if secret != self.server.secret:
            return self._answer(404, b"")
        try:
            found = self.server.find(inside)
        except ConnectomicsError as error:
            print(error, flush=True)
            return self._answer(500, str(error).encode())
        if found is None:
            return self._answer(404, b"")
        asked = RANGE.match(self.headers.get("Range", ""))
        if asked is None:
            return self._answer(200, found)
        first, last = int(asked[1]), int(asked[2] or len(found) - 1)
        if first >= len(found):
            return self._answer(416, b"", f"bytes */{len(found)}")
        part = found[first : last + 1]
        return self._answer(206, part, f"bytes {first}-{first + len(part) - 1}/{len(found)}")

    def _answer(self, status: int, content: bytes, part: str = "") -> None:
        self.send_response(status)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "Range")
        self.send_header("Access-Control-Allow-Private-Network", "true")
        self.send_header("Access-Control-Expose-Headers", "Content-Range")
        self.send_header("Content-Length", str(len(content)))
        if part:
            self.send_header("Content-Range", part)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each chunk."""


@contextmanager
def serve(shown: Sequence[Shown], port: int = 0) -> Iterator[ViewServer]:
    """Serve volumes until the block ends.

    Args:
        shown: What `find_volumes` has found.
        port: Of this machine; 0 takes any that is free.

    Raises:
        MachineError: The port is taken.
        DataError: A table cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="connectomics_view_") as folder:
        for one in shown:
            if one.table is not None:
                lines = Path(folder, one.name, "synapses")
                write_neuroglancer(read_table(one.table), lines, grid=shown_grid(one.place))
        with ViewServer(shown, Path(folder), port) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield server
            finally:
                server.shutdown()
                thread.join()
                for layer in server.layers.values():
                    layer.close()
