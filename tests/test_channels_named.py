"""What is said of channels and decoders before any work begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from main import main

from connectomics import tuning
from connectomics.config import load_config
from connectomics.errors import ConfigError
from connectomics.pipeline import stages

POLARITY: dict[str, Any] = {
    "data": {
        "train": {"phantom": {"shape": [20, 256, 256]}},
        "label_transform": {"targets": ["polarity"]},
    },
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_network_with_fewer_channels_than_its_targets_name(capsys):
    loss = {"function": "DiceLoss", "target_slice": 2}
    config = {**POLARITY, "model": {"out_channels": 1, "loss": {"losses": [loss]}}}
    Path("my.yaml").write_text(yaml.safe_dump(config))
    assert main(["--config", "my.yaml", "--print-config"]) == 2
    said = "model.out_channels: 1, and data.label_transform.targets name pre, post, union"
    assert said in capsys.readouterr().err


def test_a_decoder_without_a_space_to_search(monkeypatch):
    monkeypatch.delitem(tuning.SPACES, "polarity2instance")
    steps = {"steps": ["polarity2instance"]}
    config = {**POLARITY, "model": {"out_channels": 3}, "decoding": steps}
    Path("my.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError, match=r"tune\.space: polarity2instance has no usual settings"):
        stages.tune(load_config("my.yaml", mode="tune"), None)
