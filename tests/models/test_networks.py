"""A network is a function, a section of settings, a record and one line."""

from __future__ import annotations

import pickle
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

from connectomics.config.schema import Config
from connectomics.config.schema.base import Section
from connectomics.data.io import save_volume
from connectomics.errors import CheckpointError, ConfigError
from connectomics.models import NETWORKS, Network, load_model, read_checkpoint
from connectomics.models.load import require_same_architecture
from connectomics.pipeline.components import KNOWN, config_schema, read_config
from connectomics.training import fit


class TinySection(Section):
    """Two convolutions."""

    width: Annotated[int, Field(gt=0, le=64)] = 8


def tiny(in_channels: int, out_channels: int, *, width: int) -> nn.Module:
    """Two convolutions."""
    return nn.Sequential(
        nn.Conv3d(in_channels, width, 3, padding=1), nn.ELU(), nn.Conv3d(width, out_channels, 1)
    )


TINY = Network(tiny, settings=TinySection, widths=lambda settings: (settings.width,))

CONFIG = """
experiment_name: tiny
system: {num_gpus: 0, num_threads: 1}
model: {arch: {type: tiny}, out_channels: 3, tiny: {width: 5}}
data:
  train: {image: image.h5, label: label.h5}
  label_transform: {targets: [polarity]}
  dataloader: {patch_size: [4, 16, 16], batch_size: 1, num_workers: 0}
  num_val_patches: 1
optimization: {max_steps: 2, n_steps_per_epoch: 2}
"""


@pytest.fixture
def file(monkeypatch, tmp_path):
    monkeypatch.setitem(NETWORKS, "tiny", TINY)  # the line
    monkeypatch.chdir(tmp_path)
    label = np.zeros((8, 32, 32), np.uint8)
    label[2:5, 8:12, 8:16], label[2:5, 12:16, 8:16] = 1, 2
    save_volume("image.h5", 100 + 40 * label, resolution=(30, 8, 8))
    save_volume("label.h5", label, resolution=(30, 8, 8))
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG)
    return path


def test_a_registered_network_is_trained_and_loaded(file, tmp_path):
    config = read_config(file).config
    trained = load_model(fit(config, tmp_path / "run").last)
    assert trained.facts.model.network == TinySection(width=5)
    assert [tuple(p.shape) for p in trained.network.parameters()] == [
        *((5, 1, 3, 3, 3), (5,)),
        *((3, 5, 1, 1, 1), (3,)),
    ]
    assert trained(torch.zeros(1, 1, 3, 7, 9)).shape == (1, 3, 3, 7, 9)
    checkpoint = read_checkpoint(tmp_path / "run")
    require_same_architecture(checkpoint, config.model)
    wider = read_config(file, overrides=["model.tiny.width=6"]).config.model
    with pytest.raises(CheckpointError, match=r"model\.tiny\.width: .* with 5, .* says 6"):
        require_same_architecture(checkpoint, wider)
    other = read_config(file, overrides=["model.arch.type=rsunet"]).config.model
    with pytest.raises(CheckpointError, match=r"model\.arch\.type: .*tiny.*rsunet") as raised:
        require_same_architecture(checkpoint, other)
    assert len(raised.value.faults) == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.arch.type=tinny", "has to be 'rsunet' or 'tiny', not 'tinny'"),
        ("model.tiny.width=0", "model.tiny.width: has to be more than 0, not 0"),
        ("model.tiny.widht=3", "Did you mean 'width'"),
        ("model.width=3", "There is model.tiny.width"),
    ],
)
def test_its_settings_are_checked_as_those_of_any_other(file, override, message):
    with pytest.raises(ConfigError) as raised:
        read_config(file, overrides=[override])
    assert message in str(raised.value)


def test_what_has_no_sense_is_said_before_it_is_built(file, monkeypatch):
    monkeypatch.setattr("connectomics.models.build.MOST_WEIGHTS", 100)
    with pytest.raises(ConfigError, match=r"model\.tiny.*: it is a network of 2e\+02 weights"):
        read_config(file)


def test_a_config_of_it_goes_to_other_processes(file):
    config = read_config(file).config
    assert isinstance(config, Config)
    again: Any = pickle.loads(pickle.dumps(config))
    assert again == config
    assert again.model.network == TinySection(width=5)


def test_the_schema_describes_it(file):
    definitions = config_schema()["$defs"]
    assert definitions["TinySection"]["properties"]["width"]["default"] == 8
    assert definitions["ArchSection"]["properties"]["type"]["enum"] == ["rsunet", "tiny"]


def test_the_networks_of_the_package_are_in_the_schema_itself():
    assert KNOWN.schema is Config
