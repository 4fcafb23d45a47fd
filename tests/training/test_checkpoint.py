from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from connectomics.config.schema import ModelSection
from connectomics.errors import CheckpointError, DataError
from connectomics.models import build_model
from connectomics.training.checkpoint import (
    AtomicCheckpointIO,
    load_network,
    network_weights,
    read_checkpoint,
)

SMALL = ModelSection.model_validate(
    {"out_channels": 3, "rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]]}}
)


def checkpoint_of(model: ModelSection, **more: Any) -> dict[str, Any]:
    network = build_model(model)
    return {
        "state_dict": {f"network.{name}": t for name, t in network.state_dict().items()},
        "connectomics": {"model": model.model_dump(mode="json")},
        **more,
    }


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_what_is_written_is_read(tmp_path):
    checkpoint = checkpoint_of(SMALL)
    path = tmp_path / "new" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]
    found = read_checkpoint(path)
    assert found["connectomics"] == checkpoint["connectomics"]
    network = load_network(path, SMALL)
    assert not network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, checkpoint["state_dict"][f"network.{name}"])


def test_the_average_is_preferred_unless_told_otherwise():
    average = {name: torch.zeros_like(t) for name, t in build_model(SMALL).state_dict().items()}
    checkpoint = checkpoint_of(SMALL, callbacks={"AverageWeights": {"network": average}})
    assert all(not t.any() for t in network_weights(checkpoint).values())
    assert any(t.any() for t in network_weights(checkpoint, use_ema=False).values())
    assert all(not t.any() for t in load_network(checkpoint, SMALL).state_dict().values())


def test_a_pickle_that_does_something_is_refused_and_does_nothing(tmp_path):
    trap = tmp_path / "sprung"
    path = saved(tmp_path / "evil.ckpt", checkpoint_of(SMALL, extra=Trap(trap)))
    with pytest.raises(CheckpointError, match="was refused: it holds something other than"):
        read_checkpoint(path)
    assert not trap.exists()
    torch.load(path, weights_only=False)
    assert trap.exists()


def zip_of_nothing(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def truncated(path: Path) -> None:
    saved(path, checkpoint_of(SMALL))
    path.write_bytes(path.read_bytes()[:2000])


def broken_inside(path: Path) -> None:
    saved(path, checkpoint_of(SMALL))
    content = bytearray(path.read_bytes())
    content[500:800] = bytes(300)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("weights: 1"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(bytes(range(256)) * 9),
        lambda path: path.write_bytes(pickle.dumps({"state_dict": {}})),
        zip_of_nothing,
        truncated,
        broken_inside,
        lambda path: saved(path, [1, 2]),
        lambda path: saved(path, {"state_dict": {}, "pytorch-lightning_version": "2.0"}),
    ],
    ids=["text", "empty", "bytes", "pickle", "zip", "cut", "broken", "list", "other program"],
)
def test_files_that_are_no_checkpoints(tmp_path, write):
    path = tmp_path / "some.ckpt"
    write(path)
    with pytest.raises(CheckpointError, match=r"some\.ckpt"):
        read_checkpoint(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        read_checkpoint(tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match="no such file"):
        read_checkpoint(tmp_path)


def test_every_differing_setting_of_another_architecture_is_named():
    other = ModelSection.model_validate(
        {
            "out_channels": 1,
            "rsunet": {"filters": [4, 16], "down_factors": [[1, 2, 2]], "activation": "relu"},
        }
    )
    with pytest.raises(CheckpointError) as raised:
        load_network(checkpoint_of(SMALL), other)
    assert [fault.where for fault in raised.value.faults] == [
        "model.out_channels",
        "model.rsunet.filters",
        "model.rsunet.activation",
    ]
    assert "trained with [4, 8], the config says [4, 16]" in str(raised.value)


def test_a_loss_may_differ():
    other = SMALL.model_copy(update={"loss": SMALL.loss.model_copy(update={"losses": ()})})
    load_network(checkpoint_of(SMALL), other)


def test_tensors_that_do_not_fit_are_named():
    checkpoint = checkpoint_of(SMALL)
    weights = checkpoint["state_dict"]
    names = list(weights)
    for name in names[:4]:
        weights[name] = torch.zeros(7, 7)
    del weights[names[4]]
    with pytest.raises(CheckpointError) as raised:
        load_network(checkpoint, SMALL)
    first, *_, last = raised.value.faults
    assert f"network.{first.where}" == names[0]
    assert "the checkpoint has (7, 7)" in first.problem
    assert "2 more tensors differ" in last.problem


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "file" / "last.ckpt")
