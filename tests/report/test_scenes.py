"""Which labels a report shows, and what of them was matched."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.config.schema import ScoringSection
from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.evaluation import LabelPair, evaluate_volumes
from connectomics.report.gallery import list_cards
from connectomics.report.scenes import found_scene, scored_scene

VOLUME = LabelledVolume("em", MemoryVolume("em", np.zeros((1, 8, 60), np.uint8)))


def row(*values: int) -> np.ndarray:
    """(1, 8, 60): each value fills 3 columns of 4 rows."""
    made = np.zeros((1, 8, 60), np.uint8)
    for i, value in enumerate(values):
        made[0, 2:6, 3 * i : 3 * i + 3] = value
    return made


TWO = row(1, 2, 0, 0, 0, 0, 3, 4)


@pytest.mark.parametrize(
    ("truth", "encoding", "prediction", "stored", "metric"),
    [
        (TWO, "polarity", TWO, "polarity", "polarity"),
        (row(1, 2, 0, 0, 0, 0, 1, 2), "semantic", TWO, "polarity", "polarity"),
        (row(7, 7, 0, 0, 0, 0, 9, 9), "instance", TWO, "polarity", "detection"),
        (row(1, 1, 0, 0, 0, 0, 1, 1), "binary", row(1, 1, 0, 0, 0, 0, 2, 2), "instance", "iou_f1"),
    ],
)
def test_cards_are_of_the_objects_that_were_scored(truth, encoding, prediction, stored, metric):
    section = ScoringSection.model_validate(
        {"metrics": [{"name": metric}], "truth_encoding": encoding}
    )
    pair = LabelPair("em", truth, prediction, stored, truth_encoding=encoding)
    (scores,) = evaluate_volumes([pair], section).volumes
    scene = scored_scene(VOLUME, pair, scores, image=None)
    cards = list_cards(scene)
    kind = "true" if metric == "polarity" else "found"  # others do not look at sides
    assert [card.kind for card in cards] == [kind, kind]
    assert [card.voxel[2] for card in cards] == [3, 21]
    assert [card.voxels for card in cards] == [24, 24]


def test_without_such_a_metric_it_shows_what_was_found():
    section = ScoringSection.model_validate({"metrics": [{"name": "jaccard"}]})
    pair = LabelPair("em", TWO, TWO, "polarity", confidence={1: 0.5, 2: 0.25})
    (scores,) = evaluate_volumes([pair], section).volumes
    cards = list_cards(scored_scene(VOLUME, pair, scores, image=None))
    assert [(card.kind, card.confidence) for card in cards] == [("found", 0.5), ("found", 0.25)]
    assert len(list_cards(found_scene(VOLUME, pair, image=None))) == 2
