"""One card per synapse: what became of it, where it lies, and a picture of it in the EM."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from connectomics.data.volumes import Volume
from connectomics.evaluation import Extents, Labels, Matches, list_extents
from connectomics.evaluation.extents import NOTHING
from connectomics.evaluation.sides import synapse_number
from connectomics.geometry import NOWHERE, Box, VoxelGrid
from connectomics.report.cutouts import Picture, View, cut_out

KINDS = {
    "flipped": "sides the wrong way round",
    "one_sided": "one side not found",
    "loose": "found, but a side overlaps too little",
    "near": "overlaps too little: missed and false",
    "missed": "missed",
    "false": "false",
    "true": "found, both sides in place",
    "found": "found",
    "ignored": "not counted",
}
"""What can become of a synapse, the worst first, and how the page calls it."""

MOST_PICTURES = 1500
"""Of a page; the errors come first, each kind with as many as the others if it has them."""

MOST_PIXELS = 24_000_000
"""Of all pictures of a volume: about 10 MB of page, which a browser opens within a second."""

SMALLEST_VIEW, LARGEST_VIEW = 64, 192
SURROUNDINGS = 1.75
"""Edge of what is shown, of that of a synapse: vesicles and membranes around it tell its sides."""

SECTIONS = (0.2, 0.5, 0.8)
"""Which sections of a synapse are shown, by how far down it they lie."""

LARGEST_EXACT = 2**53
"""Above this a page's script would round a number."""


@dataclass(frozen=True)
class Scene:
    """What the cards of one volume are made from.

    Attributes:
        name: Of the volume.
        prediction: (Z, Y, X) labels, as they were scored.
        prediction_sided: Whether the pre voxels of synapse n carry 2n-1 and its post voxels 2n.
        truth: (Z, Y, X) labels, or None.
        truth_sided: The same for the truth.
        matches: Who was matched with whom; None without truth.
        image: (Z, Y, X) EM, or None.
        grid: Where its voxels lie.
        confidence: Of each predicted synapse by its number.
        synthetic: Whether it is a phantom.
        origin: Voxel (z, y, x) of the file at which the volume begins, where it is a part of it.
    """

    name: str
    prediction: Labels
    prediction_sided: bool
    truth: Labels | None = None
    truth_sided: bool = False
    matches: Matches | None = None
    image: Volume | None = None
    grid: VoxelGrid = NOWHERE
    confidence: Mapping[int, float] = field(default_factory=dict)
    synthetic: bool = False
    origin: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True)
class Card:
    """A synapse, as the page lists it.

    Attributes:
        volume: Name of its volume.
        kind: One of `KINDS`.
        truth: Number of the true synapse, 0 for none.
        prediction: Number of the predicted one, 0 for none.
        voxel: Its centre (z, y, x).
        nm: The same in nm, or None where the voxel size is not known.
        voxels: How many it has; those of the truth where there is one.
        size_um3: The same in µm³, or None.
        iou: Of both sides together, of the pre and of the post side; None where there is none.
        confidence: Of the prediction, or None.
        at_border: Whether the border of the volume cuts it.
        to_border: How far it lies from the nearest face of the volume, that of the truth where
            there is one; nm, or voxels where the voxel size is not known.
        picture: Its picture, or None.
    """

    volume: str
    kind: str
    truth: int
    prediction: int
    voxel: tuple[int, int, int]
    nm: tuple[float, float, float] | None
    voxels: int
    size_um3: float | None
    iou: tuple[float | None, float | None, float | None]
    confidence: float | None
    at_border: bool
    to_border: float
    picture: Picture | None = None


def list_objects(labels: Labels, *, sided: bool) -> Extents:
    """List the objects of a label volume, both sides of a synapse together.

    >>> found = list_objects(np.array([[[1, 2, 2, 0, 0, 3]]]), sided=True)
    >>> found.ids.tolist(), found.voxels.tolist(), found.start[:, 2].tolist()
    ([1, 2], [3, 1], [0, 5])
    """
    found = list_extents(labels)
    return found.renamed(synapse_number(found.ids)) if sided else found


def list_cards(scene: Scene, *, most_pictures: int = MOST_PICTURES) -> list[Card]:
    """List the synapses of a volume, each once, matched ones together.

    Args:
        scene: The volume.
        most_pictures: How many cards get a picture; none do without an image.
    """
    predicted = list_objects(scene.prediction, sided=scene.prediction_sided)
    if scene.truth is None or scene.matches is None:
        rows = _Rows.of_prediction(predicted)
        true = NOTHING
    else:
        rows = _Rows.of_matches(scene.matches)
        true = list_objects(scene.truth, sided=scene.truth_sided)
    start, stop, shown = _extents(rows, true, predicted)
    voxels = np.where(
        rows.truth > 0,
        _taken(true.voxels, true.rows(rows.truth)),
        _taken(predicted.voxels, predicted.rows(rows.prediction)),
    )
    away = _to_border(scene, rows, true, predicted)
    cards = [
        _card(scene, rows, i, (start[i] + stop[i]) // 2, int(voxels[i]), float(away[i]))
        for i in range(len(rows))
    ]
    if scene.image is None:
        return cards
    side = _side(start, stop)
    most = min(most_pictures, MOST_PIXELS // (len(SECTIONS) * side**2))
    chosen = _chosen([card.kind for card in cards], most)
    corner = (start + stop)[chosen, 1:] // 2 - side // 2
    views = _views(shown[chosen], corner, scene.prediction.shape, side)
    pictures = _draw(scene, views, rows.selected(chosen))
    for i, picture in zip(chosen.tolist(), pictures, strict=True):
        cards[i] = Card(**{**vars(cards[i]), "picture": picture})
    return cards


class _Rows(NamedTuple):
    """A row per card."""

    truth: np.ndarray
    prediction: np.ndarray
    kind: np.ndarray
    iou: np.ndarray
    at_border: np.ndarray | None

    def __len__(self) -> int:
        return len(self.kind)

    def selected(self, rows: np.ndarray) -> _Rows:
        border = None if self.at_border is None else self.at_border[rows]
        return _Rows(
            self.truth[rows], self.prediction[rows], self.kind[rows], self.iou[rows], border
        )

    @classmethod
    def of_prediction(cls, found: Extents) -> _Rows:
        nothing = np.zeros(len(found.ids), np.uint64)
        undefined = np.full((len(found.ids), 3), np.nan)
        return cls(nothing, found.ids, np.full(len(found.ids), "found"), undefined, None)

    @classmethod
    def of_matches(cls, matches: Matches) -> _Rows:
        iou = np.stack([matches.iou_union, matches.iou_pre, matches.iou_post], axis=1)
        loose = (matches.outcome == "correct") & ~matches.polarity[:, 0]
        kind = np.select(
            [
                np.isin(matches.outcome, ("ignored", "one_sided_truth")),
                loose & matches.polarity.any(axis=1),
                loose,
                matches.outcome == "correct",
                matches.outcome == "matched",  # nobody looked at sides
                matches.outcome == "spurious",
            ],
            ["ignored", "loose", "ignored", "true", "found", "false"],
            matches.outcome,
        )
        border = matches.truth_touches_border.copy()
        near = (matches.near_id > 0) & (matches.truth_id > 0)
        iou[near, 0] = matches.near_iou[near]
        prediction = np.where(near, matches.near_id, matches.prediction_id)
        border |= np.isin(prediction, matches.prediction_id[matches.prediction_touches_border])
        rows = cls(matches.truth_id, prediction, np.where(near, "near", kind), iou, border)
        # The other row of such a pair would show it once more.
        return rows.selected(np.flatnonzero((matches.near_id == 0) | near))


def _extents(
    rows: _Rows, true: Extents, predicted: Extents
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(k, 3) first voxel and one past the last of truth and prediction together.

    And (k, 2) the first section that both are in, and one past the last; those of the one there
    is, and those of both together where they share none.
    """
    far = np.iinfo(np.int64).max
    pairs = ((true, true.rows(rows.truth)), (predicted, predicted.rows(rows.prediction)))
    start = np.min([_taken(objects.start, row, far) for objects, row in pairs], axis=0)
    stop = np.max([_taken(objects.stop, row) for objects, row in pairs], axis=0)
    first = np.max([_taken(objects.start, row)[:, 0] for objects, row in pairs], axis=0)
    end = np.min([_taken(objects.stop, row, far)[:, 0] for objects, row in pairs], axis=0)
    alone = np.stack([start[:, 0], stop[:, 0]], axis=1)
    both = np.stack([first, end], axis=1)
    return start, stop, np.where((first < end)[:, None], both, alone)


def _to_border(scene: Scene, rows: _Rows, true: Extents, predicted: Extents) -> np.ndarray:
    """(k,) from each truth, or else prediction, to the nearest face of the volume."""
    truth = (rows.truth > 0)[:, None]
    row, other = true.rows(rows.truth), predicted.rows(rows.prediction)
    start = np.where(truth, _taken(true.start, row), _taken(predicted.start, other))
    stop = np.where(truth, _taken(true.stop, row), _taken(predicted.stop, other))
    faces = np.minimum(start, np.asarray(scene.prediction.shape) - stop)
    return (faces * (scene.grid.resolution or (1, 1, 1))).min(axis=1)


def _taken(values: np.ndarray, rows: np.ndarray, otherwise: int = 0) -> np.ndarray:
    """The value at each row, and `otherwise` for row -1."""
    last = np.full((1, *values.shape[1:]), otherwise, np.int64)
    return np.concatenate([values, last])[rows]


def _card(
    scene: Scene, rows: _Rows, i: int, middle: np.ndarray, voxels: int, to_border: float
) -> Card:
    z, y, x = middle.tolist()
    nm = size = None
    if scene.grid.resolution is not None:
        nm = tuple(scene.grid.to_nm((z, y, x)).tolist())
        size = voxels * math.prod(scene.grid.resolution) / 1e9
    union, pre, post = (None if math.isnan(value) else value for value in rows.iou[i].tolist())
    prediction = int(rows.prediction[i])
    return Card(
        volume=scene.name,
        kind=str(rows.kind[i]),
        truth=int(rows.truth[i]),
        prediction=prediction,
        voxel=(z, y, x),
        nm=nm,
        voxels=voxels,
        size_um3=size,
        iou=(union, pre, post),
        confidence=scene.confidence.get(prediction),
        at_border=to_border == 0 if rows.at_border is None else bool(rows.at_border[i]),
        to_border=to_border,
    )


def _chosen(kinds: Sequence[str], most: int) -> np.ndarray:
    """Which cards get a picture: errors first, the rarer the kind the more of it."""
    names = np.asarray(kinds, "U16")
    good = np.isin(names, ("true", "found", "ignored"))
    errors = _shared(np.where(good, "", names), most)
    return np.sort(np.concatenate([errors, _evenly(np.flatnonzero(good), most - len(errors))]))


def _shared(names: np.ndarray, most: int) -> np.ndarray:
    """Rows of every name but the empty one, about as many of each where not all can be taken."""
    groups = [np.flatnonzero(names == name) for name in np.unique(names[names != ""])]
    taken = [np.zeros(0, np.int64)]
    for left, group in zip(range(len(groups), 0, -1), sorted(groups, key=len), strict=True):
        taken.append(_evenly(group, (most - sum(map(len, taken))) // left))
    return np.concatenate(taken)


def _evenly(rows: np.ndarray, most: int) -> np.ndarray:
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(int)] if most > 0 else rows[:0]


def _draw(scene: Scene, views: Sequence[View], rows: _Rows) -> list[Picture]:
    assert scene.image is not None
    layers = []
    for name, labels, sided, ids in (
        ("truth", scene.truth, scene.truth_sided, rows.truth),
        ("prediction", scene.prediction, scene.prediction_sided, rows.prediction),
    ):
        if labels is not None:
            layers.append((name, labels, sided, ids))
    return cut_out(scene.image, views, layers)


def _side(start: np.ndarray, stop: np.ndarray) -> int:
    """The edge of the squares that are shown, one for all synapses."""
    if not len(start):
        return SMALLEST_VIEW
    extent = (stop - start)[:, 1:].max(axis=1)
    return int(np.clip(SURROUNDINGS * np.quantile(extent, 0.9), SMALLEST_VIEW, LARGEST_VIEW))


def _views(shown: np.ndarray, corner: np.ndarray, shape: Sequence[int], side: int) -> list[View]:
    """What to show of each synapse: a square at three of its sections, or beside a thin one."""
    corner = np.maximum(np.minimum(corner, np.array(shape[1:]) - side), 0)
    views = []
    for (first, end), (y, x) in zip(shown.tolist(), corner.tolist(), strict=True):
        sections = _sections(first, end, shape[0])
        box = Box((sections[0], y, x), (sections[-1] + 1, y + side, x + side))
        views.append(View(sections, box))
    return views


def _sections(first: int, end: int, depth: int) -> tuple[int, ...]:
    """Three of the sections of a synapse, and those next to it where it has fewer.

    >>> _sections(10, 21, 30), _sections(4, 6, 30), _sections(0, 1, 30), _sections(0, 2, 2)
    ((12, 15, 18), (4, 5, 6), (0, 1, 2), (0, 1))
    >>> _sections(23, 27, 30)
    (23, 24, 26)
    """
    if end - first < len(SECTIONS):
        first = max(0, min(first - (end - first == 1), depth - len(SECTIONS)))
        return tuple(range(first, min(first + len(SECTIONS), depth)))
    last, (low, middle, high) = end - 1 - first, SECTIONS
    return (
        first + math.floor(last * low),
        first + math.floor(last * middle),
        first + math.ceil(last * high),
    )


def some_of_each(cards: Sequence[Card]) -> list[Card]:
    """The cards in the order in which the page shows them unless asked for another.

    The first of each kind, the worst kind first, then the second of each. Of a kind those with a
    picture come first, then the surest and largest.
    """
    worst = {kind: rank for rank, kind in enumerate(KINDS)}
    ordered = sorted(
        cards,
        key=lambda card: (card.picture is None, -(card.confidence or 0), -card.voxels, card.volume),
    )
    seen: Counter[str] = Counter()
    ranked = []
    for card in ordered:
        ranked.append((seen[card.kind], worst[card.kind], card))
        seen[card.kind] += 1
    return [card for *_, card in sorted(ranked, key=lambda entry: entry[:2])]


def as_json(cards: Sequence[Card]) -> list[dict[str, Any]]:
    """The cards in plain values, as exact as they are shown; pictures by their number."""
    listed, number = [], 0
    for card in cards:
        entry = {**vars(card), "picture": None}
        del entry["to_border"]
        entry["nm"] = card.nm and [round(value, 1) for value in card.nm]
        entry["iou"] = [None if value is None else round(value, 3) for value in card.iou]
        entry["confidence"] = None if card.confidence is None else round(card.confidence, 3)
        entry["size_um3"] = card.size_um3 and float(f"{card.size_um3:.3g}")
        for name in ("truth", "prediction"):
            if entry[name] > LARGEST_EXACT:
                entry[name] = str(entry[name])
        if card.picture is not None:
            entry["picture"], number = number, number + 1
        listed.append(entry)
    return listed
