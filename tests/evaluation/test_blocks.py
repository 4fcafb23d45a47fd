"""Scores of volumes that are read block by block are those of the same volumes as arrays."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectomics.config.schema import EvaluationSection
from connectomics.errors import DataError
from connectomics.evaluation import (
    Encoding,
    LabelPair,
    Sites,
    contingency_table,
    distances,
    evaluate_volumes,
    group_components,
    group_semantic,
    interpret,
    likely_encoding,
    volumes,
)
from connectomics.evaluation.extents import list_extents
from connectomics.evaluation.volumes import blocks_of
from connectomics.geometry import Box
from connectomics.mapping import Part, Work, mapped_by

RESOLUTION = (30.0, 4.6, 8.1)
SIDED = (
    "polarity",
    "detection",
    "jaccard",
    "cremi_clefts",
    "em_r50_union",
    "em_r50_pair",
    "points",
)
UNSIDED = ("detection", "jaccard", "cremi_clefts")


class Lazy:
    """An array that can only be read by box, and says how it is stored."""

    def __init__(self, array: np.ndarray, chunks: tuple[int, ...]) -> None:
        self.array, self.shape, self.chunks = array, array.shape, chunks
        self.most = 0

    def read(self, box: Box) -> np.ndarray:
        assert box.fits_in(self.shape)
        self.most = max(self.most, box.size)
        return self.array[box.slices].copy()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(volumes, "BLOCK_VOXELS", 1)  # so that a block is a chunk


shapes = st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 8))
chunk_shapes = st.tuples(st.integers(1, 3), st.integers(2, 7), st.integers(1, 8))
seeds = st.integers(0, 2**32 - 1)


def random_labels(
    rng: np.random.Generator, shape: tuple[int, ...], top: int, dtype: Any
) -> np.ndarray:
    """Boxes of random labels that overlap, so that objects are in pieces and touch."""
    labels = np.zeros(shape, dtype)
    for _ in range(rng.integers(0, 9)):
        start = [int(rng.integers(0, n)) for n in shape]
        size = rng.integers(1, 5, 3)
        index = tuple(slice(a, a + int(d)) for a, d in zip(start, size, strict=True))
        labels[index] = rng.integers(0, top + 1)
    return labels


def some_dtype(rng: np.random.Generator) -> Any:
    """One for truth and prediction: the loops are compiled for each pair of types."""
    return (np.uint8, np.int32, np.uint64)[rng.integers(3)]


def scored(pair: LabelPair, **section: Any) -> str:
    report = evaluate_volumes([pair], EvaluationSection.model_validate(section))
    return json.dumps([report.as_dict(), report.matches])


def elsewhere(work: Work, boxes: Any, what: str, given_with: Any) -> Iterator[Part]:
    """As other processes do it: last blocks first, all carried there and back as bytes."""
    sent, parts = pickle.dumps(work), {}
    for i in reversed(range(len(boxes))):
        more = () if given_with is None else (given_with[i],)
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **dict(pickle.loads(sent)(boxes[i], *more)))
        parts[i] = np.load(io.BytesIO(file.getvalue()))
    yield from (parts[i] for i in range(len(boxes)))


def as_lazy(pair: LabelPair, chunks: tuple[int, ...], which: tuple[bool, ...]) -> LabelPair:
    given = {
        name: Lazy(value, chunks) if lazy else value
        for name, lazy in zip(("truth", "prediction", "mask"), which, strict=True)
        if (value := getattr(pair, name)) is not None
    }
    return pair._replace(**given)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seeds,
    shapes,
    chunk_shapes,
    st.sampled_from(["polarity", "semantic", "auto"]),
    st.sampled_from(["polarity", "semantic", "auto"]),
    st.sampled_from([(True, True, True), (True, False, True), (False, True, False)]),
)
def test_labels_with_sides(seed, shape, chunks, truth_encoding, prediction_encoding, lazy):
    rng = np.random.default_rng(seed)
    tops = [2 if one != "polarity" else 8 for one in (truth_encoding, prediction_encoding)]
    dtype = some_dtype(rng)
    truth, prediction = (random_labels(rng, shape, top, dtype) for top in tops)
    if rng.random() < 0.5:
        other = np.uint16 if dtype is np.uint8 else dtype
        prediction = np.where(rng.random(shape) < 0.8, truth, prediction)
        prediction = np.minimum(prediction, tops[1]).astype(other)
    mask = None if rng.random() < 0.4 else rng.random(shape) < 0.8
    points = rng.random((3, 2, 3)) * 100
    sites = Sites(*points, neurons=rng.integers(0, 3, (2, 2)).astype(np.uint64))
    pair = LabelPair(
        "v",
        truth,
        prediction,
        prediction_encoding=prediction_encoding,
        truth_encoding=truth_encoding,
        resolution=RESOLUTION,
        mask=mask,
        truth_sites=sites,
        prediction_sites=sites,
    )
    kwargs: dict[str, dict[str, Any]]
    kwargs = {"em_r50_union": {"crop_z": int(shape[0] > 2), "min_size": int(rng.integers(1, 20))}}
    kwargs["cremi_clefts"] = {"max_distance_nm": float(rng.choice([0, 9.2, 40, 200]))}
    kwargs["polarity"] = {"dilate_sz": (None, 3)[rng.integers(2)]}
    if shape[0] == 2:
        kwargs["em_r50_union"]["crop_z"] = 0
    section = {
        "metrics": [{"name": name, "kwargs": kwargs.get(name, {})} for name in SIDED],
        "ignore_border": bool(rng.random() < 0.5),
    }
    expected = scored(pair, **section)
    assert scored(as_lazy(pair, chunks, lazy), **section) == expected
    with mapped_by(elsewhere):
        assert scored(as_lazy(pair, chunks, lazy), **section) == expected


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seeds, shapes, chunk_shapes, st.sampled_from(["instance", "binary", "auto"]))
def test_labels_without_sides(seed, shape, chunks, encoding):
    rng = np.random.default_rng(seed)
    dtype = some_dtype(rng)
    truth = random_labels(rng, shape, int(rng.integers(1, 4)), dtype)
    prediction = random_labels(rng, shape, 5, dtype)
    mask = None if rng.random() < 0.4 else (rng.random(shape) < 0.8).astype(np.uint8)
    pair = LabelPair("v", truth, prediction, "instance", RESOLUTION, mask, truth_encoding=encoding)
    section = {"metrics": [{"name": name} for name in UNSIDED]}
    expected = scored(pair, **section)
    assert scored(as_lazy(pair, chunks, (True,) * 3), **section) == expected
    with mapped_by(elsewhere):
        assert scored(as_lazy(pair, chunks, (True,) * 3), **section) == expected


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seeds, shapes, chunk_shapes, st.sampled_from([0, 1, 3, 5]), st.floats(0.05, 0.7))
def test_groups_have_the_numbers_of_the_whole(seed, shape, chunks, size, density):
    rng = np.random.default_rng(seed)
    semantic = (rng.integers(1, 3, shape) * (rng.random(shape) < density)).astype(np.uint8)
    forms: tuple[tuple[Encoding, np.ndarray], ...] = (
        ("semantic", group_semantic(semantic, dilate_sz=size)),
        ("binary", group_components(semantic > 0, dilate_sz=size)),
    )
    for encoding, expected in forms:
        found = interpret("truth", Lazy(semantic, chunks), encoding, sided=True, dilate_sz=size)
        assert not isinstance(found.labels, np.ndarray)
        np.testing.assert_array_equal(found.labels.read(Box((0, 0, 0), shape)), expected)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seeds, shapes, chunk_shapes, st.integers(1, 12))
def test_what_labels_hold(seed, shape, chunks, top):
    rng = np.random.default_rng(seed)
    labels = random_labels(rng, shape, top, some_dtype(rng))
    found = list_extents(Lazy(labels, chunks))
    assert found.ids.tolist() == sorted(set(labels[labels > 0].tolist()))
    for i, one in enumerate(found.ids.tolist()):
        places = np.argwhere(labels == one)
        assert found.voxels[i] == len(places)
        assert found.start[i].tolist() == places.min(0).tolist()
        assert found.stop[i].tolist() == (places.max(0) + 1).tolist()
    assert likely_encoding(Lazy(labels, chunks)) == likely_encoding(labels)


@pytest.mark.parametrize("look_up", [0, 25, 10**6])
def test_distances_reach_as_far_as_they_have_to(look_up, monkeypatch):
    """One true voxel in one corner, blocks of predictions everywhere else."""
    monkeypatch.setattr(distances, "LOOK_UP", look_up)
    truth, prediction = np.zeros((2, 6, 20, 30), np.uint8)
    truth[0, 0, 0], prediction[:, 7:, 11:] = 1, 1
    pair = LabelPair("v", truth, prediction, "instance", RESOLUTION)
    section = {"metrics": [{"name": "cremi_clefts", "kwargs": {"max_distance_nm": 60.0}}]}
    assert scored(as_lazy(pair, (2, 6, 7), (True,) * 3), **section) == scored(pair, **section)


def test_no_more_than_a_block_and_its_rim_is_read_at_a_time(monkeypatch):
    monkeypatch.setattr(volumes, "BLOCK_VOXELS", 512)
    truth = Lazy(np.ones((24, 24, 24), np.uint8), (4, 4, 4))
    mask = Lazy(np.ones((24, 24, 24), bool), (8, 8, 8))
    contingency_table(truth, truth, mask=mask)
    assert (truth.most, mask.most) == (512, 1000)
    assert {box.size for box in blocks_of(truth)} == {512}


def test_what_is_wrong_with_labels_is_said_of_blocks_too():
    lazy = Lazy(np.full((2, 3, 4), -1), (1, 1, 2))
    with pytest.raises(DataError, match="negative labels"):
        contingency_table(lazy, lazy)
    with pytest.raises(DataError, match="shape"):
        contingency_table(lazy, np.zeros((2, 3, 5), int))
    marks = Lazy(np.full((2, 3, 4), 2**64 - 1, np.uint64), (1, 3, 4))
    with pytest.raises(DataError, match="CREMI's marks"):
        contingency_table(np.zeros((2, 3, 4), int), marks)
