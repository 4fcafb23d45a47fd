"""What goes into a score besides the labels, and what a reader of the scores is told."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest

from connectomics.config.schema import EvaluationSection
from connectomics.data.io import open_volume, save_volume
from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.errors import DataError
from connectomics.geometry import VoxelGrid
from connectomics.scoring.labels import read_truth
from connectomics.scoring.pairs import confidences, read_pair
from connectomics.scoring.sites import annotated_sites

SHAPE = (3, 12, 80)


def labels(*columns: int) -> np.ndarray:
    """Synapse n begins at column n of `columns`; its sides lie one below the other."""
    made = np.zeros(SHAPE, np.uint16)
    for n, x in enumerate(columns, start=1):
        made[1, 2:5, x : x + 8], made[1, 5:8, x : x + 8] = 2 * n - 1, 2 * n
    return made


SIDED = labels(0, 25, 50)
WHOLE = (SIDED + 1) // 2


def labelled(truth: np.ndarray, mask: np.ndarray | None = None) -> LabelledVolume:
    volume = MemoryVolume("tissue", truth)
    return LabelledVolume(
        "tissue", volume, label=volume, mask=None if mask is None else MemoryVolume("mask", mask)
    )


@pytest.fixture
def notes(tmp_path):
    """What a reader is told of a truth, given how a prediction is stored."""
    save_volume(tmp_path / "labels.h5", SIDED)

    def of(truth, encoding, stated="auto", mask=None):
        section = EvaluationSection(truth_encoding=stated)
        with open_volume(str(tmp_path / "labels.h5")) as prediction:
            return read_pair(labelled(truth, mask), prediction, section, encoding=encoding).notes

    return of


@pytest.mark.parametrize(
    ("truth", "seen"),
    [
        (SIDED, "polarity"),
        (np.where(SIDED > 0, 2 - SIDED % 2, 0), "semantic"),
        (WHOLE, "instance"),
        ((SIDED > 0).astype(np.uint8), "binary"),
    ],
)
def test_how_a_truth_is_read_is_said(notes, truth, seen):
    assert notes(truth, "polarity") == (
        f"truth is tissue, read as {seen} labels, going by their values (if they are others: "
        "truth_encoding=...).",
    )
    assert notes(truth, "polarity", "polarity") == ()


def test_no_encoding_is_said_of_a_truth_that_shows_none(notes):
    assert notes(np.zeros(SHAPE, int), "polarity") == (
        "the truth holds no labels where scores count: nothing can be found, only invented.",
    )


def test_how_much_is_left_out_is_said(notes):
    mask = np.ones(SHAPE, np.uint8)
    assert notes(SIDED, "polarity", "polarity", mask=mask) == ()
    mask[:, :, 60:] = 0
    assert notes(SIDED, "polarity", "polarity", mask=mask) == (
        "25.00% of the voxels are unlabelled and were left out first.",
    )


def test_a_prediction_of_something_else_is_doubted(notes):
    (said,) = notes(np.roll(SIDED, 10, axis=2), "polarity", "polarity")
    assert said.startswith("no labelled voxel of the prediction is one of the truth")


def test_mask_and_invalid_voxels_together():
    truth = SIDED.astype(np.uint64)
    truth[truth == 0] = 2**64 - 1
    truth[:, :, :10] = 2**64 - 2
    given = np.ones(SHAPE, np.uint8)
    given[2] = 0
    label, mask = read_truth(labelled(truth, given))
    assert mask is not None
    assert mask.sum() == 2 * 12 * 70
    np.testing.assert_array_equal(label, np.where(np.arange(80) < 10, 0, SIDED))
    said = "tissue: no voxel counts: all are outside the mask mask, or marked as invalid in tissue"
    with pytest.raises(DataError, match=said):
        read_truth(labelled(truth, (np.arange(80) < 10) * np.ones(SHAPE, np.uint8)))


def test_confidences_are_those_of_all_synapses_or_of_none():
    def of(*values: float) -> dict[int, float] | None:
        ids = list(range(1, len(values) + 1))
        return confidences(pd.DataFrame({"synapse_id": ids, "confidence": values}))

    assert of(0.5, 0.25) == {1: 0.5, 2: 0.25}
    assert of(np.nan, np.nan) is None
    with pytest.raises(DataError, match="confidence of synapse 2 is nan"):
        of(0.5, np.nan)
    with pytest.raises(DataError, match="confidence of synapse 1 is inf"):
        of(np.inf, np.nan)


def test_the_neuron_of_an_annotation_is_that_of_the_nearest_voxel(tmp_path):
    """As CREMI's own scores find it: round((location - offset) / resolution), halves to even."""
    neurons = np.arange(1, 1 + 4 * 4 * 4, dtype=np.uint64).reshape(4, 4, 4)
    grid = VoxelGrid((40.0, 4.0, 4.0), (80.0, 8.0, 0.0))
    at = np.random.default_rng(0).uniform(-0.49, 3.49, (200, 3))
    at[:6] = [[0.5, 1.5, 2.5], [0.4, 0.6, 1], [-0.4, 0, 0], [3.6, 0, 0], [-0.6, 0, 0], [3.49, 3, 3]]
    points = grid.to_nm(at)
    expected = [
        neurons[z, y, x] if min(z, y, x) >= 0 and max(z, y, x) < 4 else 0
        for z, y, x in ([round(i) for i in row] for row in at)
    ]
    volume = LabelledVolume("v", MemoryVolume("neurons", neurons, grid))
    file = tmp_path / "sites.hdf"
    with h5py.File(file, "w") as sites:
        sites["annotations/ids"] = np.arange(len(points))
        sites["annotations/locations"] = points - (40, 0, 4)
        sites["annotations"].attrs["offset"] = (40, 0, 4)
        sites["annotations/presynaptic_site/partners"] = np.arange(200).reshape(100, 2)
    found = annotated_sites(volume, str(file), neurons)
    assert found.neurons.ravel().tolist() == expected
