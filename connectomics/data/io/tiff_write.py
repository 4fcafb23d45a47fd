"""Writing TIFF stacks that open in Fiji with the right voxel size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from connectomics.data.io.attributes import OFFSET
from connectomics.data.io.header import Header, Resolution
from connectomics.data.io.tiff import OWN_METADATA

# What ImageJ can show; other types, and files beyond 4 GB, get tifffile's own description.
IMAGEJ_DTYPES = ("uint8", "uint16", "float32")
IMAGEJ_BYTES = 2**32 - 2**25


def write(path: Path, array: NDArray[Any], header: Header) -> None:
    """Write a (Z, Y, X) or (C, Z, Y, X) array as a stack of sections.

    Uncompressed where ImageJ can show it, so that crops are read without decoding whole
    sections; compressed without loss otherwise.
    """
    own: dict[str, Any] = {"shape": header.shape, "attributes": header.attributes}
    if any(header.offset_nm):
        own[OFFSET] = header.offset_nm
    if array.dtype.name in IMAGEJ_DTYPES and array.nbytes < IMAGEJ_BYTES:
        _write_imagej(path, array, header.resolution, own)
        return
    if header.resolution is not None:
        own["resolution"] = header.resolution
    metadata = {"axes": "CZYX"[-array.ndim :], OWN_METADATA: own}
    tifffile.imwrite(path, array, photometric="minisblack", compression="zlib", metadata=metadata)


def _write_imagej(
    path: Path, array: NDArray[Any], resolution: Resolution | None, own: dict[str, Any]
) -> None:
    metadata: dict[str, Any] = {"axes": "ZYX", "Info": json.dumps({OWN_METADATA: own})}
    pixels_per_nm = None
    if resolution is not None:
        z, y, x = resolution
        metadata |= {"spacing": z, "unit": "nm"}
        pixels_per_nm = (1 / x, 1 / y)
    if array.ndim == 4:
        metadata["axes"] = "ZCYX"
        array = np.moveaxis(array, 0, 1)
    tifffile.imwrite(path, array, imagej=True, resolution=pixels_per_nm, metadata=metadata)
