"""Where annotators say that synapses are: the sites and partners of the CREMI format."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from connectomics.data.io.hdf5_attributes import check_attributes
from connectomics.data.io.hdf5_file import Place, check_stored, follow, open_file
from connectomics.data.io.location import parse_location
from connectomics.errors import DataError, Fault, reading

GROUP = "annotations"
VOLUMES = "volumes"
PARTNERS = "presynaptic_site/partners"
REMEDY = "Name an HDF5 file in the CREMI format (https://cremi.org/data)."


class Annotations(NamedTuple):
    """Directed connections between points.

    Attributes:
        pre_nm: (n, 3) positions of the pre-synaptic sites in nm (z, y, x).
        post_nm: (n, 3) positions of the post-synaptic sites.
    """

    pre_nm: np.ndarray
    post_nm: np.ndarray


NONE = Annotations(np.empty((0, 3)), np.empty((0, 3)))


def read_annotations(source: str) -> Annotations:
    """Read the partners in a file of the CREMI format, their offset applied.

    Args:
        source: An HDF5 file with `annotations/ids`, `annotations/locations` (nm, z y x, relative
            to the attribute `offset` of `annotations`) and
            `annotations/presynaptic_site/partners` (pairs of ids, pre first). Behind `::`, the
            group's name where it is another.

    Returns:
        The partners; none where the file holds volumes of the format without annotations, or
        annotations without partners.

    Raises:
        DataError: There is no such file or group, or what it holds does not fit together.
    """
    location = parse_location(source)
    if not location.path.is_file():
        raise DataError(source, "no such file.", REMEDY)
    name = location.dataset or GROUP
    with reading(source, REMEDY), open_file(location.path, source) as file:
        group = follow(file, name, source)
        if group is None and location.dataset is None and VOLUMES in file:
            return NONE
        if not isinstance(group, h5py.Group):
            raise DataError(source, f"has no group {name!r}.", REMEDY)
        check_attributes(group, source)
        partners = _array(source, file, f"{name}/{PARTNERS}", (0, 2))
        if partners is None or not partners.size:
            return NONE
        ids = _array(source, file, f"{name}/ids", (0,))
        locations = _array(source, file, f"{name}/locations", (0, 3))
        offset = np.asarray(group.attrs.get("offset", (0.0, 0.0, 0.0)), float)
    if ids is None or locations is None:
        raise DataError(source, f"has {name}/{PARTNERS}, and no ids or no locations.", REMEDY)
    if locations.shape != (ids.size, 3) or partners.shape[1] != 2 or offset.shape != (3,):
        raise DataError(
            source,
            f"{ids.size} ids, locations {locations.shape}, partners {partners.shape} and an "
            f"offset {offset.shape} do not fit together.",
            REMEDY,
        )
    if not np.isfinite(locations).all():
        raise DataError(source, "has locations that are not finite.", REMEDY)
    pre, post = (_rows(source, ids, partners[:, side]) for side in (0, 1))
    points = locations.astype(float) + offset
    return Annotations(points[pre], points[post])


def annotation_faults(source: str) -> list[Fault]:
    """Find what keeps a file of annotations from being read."""
    try:
        read_annotations(source)
    except DataError as error:
        return list(error.faults)
    return []


def _array(source: str, file: h5py.File, name: str, empty: tuple[int, ...]) -> np.ndarray | None:
    """An array of numbers, or None; `empty` is its shape where it holds nothing."""
    dataset = follow(file, name, source)
    if dataset is None:
        return None
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(source, f"its {name} is no dataset.", REMEDY)
    check_stored(Place(Path(file.filename), dataset, source))
    array = np.empty(empty) if not dataset.size else dataset[()]
    if array.ndim != len(empty) or array.dtype.kind not in "iuf":
        raise DataError(source, f"its {name} holds {array.dtype} of shape {array.shape}.", REMEDY)
    return array


def _rows(source: str, ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each id stands."""
    order = np.argsort(ids, kind="stable")
    place = np.searchsorted(ids, wanted, sorter=order)
    rows = order[np.minimum(place, ids.size - 1)] if ids.size else place
    unknown = wanted[ids[rows] != wanted] if ids.size else wanted
    if unknown.size:
        raise DataError(source, f"a partner has the id {unknown[0]}, which no site has.", REMEDY)
    return rows
