"""One card per synapse: what became of it, where it lies, and a picture of it in the EM."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from connectomics.evaluation import Extents, Labels, Matches, list_extents
from connectomics.evaluation.extents import NOTHING
from connectomics.evaluation.sides import synapse_number
from connectomics.report.cutouts import Picture, View, cut_out
from connectomics.report.scenes import Scene
from connectomics.report.views import MOST_PICTURES, choose, edge_of, most_shown, views_of

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

LARGEST_EXACT = 2**53
"""Above this a page's script would round a number."""


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
    side = edge_of(start, stop)
    chosen = choose([card.kind for card in cards], most_shown(side, most_pictures))
    middle = (start + stop)[chosen, 1:] // 2
    views = views_of(shown[chosen], middle, scene.prediction.shape, side)
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
