"""Training and prediction from Python are those of the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from main import main

from connectomics.arrays import predict, train
from connectomics.data.io import open_volume, read_volume, save_volume
from connectomics.data.volumes import MemoryVolume
from connectomics.errors import CheckpointError, ConfigError, DataError, DataWarning, MachineError
from connectomics.geometry import VoxelGrid
from connectomics.models import load_model, read_checkpoint
from connectomics.pipeline.given_arrays import labelled_volume

RESOLUTION = (30, 8, 8)
SETTINGS = {
    "model.rsunet.filters": [4, 6],
    "model.rsunet.down_factors": [[1, 2, 2]],
    "data.dataloader.patch_size": (4, 24, 24),
    "data.dataloader.batch_size": 1,
    "data.dataloader.num_workers": 0,
    "data.num_val_patches": 1,
    "optimization.max_steps": 2,
    "optimization.n_steps_per_epoch": 2,
    "inference.window.window_size": (4, 24, 24),
    "system.num_threads": 1,
    "monitor.progress_bar": False,
}


def volume(seed=0, shape=(16, 40, 40)):
    """Noise, dark where synapses are; labels 2n-1 and 2n."""
    rng = np.random.default_rng(seed)
    label = np.zeros(shape, np.uint8)
    for n in range(1, 7):
        z, y, x = (int(rng.integers(0, size - n)) for size, n in zip(shape, (3, 6, 6), strict=True))
        label[z : z + 3, y : y + 6, x : x + 3] = 2 * n - 1
        label[z : z + 3, y : y + 6, x + 3 : x + 6] = 2 * n
    image = rng.integers(100, 255, shape) - 60 * (label > 0)
    return image.astype(np.uint8), label


IMAGE, LABEL = volume()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    settings = {**SETTINGS, "save_path": str(folder / "it's here")}
    return train(IMAGE, LABEL, resolution=RESOLUTION, recipe="demo", settings=settings)


def on_command_line():
    def text(value):
        return str(value).replace("(", "[").replace(")", "]").replace(" ", "").lower()

    return [f"{key}={text(value)}" for key, value in SETTINGS.items()]


def test_arrays_train_the_network_that_the_command_trains(trained, here):
    save_volume("raw.h5", IMAGE)
    save_volume("syn.h5", LABEL)
    Path("my.yaml").write_text(
        "defaults: [demo, _self_]\nexperiment_name: mine\ndata:\n"
        "  train: {image: raw.h5, label: syn.h5, resolution: [30, 8, 8]}\n"
        "  test: {image: raw.h5, label: syn.h5, resolution: [30, 8, 8]}\n"
    )
    assert main(["--config", "my.yaml", *on_command_line()]) == 0
    (checkpoint,) = here.glob("outputs/mine/*/checkpoints/last.ckpt")
    ours, its = (read_checkpoint(path).weights() for path in (trained.last, checkpoint))
    assert ours.keys() == its.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, its[name], rtol=0, atol=0)

    command = ["--config", "my.yaml", *on_command_line(), "--mode", "infer"]
    assert main([*command, "--checkpoint", str(checkpoint)]) == 0
    (written,) = here.glob("outputs/mine/*/results/raw/probabilities.h5")
    expected = read_volume(written).astype(np.float32)
    np.testing.assert_allclose(predict(trained, IMAGE), expected, atol=1e-3)  # stored as float16
    np.testing.assert_array_equal(predict(checkpoint, "raw.h5"), predict(trained, IMAGE))


def test_files_train_as_arrays_do(trained):
    save_volume("raw.h5", IMAGE, resolution=RESOLUTION)
    save_volume("syn.h5", LABEL, resolution=RESOLUTION)
    again = train("raw.h5", Path("syn.h5"), recipe="demo", settings=SETTINGS)
    ours, its = (read_checkpoint(path).weights() for path in (trained.last, again.last))
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, its[name], rtol=0, atol=0)
    assert read_checkpoint(again.last).facts.resolution == RESOLUTION
    config = yaml.safe_load((again.run / "config.yaml").read_text())
    assert config["default"]["data"]["train"] == {"image": "raw.h5", "label": "syn.h5"}


def test_a_run_says_what_it_came_from(trained):
    assert trained.step == 2
    assert trained.run.parent.name == "it's here"
    assert "val_loss" in trained.metrics
    config = yaml.safe_load((trained.run / "config.yaml").read_text())["default"]["data"]
    assert config["train"]["image"] == "array in memory, given from Python"
    assert config["test"] is None
    assert "Python" in (trained.run / "provenance.yaml").read_text()


def test_prediction_takes_what_the_checkpoint_says_along(trained):
    facts = read_checkpoint(trained.last).facts
    assert facts.inference is not None
    assert facts.inference.window.window_size == (4, 24, 24)
    found = predict(trained, IMAGE)
    assert found.shape == (3, *IMAGE.shape)
    assert found.dtype == np.float32
    assert ((found >= 0) & (found <= 1)).all()
    for model in (trained.run, str(trained.last), load_model(trained.last)):
        np.testing.assert_array_equal(predict(model, IMAGE), found)
    np.testing.assert_allclose(predict(trained, IMAGE * 0.5 + 3.0), found, atol=1e-5)
    assert not np.allclose(predict(trained, IMAGE, window_size=(16, 40, 40)), found, atol=1e-7)


def test_a_part_of_a_volume_is_taken_as_an_array_is(trained, tmp_path):
    save_volume(tmp_path / "em.h5", IMAGE, resolution=RESOLUTION)
    part = open_volume(tmp_path / "em.h5")[2:14, :, 4:]
    np.testing.assert_array_equal(predict(trained, part), predict(trained, IMAGE[2:14, :, 4:]))


def test_volumes_to_validate_on_may_be_given():
    settings = {**SETTINGS, "optimization.max_steps": 1, "optimization.n_steps_per_epoch": 1}
    found = train(
        IMAGE, LABEL, recipe="demo", settings=settings, validation=volume(1, (14, 30, 30))
    )
    assert found.step == 1


def test_a_checkpoint_of_an_earlier_version_is_asked_for_its_window(trained):
    model = load_model(trained.last)
    model.facts = model.facts.model_copy(update={"inference": None, "precision": None})
    with pytest.raises(CheckpointError, match="how the network is to slide"):
        predict(model, IMAGE)
    assert predict(model, IMAGE, window_size=(4, 24, 24)).shape == (3, *IMAGE.shape)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"recipe": "syn_em_50"}, ConfigError, "Did you mean 'syn_em_r50'"),
        ({"settings": {"optimization.max_step": 2}}, ConfigError, "Did you mean 'max_steps'"),
        ({"image": IMAGE[0]}, DataError, r"image: has shape \(40, 40\)"),
        ({"image": IMAGE[:9]}, DataError, r"label: has shape \(16, 40, 40\), and the image"),
        ({"image": "none.h5"}, DataError, r"none\.h5: no such file"),
        ({"label": LABEL * 0.3}, DataError, "must be whole numbers"),
        ({"label": LABEL * 0}, DataError, "the labels hold no foreground"),
        ({"label": (LABEL > 0).astype(int)}, DataError, "there is no post"),
        ({"image": IMAGE[:3], "label": LABEL[:3]}, DataError, r"hold no patch of \(4, 24, 24\)"),
        ({"image": [IMAGE], "label": [LABEL]}, DataError, r"without its first axis, array\[0\]"),
        ({"image": np.stack([IMAGE] * 3, -1)}, DataError, r"one channel of it, array\[\.\.\., 0\]"),
        ({"image": [IMAGE] * 2, "label": [LABEL] * 2}, DataError, "Give one .* volume; several"),
        (
            {"image": IMAGE.T[:, :20], "label": LABEL.T[:, :20]},
            DataError,
            r"turn it round: array\.T",
        ),
        ({"validation": IMAGE}, DataError, r"is no pair of volumes\.\n.*\(image, label\)"),
        ({"recipe": Path("none.yaml")}, ConfigError, r"none\.yaml"),
        ({"image": IMAGE.astype(str)}, DataError, r"Give a .* volume of numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore::connectomics.errors.DataWarning")
def test_what_is_wrong_is_said_before_anything_is_made(change, error, said, here):
    settings = {**SETTINGS, **change.pop("settings", {})}
    arguments = {"image": IMAGE, "label": LABEL, "recipe": "demo", "settings": settings, **change}
    with pytest.raises(error, match=said):
        train(**arguments)
    assert not (here / "outputs").exists()


def test_parts_that_lie_elsewhere_are_no_pair(here):
    save_volume("em.h5", IMAGE, resolution=(30, 8, 8))
    save_volume("labels.h5", LABEL, resolution=(30, 8, 8))
    image, label = open_volume("em.h5"), open_volume("labels.h5")
    with pytest.raises(DataError, match=r"begins \(0\.0, 4\.0, 0\.0\) voxels from the image"):
        train(image[:, :36], label[:, 4:], recipe="demo", settings=SETTINGS)
    pair = labelled_volume("train", image[:, :36], label[:, :36], None)
    assert pair.shape == (16, 36, 40)
    moved = MemoryVolume("em", IMAGE, VoxelGrid((30, 8, 8), (60, 0, 0)))
    assert labelled_volume("train", moved, MemoryVolume("label", LABEL), None).shape == IMAGE.shape


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"window_size": 64}, ConfigError, "window_size: 64 is no size of a window"),
        ({"device": "gpu"}, MachineError, "device: there is no device 'gpu' here"),
        ({"model": None}, CheckpointError, "model: a NoneType is no trained network"),
        ({"image": IMAGE[0]}, DataError, r"of one section, array\[None\]"),
    ],
)
def test_what_cannot_be_predicted_is_said(trained, change, error, said):
    with pytest.raises(error, match=said):
        predict(**{"model": trained, "image": IMAGE, "progress": False, **change})


def test_doubts_are_warnings():
    crowded = np.where(np.arange(40) < 30, LABEL + 11, LABEL).astype(np.uint8)
    with pytest.warns(DataWarning, match="of it is labelled"):
        train(IMAGE, crowded, recipe="demo", settings=SETTINGS)
