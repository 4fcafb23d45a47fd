"""`system.num_threads` is what every mode goes by."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from main import main

from connectomics.pipeline import stages
from connectomics.process import cpus

CONFIG = {
    "experiment_name": "e",
    "model": {"out_channels": 3, "rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]]}},
    "data": {
        "train": {"phantom": {"shape": [20, 256, 256]}},
        "label_transform": {"targets": ["polarity"]},
    },
    "decoding": {"steps": ["polarity2instance"]},
}


@pytest.mark.parametrize("mode", list(stages.STAGES))
def test_every_mode_is_told(tmp_path, monkeypatch, mode):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cpus, "_told", None)
    for variable in ("OMP_NUM_THREADS", "ZARR_THREADING__MAX_WORKERS"):
        monkeypatch.setenv(variable, "9")
    found: list[int] = []
    monkeypatch.setitem(stages.STAGES, mode, lambda *_: found.append(cpus.available_cpus()))
    Path("my.yaml").write_text(yaml.safe_dump(CONFIG))
    split = "data.test={phantom: {shape: [20, 256, 256], seed: 5}}"
    command = ["--config", "my.yaml", "--mode", mode, split]
    assert main([*command, "system.num_threads=1"]) == 0
    assert main([*command, "system.num_threads=17"]) == 0
    assert main(command) == 0
    assert found[:2] == [1, 17]
    assert found[2] != 17
