"""What the numbers in a label volume stand for.

`polarity`: pre voxels of synapse n carry 2n-1, post voxels 2n. `semantic`: 1 is pre, 2 is
post, whichever the synapse. `instance`: object n carries n and has no sides. `binary`:
whatever is not 0 is foreground.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from connectomics.errors import DataError
from connectomics.evaluation.components import Components, in_plane
from connectomics.evaluation.derived import Derived
from connectomics.evaluation.extents import list_extents
from connectomics.evaluation.volumes import Labels, check_labels

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

    labels: Labels
    encoding: str
    notes: tuple[str, ...] = ()

    @property
    def array(self) -> np.ndarray:
        """The labels, where an array was interpreted."""
        assert isinstance(self.labels, np.ndarray)
        return self.labels


def interpret(
    name: str,
    labels: Labels,
    encoding: Encoding = "auto",
    *,
    sided: bool,
    mask: Labels | None = None,
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
        labels: (Z, Y, X) integers. What is no array is read, and given back, block by block.
        encoding: One of `polarity`, `semantic`, `instance`, `binary`, or `auto`.
        sided: Whether `auto` expects sides.
        mask: (Z, Y, X); voxels where it is 0 are background to the grouping.
        dilate_sz: See `group_components`; 5 for semantic and 0 for binary labels unless
            given, as in the two baseline decoders.

    Raises:
        DataError: Float or negative labels, or labels that the encoding does not have.
    """
    labelled = labels
    if not isinstance(labels, np.ndarray) or not isinstance(mask, np.ndarray | None):
        labelled = labels if mask is None else Derived(_masked, mask, labels)
    else:
        check_labels(name, labels, mask)
        if mask is not None and encoding not in ("polarity", "instance"):
            labelled = _masked(mask, labels)
    if encoding in ("polarity", "instance"):
        return Interpretation(labels, encoding)
    if encoding == "auto":
        plain = Interpretation(labels, "polarity" if sided else "instance")
        return _guess(name, labelled, sided, dilate_sz) or plain
    return (_semantic if encoding == "semantic" else _binary)(name, labelled, dilate_sz)


def likely_encoding(labels: Labels) -> Encoding:
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
    found = list_extents(labels)
    ids = found.ids
    if ids.size == 1 and ids[0] in (1, 255):
        return "binary"
    if ids.size == 0:
        return "auto"
    undecided: Encoding = "instance" if found.top > 2 else "auto"
    if found.top <= 2 and interpret("labels", labels, sided=True).encoding == "semantic":
        return "semantic"
    pre = np.flatnonzero((ids[:-1] % 2 == 1) & (np.diff(ids) == 1))
    start, stop = found.start, found.stop
    # Boxes whose inner faces are at most so far apart along every axis.
    gap = np.maximum(start[pre], start[pre + 1]) - np.minimum(stop[pre], stop[pre + 1]) + 1
    near = (gap <= NEIGHBOURS).all(axis=1)
    return "polarity" if pre.size and near.mean() >= 0.9 else undecided


def _masked(mask: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.where(mask, labels, 0)


def _semantic(name: str, labels: Labels, dilate_sz: int | None) -> Interpretation:
    if (top := _top(labels)) > 2:
        raise DataError(
            f"evaluation: {name}",
            f"a semantic volume holds 0, 1 and 2; this one holds {top}.",
            "Its encoding may be 'polarity' (pre 2n-1, post 2n).",
        )
    size = 5 if dilate_sz is None else dilate_sz
    if isinstance(labels, np.ndarray):
        return _grouped(name, group_semantic(labels, dilate_sz=size), "semantic", size)
    components = Components(labels, in_plane(size))
    sides = Derived(partial(_sides, components.count), components, labels)
    return _grouped(name, sides, "semantic", size)


def _binary(name: str, labels: Labels, dilate_sz: int | None) -> Interpretation:
    size = dilate_sz or 0
    if isinstance(labels, np.ndarray):
        return _grouped(name, group_components(labels != 0, dilate_sz=size), "binary", size)
    components = Components(labels, in_plane(size))
    return _grouped(name, Derived(_inside, components, labels), "binary", size)


def _top(labels: Labels) -> int:
    is_array = isinstance(labels, np.ndarray)
    return int(labels.max(initial=0)) if is_array else list_extents(labels).top


def _is_one_value(labels: Labels) -> bool:
    if isinstance(labels, np.ndarray):
        return np.array_equal(labels != 0, labels == labels.max(initial=0))
    return len(list_extents(labels)) <= 1


def _sides(count: int, components: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Polarity labels of semantic ones, 0 where these are."""
    sides = _inside(components, labels).astype(np.min_scalar_type(2 * count), copy=False)
    sides *= 2
    sides -= labels == 1
    return sides


def _inside(components: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return components * (labels != 0)


def _guess(name: str, labels: Labels, sided: bool, dilate_sz: int | None) -> Interpretation | None:
    """The grouped labels if they cannot be one object, else None."""
    if sided and _top(labels) <= 2:
        grouped = _semantic(name, labels, dilate_sz)
        ids = list_extents(grouped.labels).ids
        pre = np.count_nonzero(ids % 2)
        return grouped if max(pre, ids.size - pre) > 1 else None
    if not sided and _is_one_value(labels):
        grouped = _binary(name, labels, dilate_sz)
        return grouped if _top(grouped.labels) > 1 else None
    return None


def _grouped(name: str, labels: Labels, encoding: str, dilate_sz: int) -> Interpretation:
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
    sides = components.astype(np.min_scalar_type(2 * int(components.max(initial=0))), copy=False)
    sides *= 2
    sides -= labels == 1
    return sides


def group_components(mask: np.ndarray, *, dilate_sz: int = 0) -> np.ndarray:
    """Number the 6-connected components of a mask dilated within each section.

    Args:
        mask: (Z, Y, X) bool.
        dilate_sz: Side of the square the mask is dilated by in Y and X, odd; 0 for none.
            Pieces closer than that are one object; the dilated voxels stay background.

    Returns:
        (Z, Y, X) unsigned, 1..n inside the mask.

    Raises:
        DataError: `mask` is not 3-D, or `dilate_sz` is even.

    >>> pieces = np.array([[[True, False, False, True]]])
    >>> group_components(pieces).tolist(), group_components(pieces, dilate_sz=3).tolist()
    ([[[1, 0, 0, 2]]], [[[1, 0, 0, 1]]])
    """
    import cc3d

    if mask.ndim != 3:
        raise DataError(
            "evaluation: grouping", f"the volume has shape {mask.shape}.", "Give it as (Z, Y, X)."
        )
    grown = in_plane(dilate_sz).grow(mask)
    components = cc3d.connected_components(grown, connectivity=6)
    components *= mask
    return components
