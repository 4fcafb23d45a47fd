"""Labels, their table and what other programs take in, as files side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from connectomics.data.io import LazyVolume, open_volume, save_volume
from connectomics.data.io.precomputed_write import write_labels
from connectomics.decoding import (
    EXPORTS,
    Decoded,
    read_table,
    write_export,
    write_table,
)
from connectomics.keeping import replacing
from connectomics.pipeline.by_block.labelling import LabelsByBlock
from connectomics.pipeline.predicted import Predicted
from connectomics.pipeline.results import LABELS, VolumeResults

if TYPE_CHECKING:
    import pandas as pd


def write_decoded(
    results: VolumeResults,
    decoded: Decoded | LabelsByBlock,
    volume: LazyVolume | Predicted,
    *,
    about: Mapping[str, Any] | None,
    exports: Sequence[str] = (),
    config: Mapping[Path, str] | None = None,
    stale: Sequence[Path] = (),
) -> list[Path]:
    """Write labels, table, partners and exports; what stood there is kept in `earlier/`.

    Args:
        results: Where they go.
        decoded: What there is; without a table nothing but labels is written.
        volume: What it was made from, whose voxel size and offset are those of the exports.
        about: What labels shall say of themselves; None for no labels.
        exports: Names of `EXPORTS`.
        config: Texts that say how this came about, by their places.
        stale: What goes to `earlier/` besides earlier tables and exports.

    Returns:
        The files written.
    """
    writers: dict[Path, Callable[[Path], object]] = {}
    at_once, by_block = results.forms(LABELS)
    if isinstance(decoded, LabelsByBlock):
        writers[by_block] = decoded.store.path.rename
    elif about is not None:
        grid = volume.grid.resized(volume.shape[-3:], decoded.labels.shape)
        writers[at_once] = partial(
            save_volume,
            array=decoded.labels,
            resolution=grid.resolution,
            offset_nm=grid.offset_nm,
            attributes=about,
        )
    earlier = [at_once, by_block] if about is not None else []
    if decoded.table is not None and volume.resolution is not None:
        writers[results.table] = partial(write_table, decoded.table)
        if decoded.partners is not None:
            writers[results.partners] = partial(write_table, decoded.partners)
        for name in exports:
            writers[results.export(name)] = partial(
                _export, name, decoded.table, decoded.labels, volume
            )
    tables = [results.table, results.partners, *map(results.export, EXPORTS)]
    with replacing(*writers, stale=[*earlier, *tables, *stale], about=config) as new:
        # Labels come last: those of blocks are moved there, and are read where they are till then.
        for path, write in reversed(list(zip(new, writers.values(), strict=True))):
            write(path)
    return list(writers)


def export_again(
    results: VolumeResults, exports: Sequence[str], volume: LazyVolume | Predicted
) -> bool:
    """Write the exports that are not there yet from the table that is; say whether any were."""
    missing = [name for name in dict.fromkeys(exports) if not results.export(name).exists()]
    if not missing or volume.resolution is None:
        return False
    table = read_table(results.table)
    with replacing(*map(results.export, missing)) as new:
        for name, path in zip(missing, new, strict=True):
            print(f"decode: {results.table} → {results.export(name)}")
            with open_volume(results.labels) as labels:
                _export(name, table, labels, volume, path)
    return True


def _export(
    name: str,
    table: pd.DataFrame,
    labels: np.ndarray | LazyVolume,
    volume: LazyVolume | Predicted,
    path: Path,
) -> None:
    """Write another program's form of the table, and of the labels where that shows them, too."""
    write_export(name, table, path, grid=volume.grid)
    if name != "neuroglancer":
        return
    write_labels(
        path / "labels",
        labels.read if isinstance(labels, LazyVolume) else lambda box: labels[box.slices],
        (labels.shape[0], labels.shape[1], labels.shape[2]),
        labels.dtype,
        grid=volume.grid.resized(volume.shape[-3:], labels.shape),
    )
