"""Curves of precision over recall count every voxel once, and a run says what came of it."""

from __future__ import annotations

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from connectomics.training import fit
from connectomics.training.curves import THRESHOLDS, confusion, counts_by_threshold


def test_voxels_are_counted_by_their_probability():
    probability = torch.tensor([0.0, 0.5, 1.0, 1.0]).view(1, 1, 1, 1, 4)
    truth = torch.tensor([0.0, 1.0, 1.0, 0.0]).view(1, 1, 1, 1, 4)
    weight = torch.tensor([1.0, 1.0, 1.0, 0.0]).view(1, 1, 1, 1, 4)
    counts = counts_by_threshold(probability, truth, weight)
    middle, last = (THRESHOLDS - 1) // 2, THRESHOLDS - 1
    assert counts.shape == (2, 1, THRESHOLDS)
    assert counts[0, 0].nonzero().flatten().tolist() == [middle, last]
    assert counts[1, 0].nonzero().flatten().tolist() == [0]
    assert counts.sum() == 3
    table = confusion(counts[0, 0].numpy(), counts[1, 0].numpy())
    assert table[:, 0].tolist() == [2, 1, 0, 0]
    assert table[:, middle].tolist() == [2, 0, 1, 0]
    assert table[:, last].tolist() == [1, 0, 1, 1]


def test_a_run_leaves_curves_and_its_settings_beside_its_scores(make_config, tmp_path):
    fit(make_config(optimization={"max_steps": 2, "n_steps_per_epoch": 1}), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    names = events.Tags()["tensors"]
    assert {f"precision_recall/{name}" for name in ("pre", "post", "union")} <= set(names)
    assert "_hparams_/experiment" in names or "_hparams_/session_start_info" in str(
        events.summary_metadata
    )
    assert "when_done/val_loss" in events.Tags()["scalars"]
