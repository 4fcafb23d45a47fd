from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from connectomics.models import read_checkpoint
from connectomics.training import fit, prepare
from connectomics.training.heads import starting_logits
from connectomics.training.scores import ScoredChannels


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def volume_shares(volumes) -> tuple[float, float]:
    """Of pre and of post in what is learned from."""
    from connectomics.data.io import open_volume

    label = open_volume(volumes["label"]).read()
    return float((label % 2 == 1).mean()), float(((label > 0) & (label % 2 == 0)).mean())


def test_softmax_and_sigmoid_and_what_is_not_scored():
    channels = [
        ScoredChannels((0, 3), (0, 1), "softmax"),
        ScoredChannels((4, 5), (1, 2), "sigmoid"),
    ]
    shares = [np.array([0.9, 0.06, 0.04]), np.array([0.75, 0.25])]
    found = starting_logits(channels, shares, 5)
    assert found == pytest.approx([math.log(0.9), math.log(0.06), math.log(0.04), 0, logit(0.25)])


def test_what_never_occurs_is_rare_but_not_impossible():
    yes = [ScoredChannels((0, 1), (0, 1), "sigmoid")]
    assert starting_logits(yes, [np.array([1.0, 0.0])], 1) == pytest.approx([logit(1e-4)])
    assert starting_logits(yes, [np.array([0.0, 1.0])], 1) == pytest.approx([-logit(1e-4)])
    classes = [ScoredChannels((0, 3), (0, 1), "softmax")]
    found = starting_logits(classes, [np.array([0.9, 0.1])], 3)  # no voxel of class 2
    assert found == pytest.approx([math.log(0.9), math.log(0.1), math.log(1e-4)])


@pytest.mark.parametrize("stem", ["none", "stride2"])
def test_a_network_starts_as_rare_as_its_labels(make_config, volumes, stem):
    model = {"rsunet": {"stem": stem, "filters": [4, 8, 8], "down_factors": [[1, 2, 2]] * 2}}
    model["rsunet"]["deep_supervision"] = True
    config = make_config(model=model, data={"val": volumes})
    training = prepare(config)
    pre, post = volume_shares(volumes)
    expected = torch.tensor([logit(pre), logit(post), logit(pre + post)])
    batch = training.data.learned[0].volume.image.read()[:8, :32, :32].astype(np.float32) / 255
    outputs = training.module.network.train()(torch.from_numpy(batch)[None, None])
    assert len(outputs) == 2
    for logits in outputs:
        mean = logits.mean(dim=(0, 2, 3, 4))
        torch.testing.assert_close(mean, expected, atol=0.3, rtol=0)
        assert logits.std(dim=(0, 2, 3, 4)).max() < 0.3
    (note,) = [note for note in training.notes if "start at logits" in note]
    assert note.startswith(f"the network's channels start at logits {expected[0]:.2f}, ")


def test_a_number_and_none(make_config):
    training = prepare(make_config(model={"head_bias": -3.0}))
    head = training.module.network.heads()["head.1"]
    assert head.bias.tolist() == [-3.0] * 3
    training = prepare(make_config(model={"head_bias": None}))
    assert training.module.network.heads()["head.1"].bias.tolist() == [0.0] * 3
    assert not any("logits" in note for note in training.notes)


def test_fine_tuning_starts_from_what_fits_and_its_new_heads_from_the_labels(
    make_config, volumes, tmp_path
):
    first = fit(make_config(), tmp_path)
    weights = read_checkpoint(first.last).weights()

    same = prepare(make_config(model={"initial_weights": str(first.last)}))
    learned = same.module.network.state_dict()
    assert all(torch.equal(learned[name], tensor) for name, tensor in weights.items())
    assert not any("logits" in note for note in same.notes)

    config = make_config(
        model={"initial_weights": str(first.last), "out_channels": 1},
        data={"label_transform": {"targets": ["binary"]}, "val": volumes},
    )
    other = prepare(config)
    pre, post = volume_shares(volumes)
    assert other.module.network.heads()["head.1"].bias.tolist() == pytest.approx(
        [logit(pre + post)]
    )
    learned = other.module.network.state_dict()
    assert torch.equal(learned["stem.weight"], weights["stem.weight"])
    (note,) = [note for note in other.notes if str(first.last) in note]
    assert "anew: head.1.weight ((3, 4, 1, 1, 1) there, (1, 4, 1, 1, 1) here), head.1.bias" in note


def test_going_on_is_not_starting_anew(make_config, tmp_path):
    first = fit(make_config(), tmp_path)
    longer = make_config(optimization={"max_steps": 12}, model={"initial_weights": "gone.pt"})
    held_back, memory = prepare(longer, resume_from=first.last).notes
    assert "held back to validate on" in held_back
    assert memory.startswith("memory: ")
