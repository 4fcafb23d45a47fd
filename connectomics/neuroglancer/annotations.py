"""Lines with properties and relationships, as `neuroglancer_annotations_v1`.

Every index is one shard, so that a million synapses are a handful of files.
https://neuroglancer-docs.web.app/datasource/precomputed/annotation.html
"""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.geometry import Triple
from connectomics.neuroglancer.sharding import morton, write_one_shard

LIMIT = 2000
"""Lines that a viewer loads for one cell of the spatial index."""

SHARD = "0.shard"


@dataclass(frozen=True)
class Property:
    """A number that each line has.

    Attributes:
        name: In lower case.
        values: float32, or an unsigned integer of 8, 16 or 32 bits.
        description: For the viewer.
        words: What the values 0, 1, … mean, where they are choices.
    """

    name: str
    values: NDArray[Any]
    description: str
    words: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Its part of the `info` file."""
        choices = {"enum_values": [*range(len(self.words))], "enum_labels": list(self.words)}
        said = {"type": self.values.dtype.name, "description": self.description}
        return {"id": self.name, **said, **(choices if self.words else {})}


@dataclass(frozen=True)
class Lines:
    """Lines in voxels.

    Attributes:
        ids: (N,) uint64, each once.
        starts: (N, 3) x, y, z.
        stops: (N, 3) x, y, z.
        resolution: nm per voxel (z, y, x).
        bounds: First and last corner (x, y, z) of what they lie in.
        properties: Of each line.
        relationships: Ids of segments, by what they are to the line; 0 where there is none.
    """

    ids: NDArray[np.uint64]
    starts: NDArray[np.floating[Any]]
    stops: NDArray[np.floating[Any]]
    resolution: tuple[float, float, float]
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]]
    properties: Sequence[Property] = ()
    relationships: Mapping[str, NDArray[np.uint64]] = field(default_factory=dict)


def write_lines(folder: Path, lines: Lines) -> None:
    """Write lines as a folder that Neuroglancer reads.

    Args:
        folder: To be made.
        lines: Any number of them.

    Raises:
        OSError: The disk is full.
    """
    folder.mkdir(parents=True)
    # Longer numbers come first, so that each begins at a multiple of its length.
    properties = sorted(lines.properties, key=lambda p: -p.values.dtype.itemsize)
    z, y, x = lines.resolution
    encoded = _encoded(lines, properties)
    lower, upper = lines.bounds
    info = {
        "@type": "neuroglancer_annotations_v1",
        "dimensions": {axis: [n / 1e9, "m"] for axis, n in zip("xyz", (x, y, z), strict=True)},
        "lower_bound": lower.tolist(),
        "upper_bound": upper.tolist(),
        "annotation_type": "LINE",
        "properties": [one.describe() for one in properties],
        "relationships": [
            {"id": name, **_index(folder, f"by_{name}", _related(lines, name, encoded))}
            for name in lines.relationships
        ],
        "by_id": _index(folder, "by_id", _alone(lines, encoded)),
        "spatial": _spatial(folder, lines, encoded),
    }
    (folder / "info").write_text(json.dumps(info, indent=1))


def _index(folder: Path, key: str, objects: Iterator[tuple[int, bytes]]) -> dict[str, Any]:
    """Write an index as one shard, and say where it is."""
    sharding, content = write_one_shard(objects)
    (folder / key).mkdir()
    (folder / key / SHARD).write_bytes(content)
    return {"key": key, "sharding": sharding.describe()}


def _encoded(lines: Lines, properties: Sequence[Property]) -> NDArray[np.void]:
    """(N,) both ends and the properties of each line, as their bytes are stored."""
    kinds = [("ends", "<f4", (6,))]
    kinds += [(p.name, p.values.dtype.newbyteorder("<")) for p in properties]  # pyright: ignore
    rest = -sum(p.values.dtype.itemsize for p in properties) % 4
    records = np.zeros(len(lines.ids), np.dtype([*kinds, ("padding", "u1", (rest,))]))
    records["ends"] = np.hstack([lines.starts, lines.stops])
    for one in properties:
        records[one.name] = one.values
    return records


def _alone(lines: Lines, encoded: NDArray[np.void]) -> Iterator[tuple[int, bytes]]:
    """Each line with the segments that it relates to."""
    for i, number in enumerate(lines.ids.tolist()):
        related = b""
        for segments in lines.relationships.values():
            known = [int(segments[i])] if segments[i] else []
            related += struct.pack(f"<I{len(known)}Q", len(known), *known)
        yield number, encoded[i].tobytes() + related


def _related(lines: Lines, name: str, encoded: NDArray[np.void]) -> Iterator[tuple[int, bytes]]:
    """The lines of each segment."""
    segments = lines.relationships[name]
    order = np.argsort(segments, kind="stable")
    starts = np.flatnonzero(np.diff(segments[order], prepend=np.uint64(0)))
    for a, b in itertools.pairwise([*starts.tolist(), len(order)]):
        chosen = order[a:b]
        yield int(segments[chosen[0]]), _several(lines, encoded, chosen)


def _several(lines: Lines, encoded: NDArray[np.void], chosen: NDArray[np.intp]) -> bytes:
    count = struct.pack("<Q", len(chosen))
    return count + encoded[chosen].tobytes() + lines.ids[chosen].astype("<u8").tobytes()


def _spatial(folder: Path, lines: Lines, encoded: NDArray[np.void]) -> list[dict[str, Any]]:
    """A pyramid of grids: coarse ones hold a sample of the lines, finer ones what is left."""
    lower, upper = lines.bounds
    size = np.maximum(upper - lower, 1)
    left = np.random.default_rng(0).permutation(len(lines.ids))
    grid: Triple = (1, 1, 1)
    levels = []
    while len(left) or not levels:
        cells, left = _fill(lines, left, size / grid, grid)
        objects = (
            (morton(cell, grid), _several(lines, encoded, np.array(members)))
            for cell, members in cells.items()
        )
        described = _index(folder, f"spatial{len(levels)}", objects)
        described |= {"grid_shape": list(grid), "chunk_size": (size / grid).tolist()}
        levels.append({**described, "limit": LIMIT})
        # The longest sides of the cells are halved.
        nm = size / grid * np.array(lines.resolution[::-1])
        x, y, z = np.array(grid) * np.where(nm > 0.6 * nm.max(), 2, 1)
        grid = (int(x), int(y), int(z))
    return levels


def _fill(
    lines: Lines, chosen: NDArray[np.intp], side: NDArray[np.float64], grid: Triple
) -> tuple[dict[tuple[int, ...], list[int]], NDArray[np.intp]]:
    """The lines in the cells that the boxes around them touch, and those that find no room."""
    ends = np.stack([lines.starts[chosen], lines.stops[chosen]]) - lines.bounds[0]
    last = np.array(grid) - 1
    first, final = (
        np.clip(np.floor(corner / side), 0, last).astype(int).tolist()
        for corner in (ends.min(0), ends.max(0))
    )
    most = LIMIT if side.max() > 1 else len(chosen)  # lines at one voxel cannot be told apart
    cells: dict[tuple[int, ...], list[int]] = {}
    left = []
    for line, a, b in zip(chosen.tolist(), first, final, strict=True):
        touched = [
            cells.setdefault(cell, [])
            for cell in itertools.product(*(range(i, j + 1) for i, j in zip(a, b, strict=True)))
        ]
        if all(len(members) < most for members in touched):
            for members in touched:
                members.append(line)
        else:
            left.append(line)
    return {cell: members for cell, members in cells.items() if members}, np.array(left, np.intp)
