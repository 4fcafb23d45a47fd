"""Cards of synapses: who is listed, as what, and where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from connectomics.data.volumes import MemoryVolume
from connectomics.evaluation import detection_scores, polarity_scores
from connectomics.geometry import VoxelGrid
from connectomics.report import views
from connectomics.report.cutouts import Picture
from connectomics.report.gallery import (
    Card,
    as_json,
    list_cards,
    list_objects,
    some_of_each,
)
from connectomics.report.scenes import Scene


def labels(*synapses: tuple[int, int, int]) -> np.ndarray:
    """(4, 20, 40) labels; each synapse is (first label, column, rows): 3 voxels a side wide."""
    made = np.zeros((4, 20, 40), np.uint16)
    for first, column, rows in synapses:
        made[1:3, 5 : 5 + rows, column : column + 3] = first
        made[1:3, 5 : 5 + rows, column + 3 : column + 6] = first + 1 if first % 2 else first - 1
    return made


def scene(truth: np.ndarray, prediction: np.ndarray, **changed) -> Scene:
    matches = polarity_scores(truth, prediction, truth_encoding="polarity").matches
    return Scene("em", prediction, True, truth, True, matches, **changed)


def test_objects_of_both_kinds_of_labels():
    found = list_objects(labels((1, 3, 4), (5, 20, 2)), sided=True)
    assert found.ids.tolist() == [1, 3]
    assert found.voxels.tolist() == [48, 24]
    assert found.start.tolist() == [[1, 5, 3], [1, 5, 20]]
    assert found.stop.tolist() == [[3, 9, 9], [3, 7, 26]]
    assert list_objects(labels((1, 3, 4)), sided=False).ids.tolist() == [1, 2]
    assert list_objects(np.zeros((1, 2, 2)), sided=True).ids.size == 0


def test_each_synapse_once_with_what_became_of_it():
    truth = labels((1, 2, 4), (3, 12, 4), (5, 24, 4))
    prediction = labels((1, 2, 4), (4, 12, 4), (7, 33, 4))
    cards = list_cards(
        scene(truth, prediction, grid=VoxelGrid((30, 8, 8), (0, 80, 0)), confidence={1: 0.75})
    )
    told = {(card.kind, card.truth, card.prediction) for card in cards}
    assert told == {("true", 1, 1), ("flipped", 2, 2), ("missed", 3, 0), ("false", 0, 4)}
    (right,) = [card for card in cards if card.kind == "true"]
    assert right.voxel == (2, 7, 5)
    assert right.nm == (60.0, 136.0, 40.0)
    assert right.voxels == 48
    assert right.size_um3 == pytest.approx(48 * 1920 / 1e9)
    assert right.iou == (1, 1, 1)
    assert right.confidence == 0.75
    assert not right.at_border
    assert right.to_border == 2 * 8  # x is nearer than z, 30 nm, and y
    (missed,) = [card for card in cards if card.kind == "missed"]
    assert missed.iou == (None, None, None)
    assert missed.confidence is None


def test_of_labels_without_sides_none_is_said_to_be_in_place():
    truth = np.zeros((1, 9, 9), np.uint8)
    truth[0, 2:4, 2:4], truth[0, 6:8, 2:4] = 1, 2
    matches = detection_scores(truth, np.where(truth == 1, 1, 0)).matches
    cards = list_cards(Scene("em", np.where(truth == 1, 1, 0), False, truth, False, matches))
    assert [card.kind for card in cards] == ["found", "missed"]


def test_a_side_that_overlaps_too_little_is_neither_right_nor_flipped():
    truth, prediction = labels((1, 2, 8)), labels((1, 2, 8))
    prediction[:, 7:, 2:5] = np.where(prediction[:, 7:, 2:5] == 1, 2, prediction[:, 7:, 2:5])
    (card,) = list_cards(scene(truth, prediction))
    assert card.kind == "loose"
    assert card.iou[0] == 1
    assert card.iou[1] == pytest.approx(0.25)


def test_a_pair_that_overlaps_too_little_is_one_card():
    truth, prediction = labels((1, 2, 8), (3, 20, 8)), labels((1, 32, 4), (3, 20, 8))
    prediction[:, 9:, 20:26] = 0  # half of the second, and a quarter more
    prediction[:, 5:7, 20:26] = 0
    cards = list_cards(scene(truth, prediction, confidence={2: 0.5}))
    told = {(card.kind, card.truth, card.prediction): card for card in cards}
    assert {*told} == {("missed", 1, 0), ("false", 0, 1), ("near", 2, 2)}
    near = told["near", 2, 2]
    assert near.iou == (0.25, None, None)
    assert near.confidence == 0.5
    assert near.voxels == 96  # those of the truth


def test_the_sections_shown_are_those_that_truth_and_prediction_share():
    truth, prediction = np.zeros((2, 20, 20, 20), np.uint8)
    truth[8:10, 5:9, 5:9] = 1
    prediction[2:9, 5:9, 5:9] = 1
    matches = detection_scores(truth, prediction).matches
    image = MemoryVolume("em", truth)
    (card,) = list_cards(Scene("em", prediction, False, truth, False, matches, image))
    assert card.kind == "near"
    assert card.picture is not None
    assert card.picture.sections == (7, 8, 9)


def test_some_of_each_kind_come_first_with_a_picture_the_surest():
    picture = Picture((0,), "", {})
    card = Card("em", "true", 1, 1, (0, 0, 0), None, 10, None, (1, 1, 1), 0.5, False, 0.0, picture)
    sure, none = replace(card, confidence=0.9), replace(card, confidence=0.95, picture=None)
    missed = replace(card, kind="missed", confidence=None)
    large = replace(missed, voxels=20)
    assert some_of_each([card, none, sure, missed, large]) == [large, sure, missed, card, none]


def test_without_truth_everything_is_found_and_the_border_is_told():
    prediction = labels((1, 2, 4), (3, 34, 4))
    cards = list_cards(Scene("em", prediction, True, confidence={2: 0.5}))
    assert [(card.kind, card.prediction, card.at_border) for card in cards] == [
        ("found", 1, False),
        ("found", 2, True),
    ]
    assert [card.confidence for card in cards] == [None, 0.5]
    assert list_cards(Scene("em", np.zeros((2, 3, 4), np.uint8), True)) == []


def test_errors_get_their_pictures_first():
    truth = labels((1, 2, 4), (3, 12, 4), (5, 24, 4))
    prediction = labels((1, 2, 4), (4, 12, 4), (5, 24, 4))
    image = MemoryVolume("em", np.arange(4 * 20 * 40, dtype=np.uint16).reshape(4, 20, 40))
    cards = list_cards(scene(truth, prediction, image=image), most_pictures=2)
    assert [card.kind for card in cards if card.picture] == ["true", "flipped"]
    (none,) = [card for card in cards if card.picture is None]
    assert none.kind == "true"
    listed = as_json(cards)
    assert [entry["picture"] for entry in listed] == [
        0 if card is cards[0] else None if card.picture is None else 1 for card in cards
    ]


def test_pictures_are_as_many_as_a_browser_opens_at_once(monkeypatch):
    labels_of_three = labels((1, 2, 4), (3, 12, 4), (5, 24, 4))
    image = MemoryVolume("em", np.zeros((4, 20, 40), np.uint8))
    monkeypatch.setattr(views, "MOST_PIXELS", 2 * 3 * views.SMALLEST_VIEW**2)
    cards = list_cards(scene(labels_of_three, labels_of_three, image=image))
    assert [card.picture is not None for card in cards] == [True, False, True]


def test_numbers_that_a_script_would_round_are_texts():
    huge = np.zeros((1, 4, 4), np.uint64)
    huge[0, 1, 1] = 2**60 + 1
    (entry,) = as_json(list_cards(Scene("em", huge, False)))
    assert entry["prediction"] == str(2**60 + 1)
    assert entry["truth"] == 0
