"""A store on the web that goes away in the middle of a run by block."""

from __future__ import annotations

import shutil
from datetime import timedelta
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from main import main

from connectomics.data.io import objects, read_volume, save_volume
from connectomics.pipeline.by_block import predicting

pytest.importorskip("obstore")


class Quiet(SimpleHTTPRequestHandler):
    away = False

    def send_head(self):
        return self.send_error(503) if Quiet.away else super().send_head()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def web(serve, trained, tmp_path, monkeypatch):
    """The address of a server for a copy of the folder with the trained network."""
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(Quiet, "away", False)
    return serve(Path.cwd(), Quiet)


def test_a_run_ends_soon_and_goes_on_when_the_store_is_back(web, monkeypatch, capsys):
    save_volume("vol.zarr", read_volume("vol.h5"), resolution=(30, 8, 8))
    (run,) = Path().glob("outputs/tiny/*")
    command = ["--config", "my.yaml", "--mode", "infer", "--checkpoint", str(run)]
    command += ["system.block_size=[8,20,16]", "data.test.label=null"]
    assert main([*command, "data.test.image=vol.zarr"]) == 0
    expected = read_volume(run / "results/vol/probabilities.zarr")
    shutil.rmtree(run / "results")
    monkeypatch.setattr(objects, "DOWN", timedelta(seconds=0.3))
    predict, did = predicting.PredictBlocks.__call__, []

    def predicts(self, task):
        Quiet.away = len(did) >= 4
        did.append(task.name)
        return predict(self, task)

    command.append(f"data.test.image={web}/vol.zarr")
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(predicting.PredictBlocks, "__call__", predicts)
        assert main(command) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "3 of 18 blocks failed; 11 were not tried, as the store that is read failed" in said
    assert f"{web}/vol.zarr: the server answers with an error (503" in said
    assert len(did) == 7
    Quiet.away = False
    assert main(command) == 0
    assert "14 blocks done now, 4 done before" in capsys.readouterr().out
    assert np.array_equal(read_volume(run / "results/vol/probabilities.zarr"), expected)
