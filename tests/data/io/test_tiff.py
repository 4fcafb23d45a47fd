from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from connectomics.data.io import open_volume, read_volume, save_volume
from connectomics.errors import DataError, DataWarning
from connectomics.geometry import Box

Image = NDArray[np.uint8]


def message(source: str | Path) -> str:
    with pytest.raises(DataError) as caught:
        open_volume(source)
    return str(caught.value)


OME = {
    "axes": "ZYX",
    "PhysicalSizeX": 4.6,
    "PhysicalSizeXUnit": "nm",
    "PhysicalSizeY": 4.6,
    "PhysicalSizeYUnit": "nm",
    "PhysicalSizeZ": 0.05,
}

FLAVOURS: dict[str, dict[str, Any]] = {
    "plain": {"metadata": None, "photometric": "minisblack"},
    "plain_compressed": {"metadata": None, "photometric": "minisblack", "compression": "zlib"},
    "tiled": {"photometric": "minisblack", "tile": (16, 16), "compression": "zlib"},
    "strips": {"photometric": "minisblack", "rowsperstrip": 3, "compression": "lzw"},
    "big_endian": {"metadata": None, "photometric": "minisblack", "byteorder": ">"},
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "imagej_frames": {"imagej": True, "metadata": {"axes": "TYX"}},
    "imagej_channels": {"imagej": True, "metadata": {"axes": "CYX"}},
    "ome": {"ome": True, "photometric": "minisblack", "metadata": OME},
    "ome_compressed": {
        "ome": True,
        "photometric": "minisblack",
        "metadata": OME,
        "compression": "zlib",
    },
    "one_page": {"metadata": {"axes": "ZYX"}, "volumetric": True, "tile": (16, 16, 16)},
}


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_every_flavour_reads_and_crops(
    tmp_path: Path, image: Image, flavour: str, dtype: str
) -> None:
    array = image.astype(dtype)
    tifffile.imwrite(tmp_path / "em.tif", array, **FLAVOURS[flavour])
    volume = open_volume(tmp_path / "em.tif")
    assert volume.shape == (7, 11, 13)
    assert volume.dtype == np.dtype(dtype)
    assert volume.chunks == (1, 11, 13)
    box = Box((1, 2, 3), (4, 11, 5))
    assert np.array_equal(volume.read(box), array[box.slices])
    assert np.array_equal(volume.read(), array)
    assert volume.read().dtype.isnative
    volume.close()
    assert np.array_equal(volume.read(box), array[box.slices])


def test_contiguous_stacks_are_mapped_and_others_decoded_by_page(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "mapped.tif", image, photometric="minisblack")
    tifffile.imwrite(tmp_path / "packed.tif", image, photometric="minisblack", compression="zlib")
    decoded: list[int] = []
    decode = tifffile.TiffPage.asarray

    def spy(page: Any, **kwargs: Any) -> NDArray[Any]:
        decoded.append(page.index)
        return decode(page, **kwargs)

    monkeypatch.setattr(tifffile.TiffPage, "asarray", spy)
    monkeypatch.setattr(tifffile.TiffFrame, "asarray", spy)
    box = Box((2, 0, 0), (4, 5, 6))
    for name in ("mapped", "packed"):
        assert np.array_equal(open_volume(tmp_path / f"{name}.tif").read(box), image[box.slices])
    assert decoded == [2, 3]


@pytest.mark.parametrize("unit", ["nm", "um", "micron", "\\u00B5m"])
def test_imagej_voxel_size(tmp_path: Path, image: Image, unit: str) -> None:
    size = 1 if unit == "nm" else 1000
    tifffile.imwrite(
        tmp_path / "em.tif",
        image,
        imagej=True,
        resolution=(size / 4.6, size / 5.2),  # pixels per unit, (x, y)
        metadata={"axes": "ZYX", "spacing": 50 / size, "unit": unit},
    )
    assert open_volume(tmp_path / "em.tif").resolution == (50, 5.2, 4.6)


@pytest.mark.parametrize(
    "metadata", [{"unit": "pixel", "spacing": 3}, {"unit": "nm"}, {"spacing": 3}]
)
def test_half_a_voxel_size_is_none(tmp_path: Path, image: Image, metadata: dict[str, Any]) -> None:
    tifffile.imwrite(
        tmp_path / "em.tif", image, imagej=True, resolution=(0.2, 0.2), metadata=metadata
    )
    assert open_volume(tmp_path / "em.tif").resolution is None


def test_ome_voxel_size(tmp_path: Path, image: Image) -> None:
    tifffile.imwrite(tmp_path / "em.ome.tif", image, photometric="minisblack", metadata=OME)
    assert open_volume(tmp_path / "em.ome.tif").resolution == (50, 4.6, 4.6)
    without_z = {key: value for key, value in OME.items() if key != "PhysicalSizeZ"}
    tifffile.imwrite(tmp_path / "b.ome.tif", image, photometric="minisblack", metadata=without_z)
    assert open_volume(tmp_path / "b.ome.tif").resolution is None


def test_an_empty_resolution_tag_is_no_voxel_size(tmp_path: Path, image: Image) -> None:
    metadata = {"axes": "ZYX", "spacing": 50, "unit": "nm"}
    tifffile.imwrite(
        tmp_path / "a.tif", image, imagej=True, resolution=((0, 1), (0, 1)), metadata=metadata
    )
    assert open_volume(tmp_path / "a.tif").resolution is None


def test_ome_without_pixels_has_no_voxel_size(tmp_path: Path, image: Image) -> None:
    xml = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"/>'
    tifffile.imwrite(
        tmp_path / "a.tif", image, description=xml, metadata=None, photometric="minisblack"
    )
    assert open_volume(tmp_path / "a.tif").resolution is None


def test_an_ome_plane_that_lies_in_another_file_is_named(
    tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(
        tmp_path / "a.ome.tif", image, photometric="minisblack", metadata=OME, compression="zlib"
    )
    volume = open_volume(tmp_path / "a.ome.tif")
    get = tifffile.TiffPageSeries.__getitem__
    monkeypatch.setattr(
        tifffile.TiffPageSeries, "__getitem__", lambda s, n: None if n == 3 else get(s, n)
    )
    with pytest.raises(DataError, match="section 3 is missing"):
        volume.read()


def test_channels_of_hyperstacks_come_first(
    tmp_path: Path, probabilities: NDArray[np.float32]
) -> None:
    stack = np.moveaxis(probabilities, 0, 1)
    tifffile.imwrite(tmp_path / "p.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    volume = open_volume(tmp_path / "p.tif")
    assert volume.shape == (3, 5, 6, 8)
    box = Box((1, 2, 3), (4, 5, 8))
    assert np.array_equal(volume.read(box), probabilities[(slice(None), *box.slices)])


@pytest.mark.parametrize("dtype", ["uint8", "int64"])  # ImageJ's layout and tifffile's
@pytest.mark.parametrize("shape", [(1, 6, 8), (1, 1, 6, 8), (3, 1, 6, 8), (1, 5, 6, 8)])
def test_a_z_axis_of_length_one_survives_and_one_channel_goes(
    tmp_path: Path, dtype: str, shape: tuple[int, ...]
) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    save_volume(tmp_path / "a.tif", array)
    volume = array[0] if shape[0] == 1 and len(shape) == 4 else array
    assert np.array_equal(read_volume(tmp_path / "a.tif"), volume)


@pytest.mark.parametrize("packed", [{}, {"compression": "zlib"}])
@pytest.mark.parametrize("axes", ["XYZ", "YXZ", "ZXY", "XZY"])
def test_axes_in_another_order(
    tmp_path: Path, image: Image, axes: str, packed: dict[str, str]
) -> None:
    array = image.transpose(["ZYX".index(axis) for axis in axes])
    tifffile.imwrite(
        tmp_path / "a.tif", array, metadata={"axes": axes}, photometric="minisblack", **packed
    )
    volume = open_volume(tmp_path / "a.tif")
    assert volume.shape == (7, 11, 13)
    box = Box((1, 2, 3), (4, 11, 5))
    assert np.array_equal(volume.read(box), image[box.slices])


def test_a_file_without_an_axis_of_space_is_refused(tmp_path: Path, image: Image) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image, metadata={"axes": "ZYC"}, photometric="minisblack")
    assert "its axes are z=7, y=11, c=13; z, y and x are needed" in message(tmp_path / "a.tif")


@pytest.mark.parametrize("axes", ["QYX", "IYX", "TYX", "ZYX"])
def test_any_axis_of_pages_is_one_of_sections(tmp_path: Path, image: Image, axes: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image, metadata={"axes": axes}, photometric="minisblack")
    assert np.array_equal(read_volume(tmp_path / "a.tif"), image)


def test_imagej_units_of_each_axis(tmp_path: Path, image: Image) -> None:
    units = {"unit": "um", "yunit": "nm", "zunit": "angstrom"}
    tifffile.imwrite(
        tmp_path / "em.tif",
        image,
        imagej=True,
        resolution=(1000 / 4, 1 / 5),
        metadata={"axes": "ZYX", "spacing": 400, **units},
    )
    assert open_volume(tmp_path / "em.tif").resolution == (40, 5, 4)


@pytest.mark.parametrize(("unit", "nm"), [("CENTIMETER", 1e7), ("INCH", 2.54e7)])
def test_imagej_without_a_unit_of_its_own_goes_by_the_tag(
    tmp_path: Path, image: Image, unit: str, nm: float
) -> None:
    tifffile.imwrite(
        tmp_path / "em.tif",
        image,
        imagej=True,
        resolution=(nm / 8, nm / 8),
        resolutionunit=unit,
        metadata={"axes": "ZYX", "spacing": 30 / nm},
    )
    assert open_volume(tmp_path / "em.tif").resolution == (30, 8, 8)


def test_72_pixels_per_inch_are_no_voxel_size(tmp_path: Path, image: Image) -> None:
    tifffile.imwrite(
        tmp_path / "em.tif",
        image,
        imagej=True,
        resolution=(72, 72),
        resolutionunit="INCH",
        metadata={"axes": "ZYX", "spacing": 1.0},
    )
    assert open_volume(tmp_path / "em.tif").resolution is None


def test_ome_units_of_each_axis_and_a_size_of_zero(tmp_path: Path, image: Image) -> None:
    sizes = {"PhysicalSizeX": 40, "PhysicalSizeXUnit": "\u00c5", "PhysicalSizeY": 0.005}
    path = tmp_path / "em.ome.tif"
    for z, expected in ((4e-5, (40, 5, 4)), (0.0, "not three positive numbers")):
        metadata = {**sizes, "axes": "ZYX", "PhysicalSizeZ": z, "PhysicalSizeZUnit": "mm"}
        tifffile.imwrite(path, image, metadata=metadata, photometric="minisblack")
        if isinstance(expected, str):
            assert expected in message(path)
        else:
            assert open_volume(path).resolution == expected


def test_a_single_image_is_refused(tmp_path: Path, image: Image) -> None:
    tifffile.imwrite(tmp_path / "flat.tif", image[0])
    assert "one 2-D image of 11 x 13" in message(tmp_path / "flat.tif")


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colour_is_refused(tmp_path: Path, image: Image, planar: str) -> None:
    axis = -1 if planar == "contig" else 1
    tifffile.imwrite(
        tmp_path / "rgb.tif", np.stack([image] * 3, axis), photometric="rgb", planarconfig=planar
    )
    text = message(tmp_path / "rgb.tif")
    assert "is in colour" in text
    assert "Convert it to grey" in text


def test_a_time_series_of_stacks_is_refused(tmp_path: Path, image: Image) -> None:
    movie = np.stack([image, image])
    tifffile.imwrite(tmp_path / "t.tif", movie, imagej=True, metadata={"axes": "TZYX"})
    assert "several axes of sections (T=2, Z=7)" in message(tmp_path / "t.tif")


def test_pages_of_different_sizes_are_refused(tmp_path: Path, image: Image) -> None:
    with tifffile.TiffWriter(tmp_path / "mixed.tif") as tiff:
        tiff.write(image[0], metadata=None)
        tiff.write(image[1, :5], metadata=None)
    assert "pages differ in size or type (11 x 13, 5 x 13)" in message(tmp_path / "mixed.tif")


def test_a_file_of_another_format(tmp_path: Path) -> None:
    (tmp_path / "page.tif").write_text("<html>Not found</html>")
    assert "cannot be read as TIFF" in message(tmp_path / "page.tif")


@pytest.mark.parametrize("flavour", ["imagej", "plain", "plain_compressed", "tiled", "ours"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.9])
def test_a_file_that_is_cut_short_never_reads_as_a_volume(
    tmp_path: Path, flavour: str, kept: float
) -> None:
    path = tmp_path / "em.tif"
    noise = np.random.default_rng(0).integers(0, 255, (12, 30, 40), np.uint8)
    if flavour == "ours":
        save_volume(path, noise)
    else:
        tifffile.imwrite(path, noise, **FLAVOURS[flavour])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(DataError, match=r"is cut short|cannot be read"):
        read_volume(path)


def test_free_text_in_imagejs_info_is_no_harm(tmp_path: Path, image: Image) -> None:
    for index, info in enumerate(["cut in March", "[1, 2]", "{}"]):
        path = tmp_path / f"{index}.tif"
        tifffile.imwrite(path, image, imagej=True, metadata={"axes": "ZYX", "Info": info})
        assert open_volume(path).attributes == {}


@pytest.mark.parametrize("packed", [{}, {"compression": "zlib"}])
@pytest.mark.parametrize(
    "shape", [(1, 7, 11, 13), (7, 11, 13, 1), (1, 1, 7, 11, 13), (1, 7, 11, 13, 1)]
)
def test_one_channel_that_nobody_names_is_left_out(
    tmp_path: Path, image: Image, shape: tuple[int, ...], packed: dict[str, str]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image.reshape(shape), photometric="minisblack", **packed)
    assert np.array_equal(read_volume(path), image)


def test_four_axes_that_nobody_names_are_channels_and_a_volume(
    tmp_path: Path, probabilities: NDArray[np.float32]
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", probabilities, photometric="minisblack")
    assert np.array_equal(read_volume(tmp_path / "a.tif"), probabilities)


def test_channels_that_are_taken_for_sections_are_said(tmp_path: Path, image: Image) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image[:3], imagej=True, metadata={"axes": "CYX"})
    with pytest.warns(DataWarning, match="has 3 channels of one section each, which are taken"):
        assert np.array_equal(read_volume(tmp_path / "a.tif"), image[:3])


@pytest.mark.filterwarnings("error::connectomics.errors.DataWarning")
def test_a_stack_that_is_stored_as_channels_is_ordinary(tmp_path: Path, image: Image) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True)
    assert np.array_equal(read_volume(tmp_path / "a.tif"), image)
