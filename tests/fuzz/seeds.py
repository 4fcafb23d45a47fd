"""Files as users have them, small: what the fuzzer damages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile
import zarr
from PIL import Image
from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, ZstdCodec

from connectomics.data.io import save_volume
from connectomics.decoding import synapse_table
from connectomics.decoding.export import write_cremi, write_table

RESOLUTION = (30.0, 8.0, 8.0)
SHAPE = (6, 24, 32)


def polarity_labels() -> np.ndarray:
    """Three synapses with sides, of SHAPE."""
    labels = np.zeros(SHAPE, np.uint16)
    for n, (z, y, x) in enumerate(((0, 2, 2), (1, 12, 4), (2, 4, 18)), start=1):
        labels[z : z + 3, y : y + 4, x : x + 8] = 2 * n - 1
        labels[z : z + 3, y + 4 : y + 8, x : x + 8] = 2 * n
    return labels


LABELS = polarity_labels()
# Noise keeps compressed pieces from being so short that nothing in them can be hit.
GREY = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)


@dataclass(frozen=True)
class Seed:
    """A whole file or folder.

    Attributes:
        kind: Which uses it is put to (`uses.USES`).
        make: Writes it into an empty folder and gives what a user would name.
        checksummed: Finds the files, and in each the range of bytes (start, stop), over which
            the format keeps checksums: damage there is to be noticed.
        damages: Which ways of damaging suit it besides bytes: "json", "attributes", "dataset".
    """

    kind: str
    make: Callable[[Path], str]
    checksummed: Callable[[str], list[tuple[Path, int, int]]] | None = None
    damages: tuple[str, ...] = ()


def files_of(source: str) -> list[Path]:
    """All files of a seed, whose place is `source`."""
    path = Path(source.partition("::")[0])
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def _saved(name: str, array: np.ndarray) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        about = {"encoding": "polarity", "channels": ["pre", "post"], "config_hash": "abc"}
        save_volume(folder / name, array, resolution=RESOLUTION, attributes=about)
        return str(folder / name)

    return make


def _hdf5_of_cremi(folder: Path) -> str:
    with h5py.File(folder / "cremi.h5", "w") as file:
        raw = file.create_dataset("volumes/raw", data=GREY)
        clefts = file.create_dataset("volumes/labels/clefts", data=LABELS.astype(np.uint64))
        for dataset in (raw, clefts):
            dataset.attrs["resolution"] = RESOLUTION
            dataset.attrs["offset"] = (30.0, 8.0, 0.0)
    return str(folder / "cremi.h5::volumes/labels/clefts")


def _hdf5_checksummed(folder: Path) -> str:
    with h5py.File(folder / "sums.h5", "w", libver="latest") as file:
        file.create_dataset("main", data=LABELS, chunks=(2, 12, 16), fletcher32=True)
        file["main"].attrs["resolution"] = RESOLUTION
    return str(folder / "sums.h5")


def _chunks_of_hdf5(source: str) -> list[tuple[Path, int, int]]:
    """The chunks without their sums: that of zeros is 0, so one blanked with its sum is sound."""
    path = Path(source)
    with h5py.File(path) as file:
        dataset = file["main"].id
        chunks = [dataset.get_chunk_info(n) for n in range(dataset.get_num_chunks())]
    return [(path, chunk.byte_offset, chunk.byte_offset + chunk.size - 4) for chunk in chunks]


def _tiff(name: str, array: np.ndarray, **options: Any) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        tifffile.imwrite(folder / name, array, **options)
        return str(folder / name)

    return make


def _sections(suffix: str, array: np.ndarray) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        sections = folder / "sections"
        sections.mkdir()
        for z, section in enumerate(array):
            path = sections / f"z{z}{suffix}"
            if suffix == ".tif":
                tifffile.imwrite(path, section, compression="zlib")
            else:
                Image.fromarray(section).save(path)
        return str(sections)

    return make


def _image_data_of_png(source: str) -> list[tuple[Path, int, int]]:
    found = []
    for path in files_of(source):
        data = path.read_bytes()
        start = data.index(b"IDAT") + 4
        found.append((path, start, start + int.from_bytes(data[start - 8 : start - 4], "big")))
    return found


def _zarr(
    version: int, *, ome: bool = False, store: str = "em.zarr", **options: Any
) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        group = zarr.create_group(folder / store, zarr_format=version)  # type: ignore[arg-type]
        array = group.create_array("0", shape=SHAPE, dtype="uint16", chunks=(2, 12, 16), **options)
        array[:] = LABELS
        if not ome:
            array.attrs["resolution"] = RESOLUTION
            return str(folder / store)
        axes = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
        scale = {"type": "scale", "scale": list(RESOLUTION)}
        shift = {"type": "translation", "translation": [30, 8, 0]}
        levels = [{"path": "0", "coordinateTransformations": [scale, shift]}]
        image = {"version": "0.4", "axes": axes, "datasets": levels, "name": "em"}
        group.attrs["multiscales"] = [image]
        return str(folder / store)

    return make


def _chunks_of_zarr(source: str) -> list[tuple[Path, int, int]]:
    chunks = [path for path in files_of(source) if "/c/" in str(path)]
    return [(path, 0, path.stat().st_size) for path in chunks]


def _table(name: str) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        table = synapse_table(LABELS, resolution=RESOLUTION)
        write_table(table.assign(confidence=[0.9, 0.5, 0.7]), folder / name)
        return str(folder / name)

    return make


def _annotations(folder: Path) -> str:
    table = synapse_table(LABELS, resolution=RESOLUTION)
    write_cremi(table, folder / "sites.hdf")
    return str(folder / "sites.hdf")


def _checkpoint(folder: Path) -> str:
    """Of a network as small as can be, with everything that a training leaves in it."""
    from main import main

    save_volume(folder / "image.h5", GREY, resolution=RESOLUTION)
    save_volume(folder / "label.h5", LABELS)
    (folder / "my.yaml").write_text(json.dumps(TINY_TRAINING))
    files = [f"data.train.image={folder}/image.h5", f"data.train.label={folder}/label.h5"]
    code = main(["--config", str(folder / "my.yaml"), f"save_path={folder}/runs", *files])
    assert code == 0
    (last,) = folder.glob("runs/*/checkpoints/last.ckpt")
    shutil.copy(last, folder / "tiny.ckpt")
    return str(folder / "tiny.ckpt")


TINY_TRAINING: dict[str, Any] = {
    "experiment_name": "tiny",
    "system": {"num_gpus": 0, "num_threads": 1},
    "model": {"out_channels": 3, "rsunet": {"filters": [2, 4], "down_factors": [[1, 2, 2]]}},
    "data": {
        "train": {"image": "image.h5", "label": "label.h5"},
        "label_transform": {"targets": [{"name": "polarity"}]},
        "dataloader": {
            "patch_size": [4, 16, 16],
            "batch_size": 1,
            "num_workers": 0,
            "reject_sampling": {"size_thres": 1, "p": 0.9},
        },
        "num_val_patches": 1,
    },
    "optimization": {"max_steps": 1, "n_steps_per_epoch": 1},
    "decoding": {"steps": [{"name": "polarity2instance", "kwargs": {"thres_small": 1}}]},
    "evaluation": {"truth_encoding": "polarity"},
}


def _results(folder: Path) -> str:
    """What a test has left of one volume; whoever goes on from it names config and volumes."""
    from main import main

    for name, array in {"em": GREY, "truth": LABELS}.items():
        save_volume(folder / f"{name}.h5", array, resolution=RESOLUTION)
    (folder / "my.yaml").write_text(json.dumps(TINY_TRAINING))
    results = folder / "runs" / "one" / "results" / "em"
    sides = np.stack([LABELS % 2 == 1, (LABELS > 0) & (LABELS % 2 == 0), LABELS > 0])
    about = {"channels": ["pre", "post", "union"], "config_hash": "abc"}
    probabilities = np.where(sides, np.uint8(240), np.uint8(20))
    save_volume(
        results / "probabilities.h5", probabilities, resolution=RESOLUTION, attributes=about
    )
    for mode in ("decode", "evaluate"):
        assert main(arguments_on_results(mode, str(results))) == 0
    return str(results)


def arguments_on_results(mode: str, source: str) -> list[str]:
    """The command line that goes on from the results that lie in `source`."""
    folder = Path(source).parents[3]
    volumes = [f"data.test.image={folder}/em.h5", f"data.test.label={folder}/truth.h5"]
    paths = [f"save_path={folder}/runs", *volumes]
    return ["--config", str(folder / "my.yaml"), "--mode", mode, *paths]


HDF5 = ("attributes", "dataset")
SEEDS: dict[str, Seed] = {
    "hdf5": Seed("volume", _saved("labels.h5", LABELS), None, HDF5),
    "hdf5 of CREMI": Seed("volume", _hdf5_of_cremi, None, HDF5),
    "hdf5 with checksums": Seed("volume", _hdf5_checksummed, _chunks_of_hdf5, HDF5),
    "tiff of ImageJ": Seed("volume", _saved("labels.tif", LABELS)),
    "tiff, compressed": Seed("volume", _saved("labels.tif", LABELS.astype(np.uint32))),
    "tiff of OME": Seed(
        "volume",
        _tiff("em.ome.tif", LABELS, ome=True, compression="zlib", metadata={"axes": "ZYX"}),
    ),
    "tiff, big": Seed("volume", _tiff("em.tif", LABELS, bigtiff=True, byteorder=">")),
    "tiff, tiled": Seed("volume", _tiff("em.tif", LABELS, tile=(16, 16), compression="lzw")),
    "png": Seed("volume", _sections(".png", LABELS), _image_data_of_png),
    "png, grey": Seed("volume", _sections(".png", GREY), _image_data_of_png),
    "jpg": Seed("volume", _sections(".jpg", GREY)),
    "tiff sections": Seed("volume", _sections(".tif", LABELS)),
    "zarr 2": Seed("volume", _zarr(2), None, ("json",)),
    "zarr 2 of OME": Seed("volume", _zarr(2, ome=True), None, ("json",)),
    "zarr 3": Seed("volume", _saved("labels.zarr", LABELS), None, ("json",)),
    "zarr 3, gzip": Seed("volume", _zarr(3, compressors=GzipCodec()), _chunks_of_zarr, ("json",)),
    "zarr 3, blosc": Seed("volume", _zarr(3, compressors=BloscCodec()), None, ("json",)),
    "zarr 3 with checksums": Seed(
        "volume", _zarr(3, compressors=[ZstdCodec(), Crc32cCodec()]), _chunks_of_zarr, ("json",)
    ),
    "zarr 3, sharded": Seed(
        "volume",
        _zarr(3, shards=(4, 24, 32), compressors=[ZstdCodec(), Crc32cCodec()]),
        _chunks_of_zarr,
        ("json",),
    ),
    "csv": Seed("table", _table("synapses.csv")),
    "parquet": Seed("table", _table("synapses.parquet")),
    "annotations": Seed("annotations", _annotations, None, HDF5),
    "checkpoint": Seed("checkpoint", _checkpoint),
    "results": Seed("results", _results),
}
