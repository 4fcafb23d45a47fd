"""Writes stores with TensorStore, and reads them: `python store_samples.py write|read FOLDER`.

A program of its own, as TensorStore ends every process that is forked from one that has used it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tensorstore as ts

N5 = {
    "raw": {"type": "raw"},
    "gzip": {"type": "gzip"},
    "zlib": {"type": "gzip", "useZlib": True},
    "bzip2": {"type": "bzip2"},
    "xz": {"type": "xz"},
    "blosc": {"type": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1},
}
SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "preshift_bits": 1,
    "minishard_bits": 2,
    "shard_bits": 1,
}
PRECOMPUTED = {
    "raw": {"encoding": "raw"},
    "png": {"encoding": "png"},
    "jpeg": {"encoding": "jpeg", "jpeg_quality": 100},
    "segmentation": {
        "encoding": "compressed_segmentation",
        "compressed_segmentation_block_size": [8, 4, 2],
    },
    "identity": {
        "encoding": "raw",
        "sharding": {**SHARDING, "hash": "identity", "data_encoding": "gzip"},
    },
    "murmur": {
        "encoding": "compressed_segmentation",
        "compressed_segmentation_block_size": [8, 8, 8],
        "sharding": {
            **SHARDING,
            "hash": "murmurhash3_x86_128",
            "minishard_index_encoding": "gzip",
        },
    },
}


def write(folder: Path) -> None:
    for kind in ("image", "labels"):
        values = np.load(folder / f"{kind}.npy")  # (z, y, x)
        for name, compression in N5.items():
            metadata = {
                "dimensions": values.shape[::-1],
                "blockSize": [6, 5, 3],
                "dataType": values.dtype.name,
                "compression": compression,
            }
            array = _create("n5", folder / f"{kind}_{name}.n5" / "volumes" / "raw", metadata)
            array[...] = values.T
        for name, given in PRECOMPUTED.items():
            if (kind == "labels") != ("segmentation" in given["encoding"]):
                continue
            metadata = {
                "size": values.shape[::-1],
                "chunk_size": [6, 5, 3],
                "voxel_offset": [5, 0, 100],
                "resolution": [8, 4, 30],
                **given,
            }
            _precomputed(folder / f"{kind}_{name}", metadata, values.T[..., None])
    channels = np.load(folder / "channels.npy")  # (c, z, y, x)
    metadata = {"size": channels.shape[:0:-1], "chunk_size": [4, 4, 2], "encoding": "raw"}
    metadata["resolution"] = [8, 8, 30]
    _precomputed(folder / "channels", metadata, channels.T)


def _precomputed(path: Path, scale: dict, values: np.ndarray) -> None:
    metadata = {
        "type": "image" if scale["encoding"] != "compressed_segmentation" else "segmentation",
        "data_type": values.dtype.name,
        "num_channels": values.shape[3],
    }
    array = ts.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{path}/"},
            "multiscale_metadata": metadata,
            "scale_metadata": scale,
        },
        create=True,
    ).result()
    with ts.Transaction() as transaction:  # whole shards are written at once
        array.with_transaction(transaction)[...] = values


def _create(driver: str, path: Path, metadata: dict) -> ts.TensorStore:
    place = {"driver": "file", "path": f"{path}/"}
    spec = {"driver": driver, "kvstore": place, "metadata": metadata}
    return ts.open(spec, create=True).result()


def read(folder: Path) -> None:
    """Every scale of a precomputed volume to an array beside it."""
    found = {}
    for i, scale in enumerate(json.loads((folder / "info").read_text())["scales"]):
        spec = {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{folder}/"},
            "scale_index": i,
        }
        array = ts.open(spec).result()
        found[scale["key"]] = array.read().result()[..., 0].T
        found[f"{scale['key']}/origin"] = np.array(array.domain.origin[2::-1])
    np.savez(folder.with_suffix(".npz"), **found)


def unshard(folder: Path) -> None:
    """Every object in the shards below a folder, by their place and number."""
    found = {}
    for place in {path.parent for path in folder.rglob("*.shard")}:
        metadata = json.loads((place / "sharding.json").read_text())
        base = {"driver": "file", "path": f"{place}/"}
        spec = {"driver": "neuroglancer_uint64_sharded", "metadata": metadata, "base": base}
        store = ts.KvStore.open(spec).result()
        for key in store.list().result():
            number = int.from_bytes(key, "big")
            value = store.read(key).result().value
            found[f"{place.name}/{number}"] = np.frombuffer(value, np.uint8)
    np.savez(folder.with_suffix(".npz"), **found)


if __name__ == "__main__":
    {"write": write, "read": read, "unshard": unshard}[sys.argv[1]](Path(sys.argv[2]))
