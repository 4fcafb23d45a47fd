"""Volumes on disk: HDF5, Zarr, TIFF and folders of sections, opened, read and written alike."""

from __future__ import annotations

from connectomics.data.io.save import VolumeWriter, create_volume, save_volume
from connectomics.data.io.volume import LazyVolume, open_volume, read_volume

__all__ = [
    "LazyVolume",
    "VolumeWriter",
    "create_volume",
    "open_volume",
    "read_volume",
    "save_volume",
]
