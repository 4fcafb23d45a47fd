"""What is said of channels and decoders before any work begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from main import main

from connectomics.decoding import DECODERS

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


def tuned(capsys, **sections: Any) -> str:
    """What is said of a config when it is read, to be tuned with."""
    config = {**POLARITY, "model": {"out_channels": 3}, **sections}
    config.setdefault("decoding", {"steps": ["polarity2instance"]})
    Path("my.yaml").write_text(yaml.safe_dump(config))
    assert main(["--config", "my.yaml", "--mode", "tune", "--print-config"]) == 2
    return capsys.readouterr().err


def test_a_decoder_without_a_space_to_search(monkeypatch, capsys):
    bare = replace(DECODERS["polarity2instance"], space={})
    monkeypatch.setitem(DECODERS, "polarity2instance", bare)
    said = "my.yaml: tune.space: polarity2instance has no usual settings to search."
    assert said in tuned(capsys)


def test_nothing_to_tune_on(capsys):
    data = {"test": {"phantom": {}}, "label_transform": {"targets": ["polarity"]}}
    assert "my.yaml: data.val: no volumes are given, nor volumes" in tuned(capsys, data=data)
    data["val"] = {"image": "em.h5"}
    assert "my.yaml: data.val.label: is missing." in tuned(capsys, data=data)
    assert "decoding.steps: is empty, and mode tune decodes" in tuned(capsys, decoding={})
