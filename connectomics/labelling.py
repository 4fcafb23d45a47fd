"""Labels, the table of their synapses, and what other programs take in: side by side on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from connectomics.config.schema import DecodingSection
from connectomics.data.io import LazyVolume, open_volume, save_volume
from connectomics.data.io.header import Resolution
from connectomics.data.processing import clean_label
from connectomics.decoding import (
    EXPORTS,
    Decoded,
    Grid,
    read_table,
    steps,
    write_export,
    write_table,
)
from connectomics.errors import Fault, naming
from connectomics.results import KEY, VolumeResults, digest, is_made_from, replacing, state_of

RESOLUTION_REMEDY = "Set data.test.resolution to [z, y, x] in nm."


def decode_volume(
    results: VolumeResults,
    section: DecodingSection,
    *,
    neurons: LazyVolume | None = None,
    resolution: Resolution | None = None,
) -> None:
    """Decode the probabilities of one volume, unless what they would give is there already.

    Args:
        results: Where they lie, and where labels and tables go.
        section: The decoder, and the exports.
        neurons: The neuron segmentation of the volume, where there is one.
        resolution: nm per voxel (z, y, x), where the probabilities do not say.

    Raises:
        DataError: The decoder refuses the volume, or nothing can be written.
    """
    with open_volume(results.probabilities, resolution=resolution) as volume:
        settings = [step.model_dump(mode="json") for step in section.steps]
        known = {"resolution": volume.resolution, "neurons": neurons and state_of(neurons)}
        # Probabilities that another program put there do not say what they were made from.
        key = digest(volume.attributes.get(KEY, state_of(volume)), settings, known)
        tabulated = _has_table(section, volume)
        named = tabulated and neurons is not None
        whole = (results.table.is_file(), results.partners.is_file()) == (tabulated, named)
        if whole and is_made_from(results.labels, key):
            _export_again(results, section.exports, volume)
            return
        print(f"decode: {results.probabilities} → {results.labels}")
        with naming(str(results.probabilities)):
            decoded = steps.decode(
                volume.read(),
                section.steps,
                resolution=volume.resolution,
                offset_nm=volume.offset_nm,
                neurons=None if neurons is None else read_neurons(neurons),
            )
    about = {
        KEY: key,
        "encoding": steps.output_encoding(section.steps[0]),
        "decoder": json.dumps(settings),
        "synthetic": volume.attributes.get("synthetic", False),
    }
    write_decoded(results, decoded, volume, about=about, exports=section.exports)
    if not tabulated and about["encoding"] == "polarity":
        print(f"  no synapses.csv: the voxel size is not known. {RESOLUTION_REMEDY}")


def voxel_size_faults(
    sizes: Mapping[str, Resolution | None], section: DecodingSection
) -> list[Fault]:
    """Find the volumes that lack the voxel size which their decoder or an export needs.

    Args:
        sizes: nm per voxel (z, y, x) by the name of a volume, None where nobody says.
        section: The decoder, and the exports.
    """
    needy = [step.name for step in section.steps[:1] if steps.needs_resolution(step)]
    needy += ["decoding.exports"] if section.exports else []
    problem = f"has no known voxel size, which {' and '.join(needy)} cannot do without."
    unknown = [name for name, size in sizes.items() if size is None]
    return [Fault(name, problem, RESOLUTION_REMEDY) for name in unknown if needy]


def voxel_size_of(probabilities: Path, resolution: Resolution | None) -> Resolution | None:
    """The voxel size of a probability volume, `resolution` where the file does not say."""
    with open_volume(probabilities, resolution=resolution) as volume:
        return volume.resolution


def write_decoded(
    results: VolumeResults,
    decoded: Decoded,
    volume: LazyVolume,
    *,
    about: dict[str, Any] | None,
    exports: Sequence[str] = (),
    stale: Sequence[Path] = (),
) -> list[Path]:
    """Write labels, table, partners and exports; what stood there is kept in `earlier/`.

    Args:
        results: Where they go.
        decoded: What there is; without a table nothing but labels is written.
        volume: What it was made from, whose voxel size and offset are those of the exports.
        about: What `labels.h5` shall say of itself; None for no `labels.h5`.
        exports: Names of `EXPORTS`.
        stale: What goes to `earlier/` besides earlier tables and exports.

    Returns:
        The files written.
    """
    writers: dict[Path, Callable[[Path], object]] = {}
    nm, shape = volume.resolution, volume.shape[-3:]
    if about is not None:
        writers[results.labels] = partial(
            save_volume,
            array=decoded.labels,
            resolution=nm and steps.resized_resolution(nm, shape, decoded.labels.shape),
            offset_nm=volume.offset_nm,
            attributes=about,
        )
    if decoded.table is not None and nm is not None:
        grid = Grid(nm, volume.offset_nm)
        writers[results.table] = partial(write_table, decoded.table)
        if decoded.partners is not None:
            writers[results.partners] = partial(write_table, decoded.partners)
        for name in exports:
            export = partial(write_export, name, decoded.table, grid=grid)
            writers[results.export(name)] = export
    tables = [results.table, results.partners, *map(results.export, EXPORTS)]
    with replacing(*writers, stale=[*tables, *stale]) as new:
        for path, write in zip(new, writers.values(), strict=True):
            write(path)
    return list(writers)


def read_neurons(neurons: LazyVolume) -> np.ndarray:
    """Read the ids of a neuron segmentation, (Z, Y, X) unsigned; CREMI's marks become 0.

    Raises:
        DataError: They are no ids.
    """
    return clean_label(neurons.read(), neurons.source).label


def _export_again(results: VolumeResults, exports: Sequence[str], volume: LazyVolume) -> None:
    """Write the exports that are not there yet from the table that is."""
    missing = [name for name in dict.fromkeys(exports) if not results.export(name).is_file()]
    if not missing or volume.resolution is None:
        print(f"decode: {results.labels} is up to date")
        return
    table = read_table(results.table)
    with replacing(*map(results.export, missing)) as new:
        for name, path in zip(missing, new, strict=True):
            print(f"decode: {results.table} → {results.export(name)}")
            write_export(name, table, path, grid=Grid(volume.resolution, volume.offset_nm))


def _has_table(section: DecodingSection, volume: LazyVolume) -> bool:
    sided = steps.output_encoding(section.steps[0]) == "polarity"
    return sided and volume.resolution is not None
