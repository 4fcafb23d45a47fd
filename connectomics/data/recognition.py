"""What a volume is, by its values first and by its name where those leave a choice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from connectomics.data.io import LazyVolume
from connectomics.data.io.location import SEPARATOR
from connectomics.data.processing import clean_label
from connectomics.data.processing.labels import whole_numbers
from connectomics.data.survey import evenness, sample
from connectomics.errors import DataError

Kind = Literal["image", "label", "pre", "post", "neurons", "mask", "other", "unclear"]

GREY, PIECES = 0.5, 0.8
"""Of neighbours along x, the share that are equal: fewer in EM (two per cent are usual), and more
in labels."""

COLOURS = 4
"""Channels of a picture at most: red, green, blue and how opaque it is."""
FEW = 3
"""Different values of what has background and at most two kinds of foreground."""

EVERYWHERE = 0.9
"""A share of the volume; more is labelled in a segmentation of everything, such as neurons."""

IMAGES = {"em", "img", "im", "image", "images", "raw", "grey", "gray", "sem", "tem"}
SYNAPSES = {
    *("syn", "syns", "synapse", "synapses", "synaptic", "cleft", "clefts", "psd", "psds"),
    *("polarity", "label", "labels", "lbl", "gt", "truth", "annotation", "annotations", "seg"),
}
PRE = {"pre", "presyn", "presynapse", "presynapses", "presynaptic"}
POST = {"post", "postsyn", "postsynapse", "postsynapses", "postsynaptic"}
NEURONS = {"neuron", "neurons", "neurites", "cells", "neuronids"}
MASKS = {"mask", "masks", "valid", "roi"}
OTHERS = {
    *("membrane", "membranes", "mito", "mitochondria", "boundary", "boundaries", "affinity"),
    *("affinities", "vesicle", "vesicles", "prob", "probs", "probability", "probabilities"),
    *("pred", "prediction", "predictions", "glia", "nuclei"),
}
STRONG = {"syn", "syns", "synapse", "synapses", "synaptic", "cleft", "clefts", "psd", "polarity"}
"""Words of labels that say of what; `labels` may be those of anything."""

FILLERS = {"volumes", "volume", "vol", "main", "data", "stack", "h", "s", "tif", "zarr", "png"}


@dataclass(frozen=True, eq=False)
class Recognised:
    """A volume, and what it is.

    Attributes:
        volume: The volume.
        kind: `pre` and `post` are masks of one side. `other` is of no use here, and `unclear`
            may be grey values or labels.
        why: In part of a sentence.
        doubt: What its name says against that; empty where it does not.
    """

    volume: LazyVolume
    kind: Kind
    why: str
    doubt: str = ""

    @property
    def is_named_synapses(self) -> bool:
        """Whether its name says that it holds synapses."""
        return bool(words_of(self.volume.source) & STRONG)


def words_of(source: str) -> set[str]:
    """The words and numbers in a file's name, its dataset, and the folder it is in.

    >>> sorted(words_of("vol3/syn_Yx2.h5::labels/preSyn"))
    ['2', '3', '5', 'h', 'labels', 'pre', 'syn', 'vol', 'yx']
    """
    path, _, dataset = source.partition(SEPARATOR)
    text = "/".join([*Path(path).parts[-2:], dataset])
    text = re.sub("([a-z])([A-Z])", r"\1 \2", text)
    return set(re.findall("[a-z]+|[0-9]+", text.lower()))


def own_words(source: str) -> set[str]:
    """Of `words_of`, those that tell one volume from another rather than what it holds."""
    kinds = IMAGES | SYNAPSES | PRE | POST | NEURONS | MASKS | OTHERS | FILLERS
    return words_of(source) - kinds


def recognise(volume: LazyVolume) -> Recognised:
    """Tell what a volume is.

    Raises:
        DataError: It cannot be read.
    """
    if len(volume.shape) != 3:
        return Recognised(volume, "other", _channels(volume.shape))
    named = _last_words(volume.source)
    values = sample(volume).values
    try:
        whole = whole_numbers(values, volume.source)
    except DataError:
        kind: Kind = "other" if named & OTHERS else "image"
        why = "holds fractions, and labels are whole numbers"
        return Recognised(volume, kind, why, _doubt(kind, named))
    even = evenness(whole, _commonest(whole))
    distinct = np.unique(_thinned(whole)).size
    if distinct < 2 and whole.min(initial=0) == whole.max(initial=0) and not _settled(named):
        return Recognised(volume, "other", f"holds nothing but {whole.max(initial=0)}")
    if distinct > FEW and even < GREY:
        if named & OTHERS:
            return Recognised(volume, "other", "is named as something else")
        return Recognised(volume, "image", "holds grey values", _doubt("image", named))
    if distinct > FEW and even < PIECES and not _settled(named):
        why = f"{even:.0%} of neighbouring voxels are equal: grey values have less, labels more"
        return Recognised(volume, "unclear", why)
    if distinct > FEW and even < PIECES and named & IMAGES:
        return Recognised(volume, "image", "is named as an image")
    return _recognise_labels(volume, whole, named)


def _channels(shape: Sequence[int]) -> str:
    first, *_, last = shape
    if last <= COLOURS < first:
        return f"has {last} channels along its last axis, where a volume has one: save one alone"
    return (
        f"has {first} channels, where an image has one, and labels are one volume: 1 for pre and "
        "2 for post, or a number for each synapse"
    )


def _recognise_labels(volume: LazyVolume, values: np.ndarray, named: set[str]) -> Recognised:
    try:
        labels = clean_label(values, volume.source).label
    except DataError:
        return Recognised(volume, "label", "holds whole numbers in pieces")
    filled = np.count_nonzero(labels) / max(1, labels.size)
    binary = np.unique(labels[labels > 0]).size == 1
    if named & PRE and not named & POST:
        return Recognised(volume, "pre", "is named as pre sides")
    if named & POST and not named & PRE:
        return Recognised(volume, "post", "is named as post sides")
    if binary and filled > GREY and named & MASKS:
        return Recognised(volume, "mask", f"one value in {filled:.0%} of it, named a mask")
    if named & OTHERS and not named & STRONG:
        return Recognised(volume, "other", "is named as something else")
    if filled > EVERYWHERE or (named & NEURONS and not named & STRONG):
        return Recognised(volume, "neurons", f"objects in {filled:.0%} of it")
    return Recognised(volume, "label", "holds whole numbers in pieces", _doubt("label", named))


def _last_words(source: str) -> set[str]:
    """The words nearest to the values: of the dataset, else of the file, else of its folder."""
    path, _, dataset = source.partition(SEPARATOR)
    parts = [*Path(path).parts[-2:], *filter(None, dataset.split("/"))]
    for part in reversed(parts):
        if _settled(words := words_of(part)):
            return words
    return set()


def _settled(words: set[str]) -> bool:
    kinds = (IMAGES, SYNAPSES, PRE, POST, NEURONS, MASKS, OTHERS)
    return any(words & kind for kind in kinds)


def _doubt(kind: Kind, named: set[str]) -> str:
    if kind == "image" and named & (SYNAPSES | PRE | POST) and not named & IMAGES:
        return "holds grey values, and is named as labels"
    if kind == "label" and named & IMAGES and not named & SYNAPSES:
        return "holds labels, and is named as an image"
    return ""


def _thinned(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1)[:: max(1, values.size // 2**20)]


def _commonest(values: np.ndarray) -> float:
    found, counts = np.unique(_thinned(values), return_counts=True)
    return found[np.argmax(counts)]
