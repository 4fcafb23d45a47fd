from __future__ import annotations

import os
from pathlib import Path

import pytest

from connectomics.training.keeping import BestCheckpoint, best_checkpoints, link


def test_the_best_come_first_and_the_earlier_wins_a_tie(tmp_path):
    names = [
        "step_000300_val_loss_0.5.ckpt",
        "step_000100_val_loss_0.5.ckpt",
        "step_000200_val_loss_1e-05.ckpt",
        "step_000400_val_dice_0.9.ckpt",
        "step_000050_val_loss_inf.ckpt",
        "step_000060_val_loss_nan.ckpt",
        "step_000070_val_loss_-inf.ckpt",
        "last.ckpt",
        "step_notes.ckpt",
    ]
    for name in names:
        (tmp_path / name).touch()
    lowest = best_checkpoints(tmp_path, "val_loss", "min")
    assert [best.step for best in lowest] == [200, 100, 300, 50, 60, 70]
    highest = best_checkpoints(tmp_path, "val_loss", "max")
    assert [best.step for best in highest] == [100, 300, 200, 50, 60, 70]
    assert best_checkpoints(tmp_path, "val_dice", "max")[0].score == 0.9


@pytest.mark.parametrize("score", [0.25, -3.5, 1e-12, 2.5e20])
def test_names_can_be_read_back(score):
    path = Path(f"step_000120_val_loss_{score:.6g}.ckpt")
    assert BestCheckpoint.parse(path) == BestCheckpoint(path, 120, "val_loss", score)


def test_a_linked_checkpoint_outlives_its_source(tmp_path, monkeypatch):
    last, best, copy = (tmp_path / name for name in ("last.ckpt", "best.ckpt", "copy.ckpt"))
    last.write_text("one")
    link(last, best)
    assert best.samefile(last)

    def refuse(*_: object) -> None:
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    link(last, copy)
    assert copy.read_text() == "one"
    assert not copy.samefile(last)
    new = tmp_path / "new"
    new.write_text("two")
    new.replace(last)
    assert best.read_text() == "one"
