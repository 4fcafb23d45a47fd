from __future__ import annotations

import numpy as np
import pytest
import torch
from small_checkpoints import SMALL, checkpoint_of, saved

from connectomics.config.schema import ModelSection
from connectomics.errors import CheckpointError
from connectomics.inference import predict_volume
from connectomics.models import (
    build_model,
    load_model,
    read_checkpoint,
    require_same_architecture,
    take_weights,
)


def test_the_network_is_built_from_what_the_checkpoint_says(tmp_path):
    content = checkpoint_of()
    model = load_model(saved(tmp_path / "a.ckpt", content))
    assert not model.training
    assert model.channels == ("pre", "post", "union")
    network = build_model(SMALL).eval()
    network.load_state_dict(
        {name.removeprefix("network."): t for name, t in content["state_dict"].items()}
    )
    image = torch.randn(1, 1, 4, 16, 16)
    with torch.inference_mode():
        assert torch.equal(model(image), network(image))
        assert torch.equal(model.activate(model(image)), torch.sigmoid(network(image)))


def test_a_folder_of_a_run_stands_for_its_last_checkpoint(tmp_path):
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"run: is a folder without last\.ckpt"):
        load_model(tmp_path / "run")
    last = saved(folder / "last.ckpt", checkpoint_of())
    for path in (tmp_path / "run", str(folder), last):
        assert read_checkpoint(path).path == last
        assert load_model(path).channels == ("pre", "post", "union")
        assert len(take_weights(build_model(SMALL), path).left) == 0


def test_it_slides_over_a_volume(tmp_path):
    model = load_model(saved(tmp_path / "a.ckpt", checkpoint_of()))
    image = np.random.default_rng(0).random((4, 16, 16), dtype=np.float32)
    found = predict_volume(model, image, window_size=(4, 16, 16), activation=model.activate)
    assert found.shape == (3, 4, 16, 16)
    assert 0 < found.min() < found.max() < 1


def test_every_differing_setting_of_another_architecture_is_named(tmp_path):
    other = ModelSection.model_validate(
        {
            "out_channels": 1,
            "rsunet": {"filters": [4, 16], "down_factors": [[1, 2, 2]], "activation": "relu"},
        }
    )
    checkpoint = read_checkpoint(saved(tmp_path / "a.ckpt", checkpoint_of()))
    with pytest.raises(CheckpointError) as raised:
        require_same_architecture(checkpoint, other)
    assert [fault.where for fault in raised.value.faults] == [
        "model.out_channels",
        "model.rsunet.filters",
        "model.rsunet.activation",
    ]
    assert "trained with [4, 8], the config says [4, 16]" in str(raised.value)


def test_a_loss_may_differ(tmp_path):
    other = SMALL.model_copy(update={"loss": SMALL.loss.model_copy(update={"losses": ()})})
    require_same_architecture(read_checkpoint(saved(tmp_path / "a.ckpt", checkpoint_of())), other)


def test_tensors_that_do_not_fit_are_named(tmp_path):
    content = checkpoint_of()
    weights = content["state_dict"]
    names = list(weights)
    for name in names[:4]:
        weights[name] = torch.zeros(7, 7)
    del weights[names[4]]
    with pytest.raises(CheckpointError) as raised:
        load_model(saved(tmp_path / "a.ckpt", content))
    first, *_, last = raised.value.faults
    assert first.problem.startswith(
        f"{names[0].removeprefix('network.')}: the checkpoint has (7, 7)"
    )
    assert "2 more tensors differ" in last.problem


@pytest.mark.parametrize(
    "rsunet",
    [
        {"filters": [10**9, 10**9], "down_factors": [[1, 2, 2]]},
        {"filters": [4, 8] * 500, "down_factors": [[1, 2, 2]] * 999},
        {"filters": [4, 8, 8], "down_factors": [[1, 2, 2]]},
    ],
    ids=["huge", "deep", "impossible"],
)
def test_an_architecture_that_the_weights_do_not_have(tmp_path, rsunet):
    content = checkpoint_of()
    content["connectomics"]["model"]["rsunet"].update(rsunet)
    with pytest.raises(CheckpointError, match=r"a\.ckpt"):
        load_model(saved(tmp_path / "a.ckpt", content))


def test_weights_of_another_precision_are_refused(tmp_path):
    content = checkpoint_of()
    content["state_dict"] = {name: t.half() for name, t in content["state_dict"].items()}
    with pytest.raises(CheckpointError, match=r"float16, the network it describes .*float32"):
        load_model(saved(tmp_path / "a.ckpt", content))
