"""`--mode tune` on the command line: from a checkpoint to settings that a test uses."""

from __future__ import annotations

import csv
import functools
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml
from main import main

from connectomics.data.io import open_volume, read_volume, save_volume
from connectomics.decoding import steps

torch.set_num_threads(1)

SCRIPT = Path(__file__).parents[1] / "scripts" / "main.py"
SHAPE = (12, 32, 48)
THRES = "tune.space={thres: [0.1, 0.9]}"

CONFIG: dict[str, Any] = {
    "experiment_name": "tuned",
    "system": {"num_gpus": 0, "num_threads": 1},
    "model": {"out_channels": 3, "rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]]}},
    "data": {
        "train": {"image": "train.h5", "label": "train_label.h5"},
        "val": {"image": "val.h5", "label": "val_label.h5"},
        "test": {"image": "test.h5", "label": "test_label.h5"},
        "label_transform": {"targets": ["polarity"]},
        "dataloader": {"patch_size": [4, 24, 24], "batch_size": 1, "num_workers": 0},
        "num_val_patches": 1,
    },
    "optimization": {"max_steps": 1, "n_steps_per_epoch": 1},
    "inference": {"window": {"window_size": [12, 32, 48]}},
    "decoding": {"steps": ["polarity2instance", "drop_one_sided"]},
    "evaluation": {"truth_encoding": "polarity"},
}


def labels(seed: int) -> np.ndarray:
    """Three synapses, each in its own place."""
    label = np.zeros(SHAPE, np.uint16)
    for n, shift in enumerate(np.random.default_rng(seed).integers(0, 5, 3), start=1):
        z, x = 1 + int(shift), 16 * (n - 1) + 2
        label[z : z + 6, 6:14, x : x + 9] = 2 * n - 1
        label[z : z + 6, 14:24, x : x + 9] = 2 * n
    return label


def pretend(probabilities: Path, label: np.ndarray) -> None:
    """Let a network have found the synapses, unsurely: above 0.35 there is nothing."""
    sides = np.stack([label % 2 == 1, (label > 0) & (label % 2 == 0), label > 0])
    with h5py.File(probabilities, "r+") as file:
        file["main"][...] = np.where(sides, 0.35, 0.05)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with volumes, a config, and a run with validation probabilities."""
    folder = tmp_path_factory.mktemp("work")
    for seed, name in enumerate(("train", "val", "test")):
        image = np.random.default_rng(seed).integers(0, 255, SHAPE, dtype=np.uint8)
        save_volume(folder / f"{name}.h5", image, resolution=(30, 8, 8))
        save_volume(folder / f"{name}_label.h5", labels(seed))
    (folder / "my.yaml").write_text(yaml.safe_dump(CONFIG))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["--config", "my.yaml"]) == 0
        (checkpoint,) = folder.glob("outputs/tuned/*/checkpoints/last.ckpt")
        tune = ["--config", "my.yaml", "--mode", "tune", "--checkpoint", str(checkpoint)]
        assert main([*tune, "tune.trials=1", THRES]) == 0
        (probabilities,) = folder.glob("outputs/tuned/*/tuning/val/probabilities.h5")
        pretend(probabilities, labels(1))
    return folder


class Workplace:
    """A copy of that folder, and the command line run in it."""

    def __init__(self, folder: Path, capsys: Any) -> None:
        self.folder, self.capsys = folder, capsys
        (self.run,) = folder.glob("outputs/tuned/*")
        self.tuning = self.run / "tuning"
        self.checkpoint = str(self.run / "checkpoints" / "last.ckpt")

    def __call__(self, mode: str, *arguments: str, checkpoint: bool = True) -> tuple[int, str, str]:
        named = ["--checkpoint", self.checkpoint] if checkpoint else []
        self.capsys.readouterr()
        try:
            code = main(["--config", "my.yaml", "--mode", mode, *named, *arguments])
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        return (code, *self.capsys.readouterr())

    def trials(self) -> list[dict[str, str]]:
        return list(csv.DictReader((self.tuning / "trials.csv").open()))

    def preset(self) -> dict[str, Any]:
        return yaml.safe_load((self.tuning / "decoding" / "tuned.yaml").read_text())


@pytest.fixture
def work(trained, tmp_path, capsys, monkeypatch) -> Workplace:
    shutil.copytree(trained, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return Workplace(tmp_path / "work", capsys)


def test_from_a_checkpoint_to_a_test_with_the_best_settings(work):
    code, out, err = work("tune", "tune.trials=12", THRES)
    assert code == 0, err
    assert "val/probabilities.h5 is up to date" in out
    assert "F1_pol (mean over IoU 0.3, 0.5, 0.75) on val with 3 synapses, " in out
    assert "data: volumes, labels or probabilities changed; searching anew, the earlier goes" in out
    for name in ("study.journal", "search.png", "config.yaml", "provenance.yaml"):
        assert (work.tuning / name).is_file()

    trials = work.trials()
    assert len(trials) == 12
    assert (trials[0]["thres"], trials[0]["score"]) == ("0.5", "0.0")  # as configured
    best = max(trials, key=lambda trial: float(trial["score"]))
    assert float(best["score"]) == 1.0
    first, second = work.preset()["steps"]
    assert first["name"] == "polarity2instance"
    assert first["kwargs"] == {name: json.loads(best[name]) for name in first["kwargs"]}
    assert second["name"] == "drop_one_sided"
    assert f"--checkpoint {work.checkpoint} decoding=tuned" in out

    # Without a checkpoint the run is found, and the same search goes on.
    code, out, err = work("tune", "tune.trials=14", THRES, checkpoint=False)
    assert code == 0, err
    assert "searching anew" not in out
    assert work.trials()[:12] == trials
    assert len(work.trials()) == 14

    # The test finds the preset beside the checkpoint.
    assert work("infer")[0] == 0
    pretend(work.run / "results" / "test" / "probabilities.h5", labels(2))
    assert work("test")[0] == 0
    scores = work.run / "results" / "scores.json"
    before = json.loads(scores.read_text())["pooled"]["polarity"]["at"]["0.5"]["f1_pol"]
    code, _, err = work("test", "decoding=tuned")
    assert code == 0, err
    after = json.loads(scores.read_text())["pooled"]["polarity"]["at"]["0.5"]["f1_pol"]
    assert (before, after) == (0.0, 1.0)
    with open_volume(work.run / "results" / "test" / "labels.h5") as volume:
        decoder = json.loads(volume.attributes["decoder"])
    assert decoder[0]["kwargs"]["thres"] == first["kwargs"]["thres"]


def test_a_copy_of_the_preset_beside_the_config(work):
    assert work("tune", "tune.trials=4")[0] == 0
    shutil.copytree(work.tuning / "decoding", work.folder / "decoding")
    (work.folder / "tuned.yaml").write_text("defaults: [my, {decoding: tuned}, _self_]\n")
    assert main(["--config", "tuned.yaml", "--mode", "test", "--print-config"]) == 0
    shown = yaml.safe_load(work.capsys.readouterr().out)
    kwargs = shown["decoding"]["steps"][0]["kwargs"]
    assert kwargs == {**kwargs, **work.preset()["steps"][0]["kwargs"]}


def test_no_such_preset(work):
    code, _, err = work("decode", "decoding=tuned", checkpoint=False)
    assert code == 2
    assert err == (
        "ConfigError: command line: decoding=tuned: there are no presets 'decoding'.\n"
        "  --mode tune writes one into the run of a checkpoint; name that with --checkpoint.\n"
    )
    code, _, err = work("decode", "decoding=tunde")
    assert code == 2
    assert "no preset 'tunde' in decoding.\n  Did you mean 'tuned'?" in err


def test_ctrl_c_keeps_the_study_and_the_best_so_far(work, monkeypatch):
    decoder, calls = steps.DECODERS["polarity2instance"], []

    @functools.wraps(decoder.function)
    def interrupted(volume: np.ndarray, **settings: Any) -> np.ndarray:
        calls.append(settings)
        if len(calls) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return decoder.function(volume, **settings)

    monkeypatch.setitem(steps.DECODERS, "polarity2instance", replace(decoder, function=interrupted))
    code, out, err = work("tune", "tune.trials=9")
    assert code == 130
    assert "Stopped by SIGINT. The same command goes on." in err
    assert "Traceback" not in err
    assert "5 trials" in out
    kept = work.trials()
    assert len(kept) == 5
    assert work.preset()["steps"][0]["name"] == "polarity2instance"
    assert work("tune", "tune.trials=9")[0] == 0
    assert work.trials()[:5] == kept


# What is refused ------------------------------------------------------------------------------


def refused(work: Workplace, *arguments: str, checkpoint: bool = True) -> str:
    """The message of a command that has to leave everything as it was."""
    before = {path: path.stat().st_mtime_ns for path in work.folder.rglob("*")}
    code, _, err = work("tune", *arguments, checkpoint=checkpoint)
    assert code == 2, err
    assert "Traceback" not in err
    assert {path: path.stat().st_mtime_ns for path in work.folder.rglob("*")} == before
    return err


def test_volumes_that_are_tested_on(work):
    err = refused(work, "data.test.image=val.h5", "data.test.z_range=[4,12]")
    said = "ConfigError: my.yaml: data.val: 8 sections (4 to 11) of val.h5 are also in data.test."
    assert said in err.splitlines()


def test_volumes_that_the_network_learned_from(work):
    err = refused(work, "data.val.image=train.h5", "data.val.label=train_label.h5")
    said = (
        "ConfigError: my.yaml: data.val: 12 sections (0 to 11) of train.h5 are also learned from."
    )
    assert said in err
    assert "Name other volumes" in err


def test_scores_of_what_training_has_seen_say_so(work):
    seen = ["data.test.image=train.h5", "data.test.label=train_label.h5"]
    assert work("test")[0] == 0
    scores = work.run / "results" / "scores.txt"
    assert "held-out" not in scores.read_text()
    code, out, err = work("test", *seen)
    assert code == 0, err
    note = "- train: training learned from 12 of its 12 sections, so this is no held-out score\n"
    assert note in out
    assert note in scores.read_text()
    code, _, err = work("train", *seen, checkpoint=False)
    assert code == 0
    assert err.startswith(
        "train: warning: data.test: 12 sections (0 to 11) of train.h5 are also learned from.\n"
    )
    # A config that cannot be read any more says nothing, and keeps nobody from scoring.
    (work.run / "config.yaml").write_text("modle: {}\n")
    code, out, err = work("evaluate", *seen)
    assert code == 0, err
    assert "held-out" not in out


def test_nothing_to_validate_on(work):
    err = refused(work, "~data.val", "~data.train")
    assert "data.val: no volumes are given, nor volumes of training to hold some back from" in err
    assert "data.val.label: is missing." in refused(work, "~data.val.label")
    assert "decoding.steps: is empty, and mode tune decodes." in refused(work, "decoding.steps=[]")


def test_volumes_without_a_voxel_size(work):
    """Said before anything is predicted: the size is nm, without which `synapses` cannot work."""
    with h5py.File(work.folder / "val.h5", "r+") as file:
        del file["main"].attrs["resolution"]
    shutil.rmtree(work.tuning)
    code, _, err = work("tune", "decoding.steps=[synapses]")
    assert code == 2
    assert "val.h5: has no known voxel size, which synapses cannot do without." in err
    assert "Set data.val.resolution" in err
    assert not (work.tuning / "val").exists()


def test_volumes_without_a_synapse(work):
    save_volume(work.folder / "none.h5", np.zeros(SHAPE, np.uint16))
    code, _, err = work("tune", "data.val.label=none.h5")
    assert code == 2
    assert "the labels hold no foreground where they count: none.h5" in err


def test_what_this_training_did_not_hold_back(work):
    """The run was trained with `data.val`: it held nothing back."""
    err = refused(work, "~data.val")
    assert "data.val: is not given here and was {'image': ['val.h5']" in err
    assert f"Use --config {work.run.relative_to(work.folder) / 'config.yaml'}" in err


def test_what_training_held_back(work, trained):
    """A run that held sections back is tuned on just those; with other patches it would not be."""
    assert work("train", "~data.val", checkpoint=False)[0] == 0
    (work.run,) = set(work.folder.glob("outputs/tuned/*")) - {work.run}
    work.checkpoint = str(work.run / "checkpoints" / "last.ckpt")
    code, _, err = work("tune", "~data.val", "tune.trials=1")
    assert code == 0, err
    with open_volume(work.run / "tuning" / "train" / "probabilities.h5") as volume:
        assert volume.shape == (3, 4, 32, 48)
        assert volume.offset_nm == (240.0, 0.0, 0.0)
    err = refused(work, "~data.val", "data.dataloader.patch_size=[6,24,24]")
    assert "patch_size: is [6, 24, 24] here and was [4, 24, 24] when the network" in err
    err = refused(work, "~data.val", "data.val_gap=[1,9,9]")
    assert "data.val_gap: is [1, 9, 9] here and was not given when the network" in err
    test = ["data.test.image=train.h5", "data.test.z_range=[7,9]"]
    err = refused(work, "~data.val", *test)
    assert "data.train: section 8 of train.h5, held back for validation, is also" in err


def test_where_nothing_beats_the_configured_settings_they_stay(work):
    pretend(work.tuning / "val" / "probabilities.h5", labels(1))
    best = "decoding.steps=[{name: polarity2instance, kwargs: {thres: 0.3}}]"
    code, out, err = work("tune", "tune.trials=1", THRES, best)
    assert code == 0, err
    assert "test as before: nothing beats what is configured. To go on: tune.trials=2" in out
    assert "decoding=tuned" not in out


def test_where_nothing_scores_there_is_nothing_to_test_with(work):
    pretend(work.tuning / "val" / "probabilities.h5", np.zeros(SHAPE, np.uint16))
    code, out, err = work("tune", "tune.trials=2", THRES)
    assert code == 0, err
    assert "No setting scores above 0: nothing is tuned." in out
    assert "Train longer" in out
    assert "to test with" not in out
    assert "decoding=tuned" not in out


def test_without_optuna(work, monkeypatch):
    monkeypatch.setattr("connectomics.tuning.study.importlib.util.find_spec", lambda name: None)
    assert 'pip install "optuna>=4.4"' in refused(work)


def test_without_a_checkpoint_and_without_probabilities(work):
    shutil.rmtree(work.tuning)
    err = refused(work, checkpoint=False)
    assert f"Add --checkpoint {Path(work.checkpoint).relative_to(work.folder)}" in err


def test_probabilities_that_do_not_fit(work):
    (work.tuning / "val" / "probabilities.h5").unlink()
    save_volume(work.tuning / "val" / "probabilities.h5", np.zeros((3, 2, 32, 48), np.float16))
    code, _, err = work("tune", checkpoint=False)
    assert code == 2
    assert "has shape (3, 2, 32, 48), its volume (12, 32, 48)" in err


def test_faults_of_the_section_in_any_mode(work):
    code, _, err = work("train", "tune.metric=F1_pl", "+tune.space={tres: [0, 1]}")
    assert code == 2
    assert "command line: tune.metric: there is no score 'F1_pl'" in err
    assert "tune.space.tres: polarity2instance has no such setting" in err


def test_a_checkpoint_from_elsewhere(work):
    shutil.copy(work.checkpoint, work.folder / "mine.ckpt")
    work.checkpoint, work.tuning = (
        "mine.ckpt",
        work.folder / "outputs" / "tuned" / "mine" / "tuning",
    )
    code, out, err = work("tune", "tune.trials=1", "~data.val")
    assert code == 0, err
    assert "has no config.yaml; what its training held back is not checked" in out
    assert (work.tuning / "train" / "probabilities.h5").is_file()
    assert "keep a copy" not in out  # of settings that find nothing
    held = work.tuning / "train" / "probabilities.h5"
    pretend(held, labels(0)[-read_volume(held).shape[1] :])
    code, out, err = work("tune", "tune.trials=12", "~data.val", THRES)
    assert code == 0, err
    assert "(keep a copy of tuned.yaml in decoding for it)" in out
    assert work("decode", "decoding=tuned")[0] == 2
    shutil.copytree(work.tuning / "decoding", work.folder / "decoding")
    assert work("train", "decoding=tuned", "--print-config", checkpoint=False)[0] == 0
