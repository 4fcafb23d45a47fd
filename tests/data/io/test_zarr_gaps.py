"""Chunks that are not in a Zarr store, counted."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import zarr

from connectomics.data.io import open_volume, read_volume, zarr_gaps
from connectomics.data.io.header import Gaps
from connectomics.errors import DataError

SHAPE, CHUNKS = (10, 12, 9), (4, 4, 4)  # 3 x 3 x 3 chunks


def create(path: Path, **settings: Any) -> zarr.Array[Any]:
    return zarr.create_array(path, shape=SHAPE, chunks=CHUNKS, dtype="u1", **settings)


stores = pytest.mark.parametrize(
    "settings",
    [
        {"zarr_format": 2},
        {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
        {"zarr_format": 3},
        {"zarr_format": 3, "chunk_key_encoding": {"name": "default", "separator": "."}},
        {"zarr_format": 3, "shards": (8, 8, 8)},
        {"zarr_format": 3, "shards": {"shape": (8, 8, 8), "index_location": "start"}},
    ],
)


@stores
def test_missing_chunks_are_counted(tmp_path: Path, settings: dict[str, Any]) -> None:
    array = create(tmp_path / "em.zarr", **settings)
    assert open_volume(tmp_path / "em.zarr").gaps == Gaps(27, 27, "chunks")
    array[:4, :8, :4] = 1
    assert open_volume(tmp_path / "em.zarr").gaps == Gaps(25, 27, "chunks")
    array[:] = 1
    assert open_volume(tmp_path / "em.zarr").gaps is None


@stores
def test_a_missing_file_is_missing_chunks(tmp_path: Path, settings: dict[str, Any]) -> None:
    create(tmp_path / "em.zarr", **settings)[:] = 1
    files = [p for p in sorted((tmp_path / "em.zarr").rglob("*")) if p.is_file() and "0" in p.name]
    files[0].unlink()
    gaps = open_volume(tmp_path / "em.zarr").gaps
    assert gaps == Gaps(8 if "shards" in settings else 1, 27, "chunks")


def test_an_array_of_a_group(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "em.zarr", mode="w")
    array = group.create_array("volumes/raw", shape=SHAPE, chunks=CHUNKS, dtype="u1")
    array[:8] = 1
    assert open_volume(f"{tmp_path / 'em.zarr'}::volumes/raw").gaps == Gaps(9, 27, "chunks")


def test_of_very_many_files_some_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr_gaps, "FILES_LOOKED_AT", 3)
    create(tmp_path / "em.zarr")[:4] = 1
    assert str(open_volume(tmp_path / "em.zarr").gaps) == "2 of its 3 chunks looked at"


@pytest.mark.parametrize("where", ["compressor", "filters"])
def test_no_store_runs_code(tmp_path: Path, where: str) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.write_text, (tmp_path / "harm", "done")

    create(tmp_path / "em.zarr", zarr_format=2)[:] = 1
    file = tmp_path / "em.zarr" / ".zarray"
    codec: Any = {"id": "pickle"}
    changed = {"compressor": None, "filters": None, where: codec if where != "filters" else [codec]}
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))
    (tmp_path / "em.zarr" / "0.0.0").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(DataError):
        read_volume(tmp_path / "em.zarr")
    assert not (tmp_path / "harm").exists()
