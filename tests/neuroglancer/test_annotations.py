from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomics.neuroglancer import annotations
from connectomics.neuroglancer.annotations import Lines, Property, write_lines

PROGRAM = Path(__file__).parents[1] / "data" / "io" / "store_samples.py"
SIZES = {"float32": ("f", 4), "uint32": ("I", 4), "uint16": ("H", 2), "uint8": ("B", 1)}

Index = dict[int, bytes]


def unshard(folder: Path, tmp_path: Path) -> dict[str, Index]:
    """The objects of every index, as TensorStore finds them in the shards."""
    info = json.loads((folder / "info").read_text())
    for part in (info["by_id"], *info["spatial"], *info["relationships"]):
        place = folder / part["key"] / "sharding.json"
        place.write_text(json.dumps(part["sharding"]))
    subprocess.run([sys.executable, PROGRAM, "unshard", folder], check=True)
    found: dict[str, Index] = {}
    for key, raw in np.load(folder.with_suffix(".npz")).items():
        index, number = key.split("/")
        found.setdefault(index, {})[int(number)] = raw.tobytes()
    return found


def take(raw: bytes, info: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Decode one line and what follows it, as the format is described."""
    line: dict[str, Any] = {"ends": struct.unpack("<6f", raw[:24])}
    at = 24
    for size in (4, 2, 1):
        for one in info["properties"]:
            code, length = SIZES[one["type"]]
            if length == size:
                (line[one["id"]],) = struct.unpack(f"<{code}", raw[at : at + length])
                at += length
    return line, raw[-(-at // 4) * 4 :]


def take_one(raw: bytes, info: dict[str, Any]) -> dict[str, Any]:
    line, rest = take(raw, info)
    for relationship in info["relationships"]:
        (count,) = struct.unpack("<I", rest[:4])
        line[relationship["id"]] = struct.unpack(f"<{count}Q", rest[4 : 4 + 8 * count])
        rest = rest[4 + 8 * count :]
    assert rest == b""
    return line


def take_several(raw: bytes, info: dict[str, Any]) -> dict[int, dict[str, Any]]:
    (count,), rest, lines = struct.unpack("<Q", raw[:8]), raw[8:], []
    for _ in range(count):
        line, rest = take(rest, info)
        lines.append(line)
    return dict(zip(struct.unpack(f"<{count}Q", rest), lines, strict=True))


@pytest.fixture
def lines() -> Lines:
    random = np.random.default_rng(3)
    starts = random.uniform(0, 1000, (700, 3))
    return Lines(
        ids=random.permutation(2000)[:700].astype(np.uint64) + np.uint64(2**40),
        starts=starts,
        stops=starts + random.uniform(-20, 20, (700, 3)),
        resolution=(30.0, 8.0, 4.0),
        bounds=(np.full(3, -20.0), np.full(3, 1020.0)),
        properties=[
            Property("side", (np.arange(700) % 3).astype(np.uint8), "which", ("a", "b", "c")),
            Property("confidence", random.random(700).astype(np.float32), "how sure"),
            Property("voxels", np.arange(700, dtype=np.uint16), "how many"),
        ],
        relationships={"pre": np.arange(700, dtype=np.uint64) // np.uint64(3)},
    )


def test_every_index_holds_what_the_format_says(
    tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorstore")
    monkeypatch.setattr(annotations, "LIMIT", 100)
    write_lines(tmp_path / "lines", lines)
    info = json.loads((tmp_path / "lines" / "info").read_text())
    assert info["@type"] == "neuroglancer_annotations_v1"
    assert info["dimensions"] == {"x": [4e-9, "m"], "y": [8e-9, "m"], "z": [3e-8, "m"]}
    found = unshard(tmp_path / "lines", tmp_path)
    alone = {number: take_one(raw, info) for number, raw in found["by_id"].items()}
    assert sorted(alone) == sorted(lines.ids.tolist())
    for i, number in enumerate(lines.ids.tolist()):
        line = alone[number]
        ends = [*lines.starts[i], *lines.stops[i]]
        assert np.allclose(line["ends"], ends)
        assert (line["side"], line["voxels"]) == (i % 3, i)
        assert line["confidence"] == lines.properties[1].values[i]
        assert line["pre"] == ((i // 3,) if i >= 3 else ())
    for segment, raw in found["by_pre"].items():
        related = take_several(raw, info)
        assert [alone[n]["pre"] for n in related] == [(segment,)] * len(related)
    assert len(found["by_pre"]) == 699 // 3
    plain = {
        number: {k: v for k, v in line.items() if k != "pre"} for number, line in alone.items()
    }
    seen: set[int] = set()
    assert len(info["spatial"]) > 1
    for level in info["spatial"]:
        here: set[int] = set()
        bits = [(n - 1).bit_length() for n in level["grid_shape"]]
        for number, raw in found[level["key"]].items():
            members = take_several(raw, info)
            assert len(members) <= level["limit"]
            lower = corner(number, bits) * level["chunk_size"] + info["lower_bound"]
            upper = lower + level["chunk_size"]
            for line, content in members.items():
                assert content == plain[line]
                ends = np.reshape(content["ends"], (2, 3))
                assert (ends.min(0) <= upper + 1e-3).all()
                assert (ends.max(0) >= lower - 1e-3).all()
            here |= members.keys()
        assert not here & seen  # each line lies in one level, in every cell that it touches
        seen |= here
    assert seen == plain.keys()


def corner(number: int, bits: list[int]) -> np.ndarray:
    """The cell of a compressed Morton code."""
    cell, at = [0, 0, 0], 0
    for bit in range(max(bits)):
        for axis in range(3):
            if bit < bits[axis]:
                cell[axis] |= (number >> at & 1) << bit
                at += 1
    return np.array(cell)


def test_no_lines_at_all(tmp_path: Path) -> None:
    nothing = np.zeros((0, 3))
    bounds = (np.zeros(3), np.ones(3))
    write_lines(
        tmp_path / "lines", Lines(np.zeros(0, np.uint64), nothing, nothing, (30, 8, 8), bounds)
    )
    info = json.loads((tmp_path / "lines" / "info").read_text())
    assert [level["grid_shape"] for level in info["spatial"]] == [[1, 1, 1]]
    assert (tmp_path / "lines" / "by_id" / "0.shard").read_bytes() == bytes(16)
