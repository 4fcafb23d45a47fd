"""What the numbers in a label volume stand for.

`polarity`: pre voxels of synapse n carry 2n-1, post voxels 2n. `semantic`: 1 is pre, 2 is
post, whichever the synapse. `instance`: object n carries n and has no sides. `binary`:
whatever is not 0 is foreground.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from connectomics.errors import DataError
from connectomics.evaluation.contingency import check_labels

Encoding = Literal["auto", "polarity", "semantic", "instance", "binary"]

SIDED: tuple[Encoding, ...] = ("polarity", "semantic")

NEIGHBOURS = 10
"""The most voxels between the sides of a synapse, for `likely_encoding`."""


@dataclass(frozen=True, eq=False)
class Interpretation:
    """Labels with an identity per object, and how they were read.

    Attributes:
        labels: In the polarity encoding if they have sides, else in the instance encoding.
        encoding: How they were stored.
        notes: What was done to them, for the report.
    """

    labels: np.ndarray
    encoding: str
    notes: tuple[str, ...] = ()


def interpret(
    name: str,
    labels: np.ndarray,
    encoding: Encoding = "auto",
    *,
    sided: bool,
    mask: np.ndarray | None = None,
    dilate_sz: int | None = None,
) -> Interpretation:
    """Give every object of a label volume an identity.

    Semantic and binary labels are grouped into objects by `group_components`; the others
    stay as they are, whatever pieces an object is in.

    `auto` looks at the labels. With sides, values of 0, 1 and 2 alone may be one synapse or
    the semantic encoding: they are semantic where grouping finds more than one object with
    a pre side or more than one with a post side. Without sides, a single value is binary
    where grouping finds more than one object.

    Args:
        name: "truth" or "prediction", for messages.
        labels: (Z, Y, X) integers.
        encoding: One of `polarity`, `semantic`, `instance`, `binary`, or `auto`.
        sided: Whether `auto` expects sides.
        mask: (Z, Y, X); voxels where it is 0 are background to the grouping.
        dilate_sz: See `group_components`; 5 for semantic and 0 for binary labels unless
            given, as in the two baseline decoders.

    Raises:
        DataError: Float or negative labels, or labels that the encoding does not have.
    """
    check_labels(name, labels, mask)
    if encoding in ("polarity", "instance"):
        return Interpretation(labels, encoding)
    labelled = labels if mask is None else np.where(mask, labels, 0)
    if encoding == "auto":
        plain = Interpretation(labels, "polarity" if sided else "instance")
        return _guess(name, labelled, sided, dilate_sz) or plain
    return (_semantic if encoding == "semantic" else _binary)(name, labelled, dilate_sz)


def likely_encoding(labels: np.ndarray) -> Encoding:
    """Tell from the labels alone how they are stored, for files that do not say.

    The sides of a synapse lie side by side, and objects 2n-1 and 2n of an instance volume
    only now and then: labels are `polarity` where of all pairs 2n-1 and 2n at least nine in
    ten come within `NEIGHBOURS` voxels of each other along every axis, and `instance`
    otherwise. (In crowded tissue up to 83 % of neighbours by number were neighbours in space.)

    Args:
        labels: (Z, Y, X) integers from 0.

    Returns:
        `binary` where the only value besides 0 is 1 or 255. Values of 1 and 2 alone are
        `semantic` where `interpret` finds more than one synapse in them. `auto` where nothing
        can be told: values of 1 and 2 far apart, of 2 alone, or none at all.

    >>> likely_encoding(np.array([[[1, 2, 0, 5, 6, 0]]])), likely_encoding(np.array([[[0, 255]]]))
    ('polarity', 'binary')
    """
    index = np.flatnonzero(labels)
    ids, which = np.unique(labels.reshape(-1)[index], return_inverse=True)
    if ids.size == 1 and ids[0] in (1, 255):
        return "binary"
    if ids.size == 0:
        return "auto"
    undecided: Encoding = "instance" if ids[-1] > 2 else "auto"
    if ids[-1] <= 2 and interpret("labels", labels, sided=True).encoding == "semantic":
        return "semantic"
    pre = np.flatnonzero((ids[:-1] % 2 == 1) & (np.diff(ids) == 1))
    near = np.ones(pre.size, bool)
    for places in np.unravel_index(index, labels.shape):
        low, high = np.full(ids.size, labels.size), np.full(ids.size, -1)
        np.minimum.at(low, which, places)
        np.maximum.at(high, which, places)
        near &= np.maximum(low[pre], low[pre + 1]) - NEIGHBOURS <= np.minimum(
            high[pre], high[pre + 1]
        )
    return "polarity" if pre.size and near.mean() >= 0.9 else undecided


def _semantic(name: str, labels: np.ndarray, dilate_sz: int | None) -> Interpretation:
    if labels.max(initial=0) > 2:
        raise DataError(
            f"evaluation: {name}",
            f"a semantic volume holds 0, 1 and 2; this one holds {labels.max()}.",
            "Its encoding may be 'polarity' (pre 2n-1, post 2n).",
        )
    size = 5 if dilate_sz is None else dilate_sz
    return _grouped(name, group_semantic(labels, dilate_sz=size), "semantic", size)


def _binary(name: str, labels: np.ndarray, dilate_sz: int | None) -> Interpretation:
    size = dilate_sz or 0
    return _grouped(name, group_components(labels != 0, dilate_sz=size), "binary", size)


def _guess(
    name: str, labels: np.ndarray, sided: bool, dilate_sz: int | None
) -> Interpretation | None:
    """The grouped labels if they cannot be one object, else None."""
    largest = labels.max(initial=0)
    if sided and largest <= 2:
        grouped = _semantic(name, labels, dilate_sz)
        ids = np.unique(grouped.labels[grouped.labels > 0])
        pre = np.count_nonzero(ids % 2)
        return grouped if max(pre, ids.size - pre) > 1 else None
    if not sided and np.array_equal(labels != 0, labels == largest):
        grouped = _binary(name, labels, dilate_sz)
        return grouped if grouped.labels.max(initial=0) > 1 else None
    return None


def _grouped(name: str, labels: np.ndarray, encoding: str, dilate_sz: int) -> Interpretation:
    grown = f" after an in-plane dilation of {dilate_sz} x {dilate_sz}" if dilate_sz > 1 else ""
    note = f"{encoding} {name} was grouped into objects: 6-connected components{grown}."
    return Interpretation(labels, encoding, (note[0].upper() + note[1:],))


def group_semantic(labels: np.ndarray, *, dilate_sz: int = 5) -> np.ndarray:
    """Turn 0 / 1 = pre / 2 = post into synapses by the baseline decoder's rule.

    Args:
        labels: (Z, Y, X), values 0, 1, 2.
        dilate_sz: See `group_components`.

    Returns:
        (Z, Y, X) in the polarity encoding, in the smallest unsigned dtype that holds it.

    >>> group_semantic(np.array([[[1, 2, 0, 0, 0, 0, 0, 1, 2]]]))
    array([[[1, 2, 0, 0, 0, 0, 0, 3, 4]]], dtype=uint8)
    """
    components = group_components(labels != 0, dilate_sz=dilate_sz)
    dtype = np.min_scalar_type(2 * int(components.max(initial=0)))
    return 2 * components.astype(dtype) - (labels == 1).astype(dtype)


def group_components(mask: np.ndarray, *, dilate_sz: int = 0) -> np.ndarray:
    """Number the 6-connected components of a mask dilated within each section.

    Args:
        mask: (Z, Y, X) bool.
        dilate_sz: Side of the square the mask is dilated by in Y and X, odd; 0 for none.
            Pieces closer than that are one object; the dilated voxels stay background.

    Returns:
        (Z, Y, X) int32, 1..n inside the mask.

    Raises:
        DataError: `mask` is not 3-D, or `dilate_sz` is even.

    >>> pieces = np.array([[[True, False, False, True]]])
    >>> group_components(pieces), group_components(pieces, dilate_sz=3)
    (array([[[1, 0, 0, 2]]], dtype=int32), array([[[1, 0, 0, 1]]], dtype=int32))
    """
    import cc3d
    from scipy.ndimage import maximum_filter1d

    if mask.ndim != 3:
        raise DataError(
            "evaluation: grouping", f"the volume has shape {mask.shape}.", "Give it as (Z, Y, X)."
        )
    if dilate_sz < 0 or (dilate_sz and dilate_sz % 2 == 0):
        raise DataError("evaluation: dilate_sz", f"{dilate_sz} is not odd.", "Use 0, 1, 3, 5, ...")
    grown = mask
    for axis in (1, 2) if dilate_sz > 1 else ():
        grown = maximum_filter1d(grown, dilate_sz, axis=axis, mode="constant")
    components = cc3d.connected_components(grown, connectivity=6).astype(np.int32, copy=False)
    components[~mask] = 0
    return components
