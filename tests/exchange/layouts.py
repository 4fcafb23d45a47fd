"""Small stand-ins for the archives of public datasets, in the layouts they are found in."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from connectomics.data.io import save_volume
from connectomics.phantom import make_phantom

MARK, INVALID = 2**64 - 1, 2**64 - 2


def zipped(path: Path, folder: Path, top: str = "") -> Path:
    """Zip all files of a folder."""
    with zipfile.ZipFile(path, "w") as file:
        for member in sorted(folder.rglob("*")):
            if member.is_file():
                file.write(member, f"{top}{member.relative_to(folder)}")
    return path


def polarity_volume(shape=(100, 96, 96), seed=5):
    """An image and the labels 2n-1 and 2n of its synapses."""
    phantom = make_phantom(shape, seed=seed, synapse_density_um3=6.0)
    return phantom.image, phantom.label


def semantic(label):
    return np.where(label > 0, 2 - label % 2, 0).astype(np.uint8)


def em_r50(folder: Path, volumes: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    """A folder with an image and labels each under names such as `vol3/{}_Yx2`."""
    for name, (image, label) in volumes.items():
        for word, array in (("im" if "Yx2" in name else "img", image), ("syn", label)):
            file = folder / f"{name.format(word)}.h5"
            file.parent.mkdir(parents=True, exist_ok=True)
            save_volume(file, array)
    return folder


def png(array: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind)
    return stream.getvalue()


def vnc(folder: Path, raw: np.ndarray, synapses: np.ndarray) -> Path:
    """The sections of stack 1, as they are packed; synapses are 0 and 255."""
    for z, (image, label) in enumerate(zip(raw, synapses, strict=True)):
        for name, content in (
            (f"raw/{z:02}.tif", png(image, "TIFF")),
            (f"synapses/{z:02}.png", png((label > 0).astype(np.uint8) * 255)),
            (f"membranes/{z:02}.png", png(np.zeros_like(image))),
        ):
            file = folder / "stack1" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    (folder / "README.md").write_text("ground truth")
    other = folder / "stack2" / "raw" / "00.tif"
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_bytes(png(raw[0], "TIFF"))
    return folder


def cremi(
    file: Path,
    raw: np.ndarray,
    clefts: np.ndarray,
    *,
    padding: tuple[int, int, int] = (0, 0, 0),
    neurons: bool = True,
    partners: int = 2,
) -> Path:
    """A sample: clefts 0 are background, which is marked; the first voxels do not count."""
    marked = np.where(clefts > 0, clefts.astype(np.uint64), np.uint64(MARK))
    marked[0, 0, :4] = INVALID
    offset = np.multiply(padding, (40, 4, 4))
    padded = np.pad(raw, [(n, n) for n in padding], constant_values=7)
    with h5py.File(file, "w") as made:
        image = made.create_dataset("volumes/raw", data=padded)
        image.attrs["resolution"] = (40.0, 4.0, 4.0)
        for name in ("clefts", "neuron_ids") if neurons else ("clefts",):
            part = made.create_dataset(f"volumes/labels/{name}", data=marked, compression="gzip")
            part.attrs["resolution"] = (40.0, 4.0, 4.0)
            part.attrs["offset"] = offset.astype(float)
        if partners:
            group = made.create_group("annotations")
            group.attrs["offset"] = offset.astype(float)
            group["ids"] = np.arange(2 * partners, dtype=np.uint64)
            group["locations"] = np.full((2 * partners, 3), 40.0)
            pairs = np.arange(2 * partners, dtype=np.uint64).reshape(-1, 2)
            group["presynaptic_site/partners"] = pairs
    return file


def boxes(shape, number=4):
    """Labels of some boxes, 1 to number."""
    label = np.zeros(shape, np.uint8)
    for n in range(1, number + 1):
        z, y, x = (int((size - 4) * n / (number + 1)) for size in shape)
        label[z : z + 3, y : y + 4, x : x + 4] = n
    return label
