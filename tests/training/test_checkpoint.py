from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from connectomics.errors import CheckpointError, DataError
from connectomics.training import fit, prepare
from connectomics.training.checkpoint import AtomicCheckpointIO


def test_a_checkpoint_is_written_whole(tmp_path):
    path = tmp_path / "new" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"a": torch.ones(2)}, path)
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]
    assert torch.load(path)["a"].tolist() == [1, 1]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "file" / "last.ckpt")


@pytest.fixture(scope="module")
def trained(make_config, tmp_path_factory) -> Path:
    """The checkpoint of two steps."""
    return fit(make_config(optimization={"max_steps": 2}), tmp_path_factory.mktemp("trained")).last


def changed(path: Path, to: Path, change: Any) -> Path:
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, to)
    return to


def put(*keys: Any, value: Any) -> Any:
    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        if value is None:
            del content[keys[-1]]
        else:
            content[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("optimizer_states", value=None), "entry optimizer_states is missing"),
        (put("optimizer_states", value=[]), "entry optimizer_states"),
        (put("optimizer_states", value=[{"state": {}}]), "entry optimizer_states"),
        (put("lr_schedulers", value={}), "entry lr_schedulers"),
        (put("loops", value="x"), "entry loops"),
        (put("callbacks", value=[]), "entry callbacks"),
        (put("global_step", value="2"), "entry global_step"),
        (put("global_step", value=-2), "entry global_step"),
        (put("connectomics", "random_state", "cpu", value=torch.zeros(3)), "random_state"),
        (put("connectomics", "random_state", "cpu", value="x"), "random_state"),
        (put("callbacks", "AverageWeights", "network", value=3), "AverageWeights.network holds no"),
    ],
)
def test_what_training_cannot_go_on_from(make_config, trained, tmp_path, change, said):
    path = changed(trained, tmp_path / "bad.ckpt", change)
    with pytest.raises(CheckpointError, match=rf"bad\.ckpt.*{said}"):
        prepare(make_config(optimization={"max_steps": 4}), resume_from=path)


@pytest.mark.parametrize(
    "change",
    [
        put("loops", value={"fit_loop": 3}),
        put("lr_schedulers", 0, "step", value="x"),
        put("optimizer_states", 0, "param_groups", value=[]),
        put("optimizer_states", 0, "state", 0, "exp_avg", value=torch.zeros(1)),
        put("pytorch-lightning_version", value=None),
        put("callbacks", "AverageWeights", "network", value={}),
    ],
)
def test_damage_that_shows_only_when_training_takes_it_up(make_config, trained, tmp_path, change):
    path = changed(trained, tmp_path / "bad.ckpt", change)
    with pytest.raises(CheckpointError, match=r"bad\.ckpt: training cannot go on from it"):
        fit(make_config(optimization={"max_steps": 4}), tmp_path / "run", resume_from=path)
