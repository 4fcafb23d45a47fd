"""Image files whose numbers are not what a viewer shows, or are not what went in."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from connectomics.data.checks import open_on_one_grid
from connectomics.data.io import open_volume, read_volume
from connectomics.errors import DataError

RAMP = np.arange(96).reshape(8, 12)


def write_png(
    path: Path, values: NDArray[Any], bits: int, *, colour: int = 0, **chunks: bytes
) -> None:
    """A PNG of one number per pixel, as other programs write it: with any number of bits."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    rows = b""
    for row in values:
        digits = "".join(format(int(value), f"0{bits}b") for value in row)
        digits += "0" * (-len(digits) % 8)
        rows += b"\0" + int(digits, 2).to_bytes(len(digits) // 8, "big")
    header = struct.pack(">IIBBBBB", *values.shape[::-1], bits, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header)]
    parts += [chunk(kind.encode(), content) for kind, content in chunks.items()]
    parts += [chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def message(source: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_volume(source)
    return str(caught.value)


def label_faults(path: Path) -> list[str]:
    name = "data.train.label"
    return [str(fault) for fault in open_on_one_grid({name: str(path)}, integers=[name])[1]]


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_png_of_any_number_of_bits_gives_its_values(tmp_path: Path, bits: int) -> None:
    values = RAMP * 677 % 2**bits
    write_png(tmp_path / "0.png", values, bits)
    write_png(tmp_path / "1.png", values[::-1], bits)
    volume = read_volume(tmp_path)
    assert np.array_equal(volume, np.stack([values, values[::-1]]))
    assert volume.dtype == {1: bool, 16: np.uint16}.get(bits, np.uint8)
    assert label_faults(tmp_path) == []


def test_transparency_and_gamma_of_png_change_no_value(tmp_path: Path) -> None:
    gamma, clear = struct.pack(">I", 45455), struct.pack(">H", 5)
    write_png(tmp_path / "0.png", RAMP, 8, gAMA=gamma, tRNS=clear)
    assert np.array_equal(read_volume(tmp_path)[0], RAMP)


@pytest.mark.parametrize(("bits", "shown"), [(2, "8 x 12 uint8 of 2 bits"), (4, "of 4 bits")])
def test_sections_of_other_depths_are_named(tmp_path: Path, bits: int, shown: str) -> None:
    write_png(tmp_path / "0.png", RAMP % 4, 8)
    write_png(tmp_path / "1.png", RAMP % 4, bits)
    text = message(tmp_path)
    assert "0.png is 8 x 12 uint8, 1.png is" in text
    assert shown in text


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_of_colours_are_refused(tmp_path: Path, bits: int) -> None:
    colours = bytes(range(255, 255 - 3 * 2 ** min(bits, 6), -1))
    write_png(tmp_path / "0.png", RAMP % min(2**bits, 64), bits, colour=3, PLTE=colours)
    assert "0.png: has a palette" in message(tmp_path)


def test_a_palette_in_which_colour_n_is_grey_n_is_none(tmp_path: Path) -> None:
    write_png(
        tmp_path / "0.png", RAMP, 8, colour=3, PLTE=bytes(np.repeat(np.arange(256), 3).tolist())
    )
    assert np.array_equal(read_volume(tmp_path)[0], RAMP)


@pytest.mark.parametrize(
    ("mode", "shown"), [("LA", "mode LA"), ("RGB", "mode RGB"), ("RGBA", "mode RGBA")]
)
def test_colour_and_alpha_are_refused(tmp_path: Path, mode: str, shown: str) -> None:
    Image.fromarray(RAMP.astype(np.uint8)).convert(mode).save(tmp_path / "0.png")
    assert shown in message(tmp_path)


def test_animations_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray((RAMP + i).astype(np.uint8)) for i in range(3)]
    frames[0].save(tmp_path / "0.png", save_all=True, append_images=frames[1:])
    assert "several frames" in message(tmp_path)


@pytest.mark.parametrize("name", ["0.jpg", "0.png"])  # whatever the file is called
def test_jpeg_is_an_image_and_no_label(tmp_path: Path, name: str) -> None:
    Image.fromarray(RAMP.astype(np.uint8)).save(tmp_path / name, format="JPEG", quality=100)
    assert np.abs(read_volume(tmp_path)[0].astype(int) - RAMP).max() < 5
    (fault,) = label_faults(tmp_path)
    assert "is compressed with JPEG, which changes values: its numbers are no labels." in fault


@pytest.mark.parametrize("kind", ["bmp", "gif", "eps", "tiff"])
def test_what_is_in_a_file_called_png_has_to_be_png(tmp_path: Path, kind: str) -> None:
    # Pillow would open it whatever its name, and for EPS run Ghostscript on it.
    Image.fromarray(RAMP.astype(np.uint8)).save(tmp_path / "0.png", format=kind)
    assert "0.png: cannot be read as an image" in message(tmp_path)


def tiff(path: Path, *, single: bool, dtype: str = "u1", **settings: Any) -> Path:
    """The ramp, twice as high in the second section: as one stack or as a folder of sections."""
    volume = np.stack([RAMP, RAMP * 2]).astype(dtype)
    if single:
        tifffile.imwrite(path / "stack.tif", volume, **settings)
        return path / "stack.tif"
    for z in range(2):
        tifffile.imwrite(path / f"{z}.tif", volume[z], **settings)
    return path


both = pytest.mark.parametrize("single", [True, False])


@both
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(("dtype", "white"), [("u1", 255), (">u2", 65535)])
def test_bright_zeros_are_turned_round_in_images_and_refused_in_labels(
    tmp_path: Path, single: bool, compression: str | None, dtype: str, white: int
) -> None:
    path = tiff(
        tmp_path, single=single, dtype=dtype, photometric="miniswhite", compression=compression
    )
    assert np.array_equal(read_volume(path), white - np.stack([RAMP, RAMP * 2]))
    (fault,) = label_faults(path)
    assert "stores white as 0 (MINISWHITE)" in fault


@both
def test_bright_zeros_of_floats_are_refused(tmp_path: Path, single: bool) -> None:
    path = tiff(tmp_path, single=single, dtype="f4", photometric="miniswhite")
    assert "photometric='minisblack'" in message(path)


@both
def test_bool_written_by_tifffile_is_what_was_written(tmp_path: Path, single: bool) -> None:
    path = tiff(tmp_path, single=single, dtype="?")
    assert np.array_equal(read_volume(path), np.stack([RAMP, RAMP]) > 0)
    assert label_faults(path) == []


@both
def test_one_bit_from_elsewhere_is_turned_round(tmp_path: Path, single: bool) -> None:
    path = tiff(tmp_path, single=single, dtype="?", photometric="miniswhite", software="scanner")
    assert np.array_equal(read_volume(path), np.stack([RAMP, RAMP]) == 0)
    assert len(label_faults(path)) == 1


@both
def test_palettes_of_tiff_are_refused_unless_they_are_grey(tmp_path: Path, single: bool) -> None:
    grey = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
    path = tiff(tmp_path, single=single, photometric="palette", colormap=grey)
    assert np.array_equal(read_volume(path), np.stack([RAMP, RAMP * 2]))
    tiff(tmp_path, single=single, photometric="palette", colormap=grey[:, ::-1])
    assert "has a palette" in message(path)


@both
@pytest.mark.parametrize("codec", ["jpeg", "jpeg2000", "jpegxl"])
def test_lossy_compressions_of_tiff_are_no_labels(tmp_path: Path, single: bool, codec: str) -> None:
    path = tiff(tmp_path, single=single, compression=codec)
    assert read_volume(path).shape == (2, 8, 12)
    (fault,) = label_faults(path)
    assert f"is compressed with {codec.upper()}" in fault


def test_sections_of_which_some_are_bright_at_zero_are_named(tmp_path: Path) -> None:
    tiff(tmp_path, single=False)
    tifffile.imwrite(tmp_path / "1.tif", RAMP.astype(np.uint8), photometric="miniswhite")
    text = message(tmp_path)
    assert "0.tif is 8 x 12 uint8, 1.tif is 8 x 12 uint8, white is 0" in text


def write_four_bit_tiff(path: Path, values: NDArray[Any], *, photometric: int) -> None:
    """One page of 4 bits per pixel, which tifffile reads and does not write."""
    height, width = values.shape
    tags = [(256, width), (257, height), (258, 4), (259, 1), (262, photometric), (273, 150)]
    tags += [(277, 1), (278, height), (279, height * width // 2)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    start = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    path.write_bytes(start.ljust(150, b"\0") + (values[:, ::2] << 4 | values[:, 1::2]).tobytes())


@pytest.mark.parametrize(("photometric", "read"), [(1, RAMP % 16), (0, 15 - RAMP % 16)])
def test_four_bits_of_tiff_keep_their_values(
    tmp_path: Path, photometric: int, read: NDArray[Any]
) -> None:
    write_four_bit_tiff(tmp_path / "0.tif", (RAMP % 16).astype(np.uint8), photometric=photometric)
    assert np.array_equal(read_volume(tmp_path)[0], read)


@both
@pytest.mark.parametrize("layout", ["Strip", "Tile"])
def test_strips_and_tiles_that_were_never_written_are_not_black(
    tmp_path: Path, single: bool, layout: str
) -> None:
    volume = np.ones((2, 64, 64), np.uint16)
    settings: dict[str, Any] = {"tile": (16, 16)} if layout == "Tile" else {"rowsperstrip": 16}
    path = tmp_path / ("stack.tif" if single else "1.tif")
    tifffile.imwrite(path, volume if single else volume[0], compression="zlib", **settings)
    with tifffile.TiffFile(path, mode="r+") as file:
        for name in (f"{layout}Offsets", f"{layout}ByteCounts"):
            tag = file.pages[-1].aspage().tags[name]
            tag.overwrite([0, *tag.value[1:]])
    with pytest.raises(DataError, match=r"1 of the (4|16) strips or tiles of page . are not in"):
        read_volume(path if single else tmp_path)
