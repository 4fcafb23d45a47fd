"""How ground truth is stored is the data's own affair: seen before anything is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from main import main

from connectomics.config.schema import Config
from connectomics.data.io import save_volume
from connectomics.pipeline.label_checks import scored_truth_faults

SHAPE = (12, 64, 64)
SMALL = [
    "system.num_gpus=0",
    "system.num_threads=1",
    "model/rsunet=demo",
    "data/augmentation=none",
    "model.rsunet.filters=[4,8]",
    "model.rsunet.down_factors=[[1,2,2]]",
    "optimization.precision=32-true",
    "optimization.max_steps=1",
    "optimization.n_steps_per_epoch=1",
    "optimization.ema.warmup_steps=0",
    "data.num_val_patches=1",
    "data.dataloader={patch_size: [4, 32, 32], batch_size: 1, num_workers: 0}",
    "data.dataloader.reject_sampling=null",
    "inference.window={window_size: [4, 32, 32], overlap: 0.0}",
    "inference.test_time_augmentation.enabled=false",
]
RECIPE = """\
defaults: [syn_em_r50, _self_]
experiment_name: mine
data:
  train: {image: raw.h5, label: syn.h5, resolution: [30, 8, 8]}
  test: {image: raw.h5, label: syn.h5, resolution: [30, 8, 8]}
"""


def polarity_labels() -> np.ndarray:
    """Three synapses, 2n-1 on the pre and 2n on the post side."""
    labels = np.zeros(SHAPE, np.uint16)
    for n, (z, x) in enumerate([(1, 8), (5, 28), (9, 44)], start=1):
        labels[z : z + 2, 10:20, x : x + 10] = 2 * n - 1
        labels[z : z + 2, 20:30, x : x + 10] = 2 * n
    return labels


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    image = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)
    save_volume(tmp_path / "raw.h5", image)
    save_volume(tmp_path / "syn.h5", polarity_labels())
    (tmp_path / "my.yaml").write_text(RECIPE)
    return tmp_path


def test_the_recipe_of_the_readme_trains_and_scores(folder: Path, capsys):
    arguments = ["--config", "my.yaml", *SMALL]
    assert main(arguments) == 0, capsys.readouterr().err
    (checkpoint,) = folder.glob("outputs/mine/*/checkpoints/last.ckpt")
    assert main([*arguments, "--mode", "test", "--checkpoint", str(checkpoint)]) == 0
    (scores,) = folder.glob("outputs/mine/*/results/scores.txt")
    assert "read as polarity labels, going by their values" in " ".join(scores.read_text().split())


@pytest.mark.parametrize("mode", ["train", "test"])
def test_an_encoding_that_the_labels_do_not_have_is_said_first(folder: Path, capsys, mode: str):
    with (folder / "my.yaml").open("a") as file:
        file.write("evaluation: {truth_encoding: semantic}\n")
    (folder / "last.ckpt").write_bytes(b"")  # not looked at yet
    arguments = ["--config", "my.yaml", "--mode", mode, "--checkpoint", "last.ckpt", *SMALL]
    assert main(arguments) == 2
    assert capsys.readouterr().err == (
        "ConfigError: my.yaml: evaluation.truth_encoding: is semantic (0, 1 = pre, 2 = post), and "
        "syn.h5 holds 6: they look like polarity labels.\n"
        "  Leave evaluation.truth_encoding out: how labels are stored is read from the file, or "
        "seen from the labels.\n"
    )
    assert not (folder / "outputs").exists()


@pytest.mark.parametrize(
    ("labels", "attributes", "seen"),
    [
        (polarity_labels() > 0, {}, "binary labels, going by their values"),
        ((polarity_labels() + 1) // 2 * 5, {}, "instance labels, going by their values"),
        (polarity_labels(), {"encoding": "instance"}, "instance labels, as the file says"),
    ],
)
def test_labels_without_sides_have_no_polarity(
    folder: Path, capsys, labels: np.ndarray, attributes: dict[str, str], seen: str
):
    save_volume("syn.h5", labels.astype(np.uint16), attributes=attributes, overwrite=True)
    assert main(["--config", "my.yaml", *SMALL]) == 2
    error = capsys.readouterr().err
    assert f"evaluation.metrics[0]: syn.h5 holds {seen}: polarity needs pre and post" in error
    assert "If they are others, say so in evaluation.truth_encoding." in error
    assert not (folder / "outputs").exists()


@pytest.mark.parametrize(
    ("labels", "stated"),
    [
        (polarity_labels(), "auto"),
        (polarity_labels(), "polarity"),
        (np.where(polarity_labels() > 0, 2 - polarity_labels() % 2, 0), "auto"),
        (np.where(polarity_labels() > 0, 2 - polarity_labels() % 2, 0), "semantic"),
        (np.zeros(SHAPE), "auto"),
        (np.zeros(SHAPE), "semantic"),
    ],
)
def test_labels_that_fit(folder: Path, labels: np.ndarray, stated: str):
    save_volume("syn.h5", labels.astype(np.uint16), overwrite=True)
    assert scored_truth_faults(config(stated)) == []


def test_a_phantom_has_polarity_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    split = {"phantom": {"shape": [4, 64, 64]}}
    (fault,) = scored_truth_faults(config("semantic", split))
    assert fault.problem == "is semantic, and the labels of a phantom are polarity labels."
    assert scored_truth_faults(config("auto", split)) == []
    assert list(tmp_path.iterdir()) == []  # it is not made for this


def test_volumes_that_are_not_there_are_left_to_who_opens_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert scored_truth_faults(config("semantic")) == []


def config(stated: str, split: dict[str, object] | None = None) -> Config:
    tree = {
        "data": {"test": split or {"image": "raw.h5", "label": "syn.h5"}},
        "decoding": {"steps": ["polarity2instance"]},
        "evaluation": {"truth_encoding": stated, "metrics": ["polarity"]},
    }
    return Config.model_validate(tree)
