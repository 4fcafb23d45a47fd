"""What labels and images hold that cannot be meant: said before a network learns from them."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from main import main

from connectomics.data import survey
from connectomics.data.io import save_volume
from connectomics.data.survey import sample, survey_labels
from connectomics.data.volumes import MemoryVolume

SHAPE = (12, 48, 48)
FILES = {"image": "img.h5", "label": "syn.h5", "resolution": [30, 8, 8]}

CONFIG = {
    "experiment_name": "labels",
    "system": {"num_gpus": 0, "num_threads": 1},
    "model": {"out_channels": 3, "rsunet": {"filters": [2, 2], "down_factors": [[1, 2, 2]]}},
    "data": {
        "train": FILES,
        "val": {**FILES, "image": "other.h5", "label": "test.h5"},
        "test": {**FILES, "image": "other.h5", "label": "test.h5"},
        "label_transform": {"targets": [{"name": "polarity"}]},
        "dataloader": {"patch_size": [4, 16, 16], "batch_size": 1, "num_workers": 0},
        "num_val_patches": 1,
    },
    "optimization": {"max_steps": 1, "n_steps_per_epoch": 1, "precision": "32-true"},
    "decoding": {"steps": [{"name": "polarity2instance"}]},
}
NOISE = np.random.default_rng(0).integers(20, 250, SHAPE, dtype=np.uint8)


def boxes(*ids: int, background: int = 0, dtype: str = "uint16") -> np.ndarray:
    """Boxes side by side in x, 6 x 12 x 4 voxels each, in the order of their ids."""
    label = np.full(SHAPE, background, dtype)
    for i, number in enumerate(ids):
        label[4:10, 10:22, 4 + 4 * i : 8 + 4 * i] = number
    return label


def apart(*ids: int) -> np.ndarray:
    """Boxes in the corners of the volume, far from one another."""
    label = np.zeros(SHAPE, np.uint16)
    corners = [(z, y, x) for z in (0, 8) for y in (0, 40) for x in (0, 40)]
    for number, (z, y, x) in zip(ids, corners, strict=False):
        label[z : z + 4, y : y + 8, x : x + 8] = number
    return label


GOOD = boxes(1, 2, 3, 4, 5, 6)


class Run:
    """The command line in a folder with a config, and what it says on the error stream."""

    def __init__(self, folder, capsys):
        self.folder, self.capsys = folder, capsys
        (folder / "my.yaml").write_text(yaml.safe_dump(CONFIG))
        self.write("img.h5", NOISE)
        self.write("other.h5", NOISE)
        self.write("syn.h5", GOOD)
        self.write("test.h5", GOOD)

    def write(self, name, array):
        save_volume(self.folder / name, array, overwrite=True)

    def __call__(self, *arguments, mode="train"):
        self.capsys.readouterr()
        code = main(["--config", "my.yaml", "--mode", mode, *arguments])
        return code, self.capsys.readouterr().err

    def train(self, label, *arguments):
        self.write("syn.h5", label)
        return self(*arguments)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    return Run(tmp_path, capsys)


BINARY = ("data.label_transform.targets=[binary]", "model.out_channels=1", "decoding.steps=[]")


def test_good_labels_are_trained_on_without_a_word(run):
    code, said = run.train(GOOD)
    assert code == 0, said
    assert "warning" not in said


@pytest.mark.parametrize("dtype", ["uint64", "uint32"])
def test_the_mark_of_background_is_said_where_it_was_cast(run, dtype):
    label = np.where(GOOD > 0, GOOD.astype(np.uint64), np.uint64(2**64 - 1))
    code, said = run.train(label.astype(dtype))
    assert code == 0, said
    mark = {"uint32": "4294967295", "uint16": "65535"}.get(dtype, "-1")
    expected = f"warning: syn.h5: {mark} is read as background (CREMI's mark)."
    assert (expected in said) == (dtype != "uint64")


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        (boxes(1), "there is no post (even numbers): 1."),
        (boxes(255), "there is no post (even numbers): 255."),
        (boxes(1, 3, 5, 7, 9, 11), "there is no post (even numbers): 1, 3, 5, 7, 9, …."),
        (boxes(2, 4), "there is no pre (odd numbers): 2, 4."),
        (boxes(0, 0, background=255), "98% of it is labelled, 98% as 255: that is no synapse."),
        (np.ones(SHAPE, np.uint8), "100% of it is labelled, 100% as 1"),
        (np.arange(12, dtype=np.uint16).reshape(12, 1, 1) // 2 + np.ones(SHAPE, np.uint16),
         "100% of it is labelled, as 6 objects: that is a segmentation of everything."),
        (NOISE, "holds grey values or probabilities"),
        (np.zeros(SHAPE, np.uint8), "the labels hold no foreground"),
        (boxes(1, 2) / 2, "labels must be whole numbers, and it holds 0.5"),
    ],
)  # fmt: skip
def test_labels_that_no_network_can_learn_polarity_from(run, label, problem):
    code, said = run.train(label)
    assert code == 2
    assert problem in said
    assert "syn.h5" in said or "data.train.label" in said
    assert not list(run.folder.glob("outputs/*/*/checkpoints"))


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        (boxes(1, 3, 5, 7, 9, 10), "of 5 synapses 1 have both sides: 1, 3, 5, 7, 9, …."),
        (apart(1, 2, 3, 4, 5, 6, 7, 8), "labels 2n-1 and 2n mostly lie apart"),
        (np.where(np.arange(48) < 30, GOOD[:, 10:11] + 7, GOOD), "62% of it is labelled"),
    ],
)
def test_labels_that_may_be_meant_get_a_warning(run, label, problem):
    code, said = run.train(np.broadcast_to(label, SHAPE).astype(np.uint16))
    assert code == 0, said
    assert f"warning: syn.h5: {problem}" in said


@pytest.mark.parametrize("label", [boxes(255), apart(1, 2, 3, 4)])
def test_binary_targets_take_any_ids(run, label):
    code, said = run.train(label, *BINARY)
    assert code == 0, said
    assert "warning" not in said


def test_image_and_label_in_the_wrong_places(run):
    code, said = run("data.train.image=syn.h5", "data.train.label=img.h5")
    assert code == 2
    assert "img.h5: " in said
    assert "Are image and label swapped?" in said


def test_an_image_of_few_values_gets_a_warning(run):
    run.write("img.h5", np.where(NOISE > 120, 255, 0).astype(np.uint8))
    code, said = run()
    assert code == 0, said
    assert "warning: img.h5: the image holds nothing but 0, 255." in said


def test_labels_in_the_place_of_the_image_get_a_warning(run):
    run.write("img.h5", apart(1, 2, 3, 4, 5, 6))
    code, said = run()
    assert code == 0, said
    assert "warning: img.h5: 100% of the voxels of the image equal the next one in x" in said


def test_an_image_with_empty_borders_is_an_ordinary_one(run):
    padded = NOISE.copy()
    padded[:, :, :40] = 0
    run.write("img.h5", padded)
    code, said = run()
    assert code == 0, said
    assert "warning" not in said


def test_one_volume_of_several_may_lack_a_side(run):
    run.write("one.h5", boxes(1))
    code, said = run("data.train.image=[img.h5,img.h5]", "data.train.label=[syn.h5,one.h5]")
    assert code == 0, said
    assert "warning: one.h5: of 1 synapses 0 have both sides: 1." in said


def test_the_truth_to_test_on_is_looked_at_before_training_and_testing(run):
    run.write("test.h5", boxes(0, 0, background=255))
    for mode in ("train", "evaluate"):
        code, said = run(mode=mode)
        assert code == 2
        assert "test.h5: 98% of it is labelled, 98% as 255" in said


def test_a_truth_that_is_not_there_yet_keeps_nobody_from_training(run):
    code, said = run("data.test.label=gone.h5")
    assert code == 0, said


def test_a_cleft_zero_is_learned_and_scored(run):
    clefts = boxes(7, background=2**64 - 1, dtype="uint64")
    clefts[0:3, 30:40, 30:40] = 0
    code, said = run.train(clefts, *BINARY)
    assert code == 0, said
    assert "warning: syn.h5: 0 is read as an object of its own (number 8)." in said
    run.write("found.h5", (clefts < 8).astype(np.uint8))
    metrics = "metrics=[jaccard,cremi_clefts]"
    arguments = ["truth=syn.h5", "prediction=found.h5", metrics, "resolution=[40,4,4]"]
    assert main(["--mode", "evaluate", *arguments]) == 0
    report = run.capsys.readouterr().out
    assert "1.000" in report


def test_a_cleft_zero_among_others_is_an_ordinary_one(run):
    clefts = boxes(7, 8, 9, 0, background=2**64 - 1, dtype="uint64")
    code, said = run.train(clefts, *BINARY)
    assert code == 0, said
    assert "warning" not in said


def test_chunks_of_an_image_that_were_never_written_are_said(run):
    import h5py

    with h5py.File("img.h5", "w") as file:
        raw = file.create_dataset("main", SHAPE, "u1", chunks=(6, 48, 48))
        raw[:6] = NOISE[:6]
    code, said = run()
    assert code == 0, said
    expected = "warning: img.h5: 1 of its 2 chunks were never written, and are read as if"
    assert said.count(expected) == 1


@pytest.mark.parametrize("name", ["label", "mask"])
def test_a_store_without_a_chunk_holds_nothing(run, name):
    import zarr

    zarr.create_array("none.zarr", shape=SHAPE, chunks=(6, 48, 48), dtype="u1")
    code, said = run(f"data.train.{name}=none.zarr")
    assert code == 2
    assert (
        said.count("warning: none.zarr: holds nothing: 2 of its 2 chunks were never written") == 1
    )
    array = zarr.create_array("some.zarr", shape=SHAPE, chunks=(6, 48, 48), dtype="u1")
    array[:6] = 1 if name == "mask" else GOOD[:6]
    code, said = run(f"data.train.{name}=some.zarr")
    assert (code, "holds nothing" in said) == (0, False), said


@pytest.mark.parametrize("store", ["zarr", "h5"])
def test_what_is_missing_and_read_as_another_value_is_said(run, store):
    import h5py
    import zarr

    if store == "zarr":
        create = {"shape": SHAPE, "chunks": (6, 48, 48), "dtype": "u2", "fill_value": 9}
        zarr.create_array("some.zarr", **create)[:6] = GOOD[:6]
    else:
        with h5py.File("some.h5", "w") as file:
            made = file.create_dataset("main", SHAPE, "u2", chunks=(6, 48, 48), fillvalue=9)
            made[:6] = GOOD[:6]
    _, said = run(f"data.train.label=some.{store}")
    expected = f"some.{store}: 1 of its 2 chunks were never written, and are read as 9."
    assert said.count(expected) == 1


def test_large_volumes_are_looked_at_in_part(monkeypatch):
    monkeypatch.setattr(survey, "VOXELS", 16 * 10 * 10)
    monkeypatch.setattr(survey, "SAMPLED", 16 * 10 * 10)
    volume = MemoryVolume("em", np.arange(40 * 20 * 20, dtype=np.uint32).reshape(40, 20, 20))
    values, whole = sample(volume)
    assert (values.shape, whole) == ((16, 10, 10), False)
    assert np.array_equal(values[0], volume.array[0, 5:15, 5:15])
    assert np.array_equal(values[-1], volume.array[39, 5:15, 5:15])


def test_a_survey_counts_what_is_there():
    found = survey_labels(MemoryVolume("syn", np.array([[[0, 3, 3, 4, 0, 9, 9, 9]]], np.uint8)))
    assert (found.ids.tolist(), found.voxels.tolist()) == ([3, 4, 9], [2, 1, 3])
    assert (found.filled, found.evenness, found.whole) == (0.75, 0.75, True)


def test_255_as_background_beside_sides_is_said(run):
    code, said = run.train(boxes(1, 2, 3, 4, background=255, dtype="uint8"))
    assert code == 0, said
    assert "warning: syn.h5: 255 is read as background (CREMI's mark)." in said
