"""What is far smaller than the labels that were learned from is dropped, by the checkpoint."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from main import main

from connectomics import tuning
from connectomics.data.io import open_volume, read_volume
from connectomics.models import read_checkpoint
from tests.pipeline.tiny_run import TinyRun

BLOCKS = "system.block_size=[8,20,16]"
SYNAPSES = "decoding.steps=[{name: synapses, kwargs: {adapt: false}}]"
VOXEL_NM3 = 30 * 8 * 8


class Run(TinyRun):
    """Its network was trained on labels whose synapses it has counted."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        config = yaml.safe_load(Path("my.yaml").read_text())
        config["experiment_name"] = "least"
        config["data"]["dataloader"]["foreground_fraction"] = 0.5
        Path("my.yaml").write_text(yaml.safe_dump(config))
        assert main(["--config", "my.yaml"]) == 0
        super().__init__(capsys, "least")

    @property
    def small_nm3(self) -> float:
        """As the checkpoint has it."""
        found = read_checkpoint(self.run / "checkpoints" / "last.ckpt").facts.small_synapse_nm3
        assert found is not None
        return found

    def predict(self, *overrides: str) -> None:
        """Probabilities of this network, in which there are a synapse and a false alarm."""
        self("infer", *overrides)
        side = math.ceil(math.sqrt(self.small_nm3 / VOXEL_NM3 / 5))  # as large as a small one
        drawn = np.zeros((3, 14, 50, 46), np.float32)
        for y, size in ((2, side), (32, 10)):
            half = size // 2
            drawn[0, 2:7, y : y + half, 2 : 2 + size] = 0.95
            drawn[1, 2:7, y + half : y + 2 * half, 2 : 2 + size] = 0.95
        drawn[2] = drawn[:2].max(axis=0)
        with h5py.File(self.results / "probabilities.h5", "r+") as file:
            file["main"][...] = drawn

    def found(self) -> int:
        """How many synapses there are."""
        (path,) = self.results.glob("labels.[hz]*")
        return (int(read_volume(path).max()) + 1) // 2


@pytest.fixture
def run(trained, tmp_path, monkeypatch, capsys) -> Run:
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return Run(capsys)


def decoder_of(run: Run) -> dict[str, object]:
    """The settings of the decoder, as labels say them."""
    (path,) = run.results.glob("labels.[hz]*")
    with open_volume(path) as labels:
        (step,) = json.loads(labels.attributes["decoder"])
    return step["kwargs"]


def test_false_alarms_far_smaller_than_the_labels_are_dropped(run):
    run.predict()
    said = run("decode", SYNAPSES)
    least = float(f"{0.33 * run.small_nm3:.3g}")
    assert f"decode: drops what has less than {least:.3g} nm³: 0.33 (decoding.least_share)" in said
    assert decoder_of(run) == {"adapt": False, "min_synapse_nm3": least}
    assert run.found() == 1
    assert "up to date" in run("decode", SYNAPSES)
    said = run("decode", SYNAPSES, "decoding.least_share=0")
    assert "drops what" not in said
    assert run.found() == 2
    said = run("decode", "decoding.steps=[{name: synapses, kwargs: {min_synapse_nm3: 5e4}}]")
    assert "drops what" not in said
    assert decoder_of(run) == {"min_synapse_nm3": 5e4}


def test_by_block_the_same_are_dropped(run):
    run.predict()
    run("decode", SYNAPSES)
    expected = read_volume(run.results / "labels.h5")
    run("decode", SYNAPSES, BLOCKS)
    found = read_volume(run.results / "labels.zarr")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("blocks", [[], [BLOCKS]])
def test_probabilities_that_are_not_kept_know_it_too(run, blocks):
    said = run("decode", SYNAPSES, "inference.save_probabilities=false", *blocks)
    assert "drops what has less than" in said
    assert decoder_of(run)["min_synapse_nm3"] == float(f"{0.33 * run.small_nm3:.3g}")
    again = run("test", SYNAPSES, "inference.save_probabilities=false", *blocks)
    assert "decode: outputs/least" in again
    assert "is up to date" in again


def test_labels_whose_probabilities_are_gone_are_scored(run):
    run.predict()
    run("decode", SYNAPSES)
    (run.results / "probabilities.h5").unlink()
    assert "F1_pol" in run("evaluate", SYNAPSES)
    said = run("evaluate", SYNAPSES, "decoding.least_share=0", code=2)
    assert "decoding.steps" in said
    assert "use --mode test, or the settings of then" in said


def test_a_checkpoint_that_does_not_know_drops_nothing(trained, tmp_path, monkeypatch, capsys):
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    (run,) = Path().glob("outputs/tiny/*")
    assert read_checkpoint(run / "checkpoints" / "last.ckpt").facts.small_synapse_nm3 is None
    arguments = ["--config", "my.yaml", "--mode", "test", "--checkpoint", str(run), SYNAPSES]
    assert main(arguments) == 0
    assert "drops what" not in capsys.readouterr().out


def test_a_search_begins_with_what_is_dropped(run, monkeypatch):
    searched = []
    build = tuning.build_search

    def built(config, volumes):
        searched.append(config.decoding.steps[0].kwargs)
        return build(config, volumes)

    monkeypatch.setattr(tuning, "build_search", built)
    run("tune", SYNAPSES, "tune.trials=1", "data.test.y_range=[18,34]")
    least = float(f"{0.33 * run.small_nm3:.3g}")
    assert searched == [{"adapt": False, "min_synapse_nm3": least}]
