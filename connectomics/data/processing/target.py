"""Targets: what a network learns, made from a label volume.

A target is a function (Z, Y, X) labels → (C, Z, Y, X) float32 with plain keyword settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectomics.data.processing.labels import check_label
from connectomics.data.processing.marks import CREMI_INVALID
from connectomics.errors import DataError


@dataclass(frozen=True)
class Target:
    """A target that a config may name.

    Attributes:
        function: From labels (Z, Y, X) and settings to channels (C, Z, Y, X).
        channels: The names of the channels of a network that learns it.
        classes: The same where its setting `exclusive` makes them classes of one softmax.
        sided: Whether it needs labels that tell pre from post.
    """

    function: Callable[..., NDArray[np.float32]]
    channels: tuple[str, ...]
    classes: tuple[str, ...] = ()
    sided: bool = False


def seg_to_polarity(label: NDArray[Any], exclusive: bool = False) -> NDArray[Any]:
    """Split a synapse label volume into its pre- and post-synaptic sides.

    Odd labels are pre-synaptic and even ones post-synaptic: synapse n has the labels 2n−1 and
    2n. A semantic volume (1 = pre, 2 = post) follows the same rule.

    Args:
        label: (Z, Y, X) integers, 0 = background.
        exclusive: Give one class per voxel instead of channels.

    Returns:
        (3, Z, Y, X) float32 with the channels pre, post and their union; with `exclusive`
        (Z, Y, X) int64 with the classes 0 = background, 1 = pre, 2 = post.

    Raises:
        DataError: The label is not (Z, Y, X), holds floats or negative numbers, or CREMI's
            marks, which `clean_label` takes out.

    >>> label = np.array([[[0, 1, 2, 7, 8]]])
    >>> seg_to_polarity(label).tolist()
    [[[[0.0, 1.0, 0.0, 1.0, 0.0]]], [[[0.0, 0.0, 1.0, 0.0, 1.0]]], [[[0.0, 1.0, 1.0, 1.0, 1.0]]]]
    >>> seg_to_polarity(label, exclusive=True).tolist()
    [[[0, 1, 2, 1, 2]]]
    """
    label = _checked("seg_to_polarity", label)
    union = label > 0
    pre = (label & 1) == 1
    if exclusive:
        return np.where(pre, 1, np.where(union, 2, 0)).astype(np.int64, copy=False)
    channels = np.empty((3, *label.shape), np.float32)
    channels[0] = pre
    channels[2] = union
    np.subtract(channels[2], channels[0], out=channels[1])
    return channels


def polarity(label: NDArray[Any], exclusive: bool = False) -> NDArray[np.float32]:
    """The target "polarity": three channels, or one of class ids with `exclusive`.

    Args:
        label: (Z, Y, X) integers, 0 = background.
        exclusive: Give one class per voxel, for a softmax, instead of channels.

    >>> polarity(np.array([[[0, 1, 2]]]), exclusive=True).tolist()
    [[[[0.0, 1.0, 2.0]]]]
    """
    sides = seg_to_polarity(label, exclusive)
    return (sides[np.newaxis] if exclusive else sides).astype(np.float32, copy=False)


POLARITY = Target(
    polarity, ("pre", "post", "union"), classes=("background", "pre", "post"), sided=True
)


def binary(label: NDArray[Any]) -> NDArray[np.float32]:
    """The target "binary": one channel, 1 wherever there is a label.

    >>> binary(np.array([[[0, 1, 7]]])).tolist()
    [[[[0.0, 1.0, 1.0]]]]
    """
    return (_checked("binary", label) > 0)[np.newaxis].astype(np.float32)


BINARY = Target(binary, ("synapse",))


def _checked(where: str, label: NDArray[Any]) -> NDArray[Any]:
    label = np.asarray(label)
    check_label(label, where)
    if label.ndim != 3:
        raise DataError(
            where, f"the label has shape {label.shape}.", "Give a (Z, Y, X) label volume."
        )
    if label.dtype == np.uint64 and label.size and label.max() >= CREMI_INVALID:
        raise DataError(
            where,
            "the label holds CREMI's marks for background or invalid voxels (2^64-1, 2^64-2).",
            "Take them out first: connectomics.data.processing.clean_label(label).",
        )
    return label
