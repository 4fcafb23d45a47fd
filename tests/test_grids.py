"""Volumes that are to lie on one grid and say that they do not: refused in every mode and store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from main import main
from PIL import Image

from connectomics.data.io import save_volume

SHAPE = (8, 32, 32)
NM, OFFSET = (30.0, 8.0, 8.0), (300.0, 80.0, 0.0)
CONFIG: dict[str, Any] = {
    "experiment_name": "e",
    "save_path": "runs",
    "system": {"num_gpus": 0, "num_threads": 1},
    "model": {"out_channels": 3, "rsunet": {"filters": [2, 2], "down_factors": [[1, 2, 2]]}},
    "data": {
        "train": {"image": "raw.h5", "label": "syn.h5"},
        "val": {"image": "other.h5", "label": "syn.h5"},
        "test": {"image": "third.h5", "label": "syn.h5"},
        "label_transform": {"targets": ["polarity"]},
        "dataloader": {"patch_size": [4, 16, 16], "batch_size": 1, "num_workers": 0},
        "num_val_patches": 1,
    },
    "optimization": {"max_steps": 1, "n_steps_per_epoch": 1},
    "decoding": {"steps": ["polarity2instance"]},
    "tune": {"trials": 1},
}
SPLITS = {"train": "train", "infer": "test", "evaluate": "test", "test": "test", "tune": "val"}


def truth() -> np.ndarray:
    label = np.zeros(SHAPE, np.uint16)
    label[2:6, 8:14, 8:20], label[2:6, 14:20, 8:20] = 1, 2
    return label


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grids")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        image = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)
        volumes = {"raw": image, "other": image[::-1], "third": image[:, ::-1], "syn": truth()}
        for name, array in volumes.items():
            save_volume(f"{name}.h5", array, resolution=NM, offset_nm=OFFSET)
        Path("my.yaml").write_text(yaml.safe_dump(CONFIG))
        assert main(["--config", "my.yaml"]) == 0
        (found,) = folder.glob("runs/*/checkpoints/last.ckpt")
        assert main(["--config", "my.yaml", "--mode", "test", "--checkpoint", str(found)]) == 0
    return found


@pytest.fixture
def run(checkpoint: Path, capsys, monkeypatch) -> Callable[..., str]:
    """Run a mode of a config, or of none; gives what it says on the error stream."""
    folder = checkpoint.parents[3]
    monkeypatch.chdir(folder)

    def run(mode: str, *overrides: str) -> str:
        capsys.readouterr()
        named = [] if mode == "train" else ["--checkpoint", str(checkpoint)]
        before = sorted(folder.rglob("*"))
        assert main(["--config", "my.yaml", "--mode", mode, *named, *overrides]) == 2
        assert sorted(folder.rglob("*")) == before
        return capsys.readouterr().err

    return run


def plain_zarr(name: str, array: np.ndarray, version: Any, **stated: Any) -> str:
    zarr.create_array(
        name, shape=array.shape, dtype=array.dtype, zarr_format=version, attributes=stated
    )[:] = array
    return name


def hdf5(name: str, array: np.ndarray, nm: Any, offset: Any) -> str:
    save_volume(f"{name}.h5", array, resolution=nm, offset_nm=offset)
    return f"{name}.h5"


def zarr2(name: str, array: np.ndarray, nm: Any, offset: Any) -> str:
    return plain_zarr(f"{name}.zarr", array, 2, resolution=nm, offset=offset)


def zarr3(name: str, array: np.ndarray, nm: Any, offset: Any) -> str:
    return plain_zarr(f"{name}.zarr", array, 3, voxel_size=nm, offset=offset, units=["nm"] * 3)


def ome_zarr(name: str, array: np.ndarray, nm: Any, offset: Any) -> str:
    save_volume(f"{name}.zarr", array, resolution=nm, offset_nm=offset)
    return f"{name}.zarr"


def tiff(name: str, array: np.ndarray, nm: Any, offset: Any) -> str:
    save_volume(f"{name}.tif", array, resolution=nm, offset_nm=offset)
    return f"{name}.tif"


STORES = (hdf5, zarr2, zarr3, ome_zarr, tiff)
PLACES = {
    "elsewhere": (NM, (300.0, 80.0, 16.0)),
    "coarser": ((30.0, 8.0, 8.8), OFFSET),
}
SAID = {
    "elsewhere": "says that it begins at 300 x 80 x 16 nm (z, y, x), its {} at 300 x 80 x 0.",
    "coarser": "says 30 x 8 x 8.8 nm per voxel (z, y, x), its {} 30 x 8 x 8.",
}


def said_of(place: str, file: str, other: str) -> str:
    return f"{file}: {SAID[place].format(other)}"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("store", STORES)
def test_every_store_says_where_it_lies(run, tmp_path, store, place: str) -> None:
    file = store(str(tmp_path / "moved"), truth(), *PLACES[place])
    same = store(str(tmp_path / "same"), truth(), NM, OFFSET)
    said = run("evaluate", f"data.test.label={same}", f"data.test.mask={file}")
    assert f"DataError: {said_of(place, file, 'image third.h5')}" in said
    assert (said.count("DataError"), "warning" in said) == (1, False)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mode", SPLITS)
def test_every_mode_compares_every_volume(run, tmp_path, mode: str, place: str) -> None:
    split = f"data.{SPLITS[mode]}"
    image = {"train": "raw.h5", "val": "other.h5", "test": "third.h5"}[SPLITS[mode]]
    array, keys = np.ones(SHAPE, np.uint8), ("label", "mask", "neurons")
    files = [hdf5(str(tmp_path / key), array, *PLACES[place]) for key in keys]
    said = run(mode, *(f"{split}.{key}={file}" for key, file in zip(keys, files, strict=True)))
    for file in files:
        assert said_of(place, file, f"image {image}") in said


@pytest.mark.parametrize("place", PLACES)
def test_an_image_that_lies_elsewhere(run, tmp_path, place: str) -> None:
    for mode, split in SPLITS.items():
        file = hdf5(str(tmp_path / mode), np.zeros(SHAPE, np.uint8), *PLACES[place])
        said = run(mode, f"data.{split}.image={file}")
        assert "syn.h5: says" in said
        assert f"its image {file}" in said


@pytest.mark.parametrize("place", PLACES)
def test_decoding_with_neurons(run, tmp_path, place: str) -> None:
    file = hdf5(str(tmp_path / "neurons"), truth(), *PLACES[place])
    assert said_of(place, file, "image third.h5") in run("decode", f"data.test.neurons={file}")


def sections(folder: Path, array: np.ndarray, first: int) -> Path:
    folder.mkdir()
    for number, section in enumerate(array, start=first):
        Image.fromarray(section).save(folder / f"s{number:04}.png")
    return folder


@pytest.mark.parametrize("mode", ["train", "evaluate", "test", "tune"])
def test_sections_of_other_numbers(run, tmp_path, mode: str) -> None:
    image = sections(tmp_path / "em", np.zeros(SHAPE, np.uint8), 7)
    label = sections(tmp_path / "syn", truth(), 8)
    split = f"data.{SPLITS[mode]}"
    said = run(mode, f"{split}={{image: {image}, label: {label}}}")
    assert (
        f"{label}: its sections are not those of its image, by their numbers: {label} has" in said
    )
    assert f"has no 7; its image {image} has no 15." in said


ALONE = {
    "evaluate": ("truth", ("prediction", "mask", "neurons", "image")),
    "decode": ("labels", ("neurons",)),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mode", ALONE)
def test_modes_without_a_config(tmp_path, monkeypatch, capsys, mode: str, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    first, others = ALONE[mode]
    files = {first: hdf5(first, truth(), NM, OFFSET)}
    files |= (
        {"output": "out"} if mode == "decode" else {"prediction": hdf5("p", truth(), NM, OFFSET)}
    )
    for key in others:
        file = hdf5(f"{key}_moved", truth(), *PLACES[place])
        named = {**files, key: file}
        metric = ["metrics=[cremi_partners]"] * (mode == "evaluate" and key == "neurons")
        assert main(["--mode", mode, *(f"{k}={v}" for k, v in named.items()), *metric]) == 2
        assert said_of(place, file, f"{first} {first}.h5") in capsys.readouterr().err
    assert not Path("out").exists()
