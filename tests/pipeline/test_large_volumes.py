"""Volumes too large to be read whole are scored, and shown, as if they had been."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from main import main

from connectomics.data.io import open_volume, save_volume
from connectomics.data.processing import CleanLabel, Marks, clean_label
from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.errors import DataError
from connectomics.evaluation import list_extents, volumes
from connectomics.geometry import Box
from connectomics.pipeline.labelled import Labelled
from connectomics.pipeline.report import draw
from connectomics.pipeline.results import VolumeResults
from connectomics.process import progress
from connectomics.report import cutouts
from connectomics.scoring import labels as label_volumes
from connectomics.scoring.labels import CleanVolume, open_truth, read_truth
from tests.pipeline.crossing_synapses import synapses

SHAPE = (6, 24, 60)
NM = (30.0, 4.6, 8.1)
CHUNKS = (4, 10, 16)


def store(path: str | Path, labels: np.ndarray, chunks: tuple[int, ...] = CHUNKS) -> None:
    """Write labels in chunks of a size of their own."""
    with h5py.File(path, "w") as file:
        file.create_dataset("main", data=labels, chunks=chunks).attrs["resolution"] = NM


TRUTH, OTHER = (synapses(np.random.default_rng(seed), SHAPE, 12) for seed in (0, 1))
FOUND = np.roll(TRUTH, (0, 1, 2), (0, 1, 2))
FOUND[:, :, 40:] = OTHER[:, :, 40:]


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Evaluate files whole and by box; give what was written, once it is the same."""
    monkeypatch.chdir(tmp_path)
    store("found.h5", FOUND)
    rng = np.random.default_rng(2)
    save_volume("em.h5", rng.integers(0, 255, SHAPE).astype(np.uint8), resolution=NM)
    store("mask.h5", (rng.random(SHAPE) < 0.9).astype(np.uint8), (6, 5, 60))
    store("neurons.h5", rng.integers(0, 4, SHAPE).astype(np.uint32))

    def written(folder: str, *arguments: str) -> dict[str, bytes]:
        given = (*arguments, "prediction=found.h5", f"output={folder}")
        assert main(["--mode", "evaluate", *given]) == 0
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}

    def clean_part(part: np.ndarray, where: str, *, marks: Marks) -> CleanLabel:
        assert part.size < np.prod(SHAPE)
        return clean_label(part, where, marks=marks)

    def both(truth: np.ndarray, *arguments: str) -> dict[str, bytes]:
        store("truth.h5", truth)
        whole = written("whole", "truth=truth.h5", *arguments)
        monkeypatch.setattr(label_volumes, "IN_MEMORY", 0)
        monkeypatch.setattr(volumes, "BLOCK_VOXELS", 1)
        monkeypatch.setattr(cutouts, "LARGEST_SLAB", 0)
        monkeypatch.setattr(label_volumes, "clean_label", clean_part)
        by_box = written("by_box", "truth=truth.h5", *arguments)
        capsys.readouterr()
        assert by_box == whole
        return whole

    return both


SITES = "metrics=[polarity,detection,jaccard,cremi_clefts,em_r50_pair,points,cremi_partners]"


def test_all_that_is_written_is_the_same(evaluate):
    files = evaluate(TRUTH, SITES, "mask=mask.h5", "neurons=neurons.h5", "image=em.h5")
    assert {"scores.json", "matches.csv", "report.html"} <= set(files)


@pytest.mark.parametrize(
    "truth",
    [
        np.where(TRUTH > 0, 2 - TRUTH % 2, 0).astype(np.uint8),
        np.where(TRUTH > 2, TRUTH.astype(np.uint64), np.where(TRUTH > 0, 2**64 - 2, 2**64 - 1)),
        np.where(TRUTH > 2, TRUTH, np.where(TRUTH > 0, 0, 65535)).astype(np.uint16),
        TRUTH.astype(np.float32),
        np.zeros(SHAPE, np.uint8),
    ],
    ids=("semantic", "invalid", "zero", "float", "empty"),
)
def test_labels_in_every_form(evaluate, truth):
    evaluate(truth)


@pytest.mark.parametrize(
    ("value", "said"),
    [(-7, "labels hold -7 at voxel \\(5, 20, 50\\)"), (2.5, "2.5 at voxel \\(5, 20, 50\\)")],
)
def test_where_labels_are_wrong_is_said(tmp_path, monkeypatch, value, said):
    monkeypatch.setattr(volumes, "BLOCK_VOXELS", 1)
    wrong = TRUTH.astype(type(value))
    wrong[5, 20, 50] = value
    store(tmp_path / "wrong.h5", wrong)
    with open_volume(tmp_path / "wrong.h5") as volume, pytest.raises(DataError, match=said):
        CleanVolume(volume)


def test_what_counts_and_what_is_held(tmp_path, monkeypatch):
    """Without a pass over the voxels, the objects are those of the clean labels."""
    monkeypatch.setattr(volumes, "BLOCK_VOXELS", 1)
    raw = np.where(TRUTH > 2, TRUTH.astype(np.uint64), np.where(TRUTH > 0, 2**64 - 2, 2**64 - 1))
    raw[0, 0, :5] = 0  # beside CREMI's background, an object
    store(tmp_path / "raw.h5", raw)
    with open_volume(tmp_path / "raw.h5") as label:
        mask = MemoryVolume("mask", np.ones(SHAPE, np.uint8))
        volume = LabelledVolume("v", label, label=label, mask=mask)
        labels, counts = read_truth(volume)
        monkeypatch.setattr(label_volumes, "IN_MEMORY", 0)
        truth = open_truth(volume)
        assert isinstance(truth.labels, CleanVolume)
        assert counts is not None
        assert truth.mask is not None
        box = Box((1, 2, 3), (6, 20, 50))
        np.testing.assert_array_equal(truth.labels.read(box), labels[box.slices])
        np.testing.assert_array_equal(volumes.read(truth.mask, box), counts[box.slices])
        assert truth.counted == np.count_nonzero(counts)
        held, expected = list_extents(truth.labels), list_extents(labels)
        for one, other in zip(held.columns, expected.columns, strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_picture_of_a_run_is_the_same(tmp_path, monkeypatch):
    for name, array in (("truth.h5", TRUTH), ("em.h5", (TRUTH * 7 % 251).astype(np.uint8))):
        store(tmp_path / name, array)
    results = VolumeResults(tmp_path / "results")
    save_volume(results.labels, FOUND, attributes={"encoding": "polarity"})
    with open_volume(tmp_path / "em.h5") as image, open_volume(tmp_path / "truth.h5") as label:
        one = Labelled(LabelledVolume("v", image, label=label), results)
        draw(one, tmp_path / "whole.png")
        monkeypatch.setattr(label_volumes, "IN_MEMORY", 0)
        monkeypatch.setattr(volumes, "BLOCK_VOXELS", 1)
        draw(one, tmp_path / "by_box.png")
    assert (tmp_path / "by_box.png").read_bytes() == (tmp_path / "whole.png").read_bytes()


def test_a_volume_is_gone_through_once_until_its_file_changes(tmp_path, monkeypatch):
    calls = []
    count = label_volumes.list_values
    monkeypatch.setattr(label_volumes, "list_values", lambda one: calls.append(one) or count(one))
    for labels, times in ((TRUTH, 1), (FOUND, 2)):
        store(tmp_path / "truth.h5", labels)
        for _ in range(2):
            with open_volume(tmp_path / "truth.h5") as volume:
                held = list_extents(CleanVolume(volume))
            np.testing.assert_array_equal(held.ids, np.unique(labels[labels > 0]))
        assert len(calls) == times


def test_how_far_a_large_volume_is_read_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "IN_LOG", 0.0)
    monkeypatch.setattr(progress, "LINES", 10**9)
    list_extents(TRUTH)
    assert not capsys.readouterr().err
    monkeypatch.setattr(volumes, "BLOCK_VOXELS", 1)
    store(tmp_path / "truth.h5", TRUTH)
    with open_volume(tmp_path / "truth.h5") as volume:
        CleanVolume(volume)
    assert "labels read: 2 of 24 blocks, " in capsys.readouterr().err
