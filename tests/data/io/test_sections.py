from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow

from connectomics.data.io import open_volume, read_volume, sections
from connectomics.errors import DataError, DataWarning
from connectomics.geometry import Box

Image = NDArray[np.uint8]


def message(source: str | Path) -> str:
    with pytest.raises(DataError) as caught:
        open_volume(source)
    return str(caught.value)


def write_sections(folder: Path, volume: NDArray[np.generic], pattern: str = "z{}.png") -> Path:
    folder.mkdir()
    for z, section in enumerate(volume, start=5):  # 5 … 11: natural order matters
        path = folder / pattern.format(z)
        if path.suffix == ".tif":
            tifffile.imwrite(path, section)
        else:
            Pillow.fromarray(section).save(path)
    return folder


@pytest.mark.parametrize("suffix", ["png", "tif", "PNG"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.bool_])
def test_sections_come_in_natural_order(
    tmp_path: Path, image: Image, suffix: str, dtype: type[np.generic]
) -> None:
    folder = write_sections(tmp_path / "raw", image.astype(dtype), "z{}." + suffix)
    volume = open_volume(folder)
    assert volume.name == "raw"
    assert volume.shape == (7, 11, 13)
    assert volume.dtype == dtype
    assert volume.resolution is None
    assert volume.chunks == (1, 11, 13)
    assert np.array_equal(volume.read(), image.astype(dtype))


def test_crops_read_the_sections_they_need(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_sections(tmp_path / "raw", image)
    read = sections._read_image
    files: list[str] = []
    monkeypatch.setattr(sections, "_read_image", lambda f: (files.append(f.name), read(f))[1])
    volume = open_volume(folder)
    assert files == []
    box = Box((2, 3, 4), (5, 9, 13))
    assert np.array_equal(volume.read(box), image[box.slices])
    assert files == ["z7.png", "z8.png", "z9.png"]
    volume.read(Box((3, 0, 0), (6, 2, 2)))
    assert files == ["z7.png", "z8.png", "z9.png", "z10.png"]  # two were still at hand


def test_only_as_many_sections_are_kept_as_fit(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sections, "CACHE_BYTES", 2 * image[0].nbytes)
    stack = sections.SectionStack(np.arange(7), lambda n: image[n], (11, 13), np.dtype(np.uint8))
    everything = (slice(0, 7), slice(0, 11), slice(0, 13))
    assert np.array_equal(stack[everything], image)
    assert list(stack._recent) == [5, 6]


def test_a_pattern_chooses(tmp_path: Path, image: Image) -> None:
    folder = write_sections(tmp_path / "raw", image)
    (folder / "notes.txt").write_text("cut in March")
    (folder / "._z5.png").write_text("left by another system")
    assert np.array_equal(read_volume(f"{folder}/z1*.png"), image[5:])
    assert np.array_equal(read_volume(folder), image)


def test_a_palette_is_refused(tmp_path: Path, image: Image) -> None:
    (tmp_path / "labels").mkdir()
    coloured = Pillow.fromarray(image[0])
    coloured.putpalette([255, 0, 0] * 256)
    coloured.save(tmp_path / "labels" / "0.png")
    assert "0.png: has a palette" in message(tmp_path / "labels")


def test_sections_of_different_sizes(tmp_path: Path, image: Image) -> None:
    folder = write_sections(tmp_path / "raw", image)
    Pillow.fromarray(image[0, :9]).save(folder / "z8.png")
    text = message(folder)
    assert "z5.png is 11 x 13 uint8, z8.png is 9 x 13 uint8" in text
    assert "Crop or pad" in text


def test_sections_of_different_types(tmp_path: Path, image: Image) -> None:
    folder = write_sections(tmp_path / "raw", image)
    Pillow.fromarray(image[0].astype(np.uint16)).save(folder / "z8.png")
    assert "z8.png is 11 x 13 uint16" in message(folder)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_colour_is_refused(tmp_path: Path, image: Image, suffix: str) -> None:
    colour = np.stack([image] * 3, axis=-1)
    folder = tmp_path / "raw"
    folder.mkdir()
    if suffix == "png":
        Pillow.fromarray(colour[0]).save(folder / "0.png")
    else:
        tifffile.imwrite(folder / "0.tif", colour[0], photometric="rgb")
    text = message(folder)
    assert "is no single grey image" in text
    assert "convert EM to grey" in text


def test_a_section_of_several_pages_is_refused(tmp_path: Path, image: Image) -> None:
    (tmp_path / "raw").mkdir()
    tifffile.imwrite(tmp_path / "raw" / "0.tif", image, photometric="minisblack")
    assert "is no single grey image" in message(tmp_path / "raw")


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_section_that_is_no_image(tmp_path: Path, image: Image, suffix: str) -> None:
    folder = write_sections(tmp_path / "raw", image, "z{}." + suffix)
    (folder / f"z7.{suffix}").write_text("nothing of the kind")
    text = message(folder)
    assert f"z7.{suffix}: cannot be read as an image" in text


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_section_that_is_cut_short(tmp_path: Path, image: Image, suffix: str) -> None:
    folder = write_sections(tmp_path / "raw", image, "z{}." + suffix)
    path = folder / f"z7.{suffix}"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match=rf"z7\.{suffix}: cannot be read as an image"):
        read_volume(folder)


def test_folders_without_sections(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").touch()
    assert "no sections found (no files)" in message(tmp_path / "empty")
    assert "no sections found (a.txt)" in message(tmp_path / "notes")
    assert "no sections found" in message(tmp_path / "notes" / "*.png")
    assert "no sections found" in message(tmp_path / "absent" / "*.png")


def test_several_kinds_need_a_choice(tmp_path: Path, image: Image) -> None:
    folder = write_sections(tmp_path / "raw", image)
    tifffile.imwrite(folder / "z5.tif", image[0])
    text = message(folder)
    assert "sections of several kinds: .png, .tif" in text
    assert f"{folder}/*.png" in text


def test_sections_have_no_named_arrays(tmp_path: Path, image: Image) -> None:
    folder = write_sections(tmp_path / "raw", image)
    assert "only HDF5 and stores have named arrays" in message(f"{folder}::z5")


def test_very_large_sections_are_not_taken_for_an_attack(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 10)
    folder = write_sections(tmp_path / "raw", image)
    assert np.array_equal(read_volume(folder), image)
    assert Pillow.MAX_IMAGE_PIXELS == 10


def test_sections_come_in_the_order_of_signs_and_fractions(tmp_path: Path, image: Image) -> None:
    (tmp_path / "raw").mkdir()
    order = ("z-1.5", "z-0.5", "z0.5", "z1.5", "z2.5", "z3.5", "z10.5")
    for name, section in zip(order, image, strict=True):
        Pillow.fromarray(section).save(tmp_path / "raw" / f"{name}.png")
    with pytest.warns(DataWarning, match=r"has no section 4\.5, 5\.5, 6\.5, 7\.5, 8\.5 and 1 more"):
        volume = open_volume(tmp_path / "raw")
    assert np.array_equal(volume.read(), image)
    assert [float(n) for n in volume.sections] == [-1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 10.5]
    assert volume.crop(Box((1, 0, 0), (3, 1, 1))).sections == volume.sections[1:3]


def test_two_series_in_one_folder_are_refused(tmp_path: Path, image: Image) -> None:
    folder = write_sections(tmp_path / "raw", image)
    Pillow.fromarray(image[0]).save(folder / "label_1.png")
    text = message(folder)
    assert "several series, such as label_1.png and z10.png" in text
    assert f"{folder}/z*.png" in text
    assert open_volume(f"{folder}/z*.png").shape == (7, 11, 13)


def test_a_number_twice_is_refused(tmp_path: Path, image: Image) -> None:
    folder = write_sections(tmp_path / "raw", image)
    Pillow.fromarray(image[0]).save(folder / "z05.png")
    assert "both z05.png and z5.png are section 5" in message(folder)


def test_names_without_numbers_are_said_to_be_in_their_order(tmp_path: Path, image: Image) -> None:
    (tmp_path / "raw").mkdir()
    for name, section in zip("abc", image[:3], strict=True):
        Pillow.fromarray(section).save(tmp_path / "raw" / f"{name}.png")
    with pytest.warns(DataWarning, match=r"have no numbers; their order is a\.png, b\.png, …"):
        assert np.array_equal(read_volume(tmp_path / "raw"), image[:3])


@pytest.mark.filterwarnings("error")
def test_what_systems_leave_behind_is_no_section(tmp_path: Path, image: Image) -> None:
    folder = write_sections(tmp_path / "raw", image)
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._z6.png", ".z7.png.swp"):
        (folder / name).write_bytes(b"left")
    (folder / "__MACOSX").mkdir()
    assert np.array_equal(read_volume(folder), image)
