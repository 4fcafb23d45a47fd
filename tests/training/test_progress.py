from __future__ import annotations

import io
import logging
import re
import sys

import pytest

from connectomics.process.progress import CLEAR
from connectomics.training import fit
from connectomics.training.progress import quiet_lightning


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_line_in_place(make_config, tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    fit(make_config(), tmp_path)
    shown = terminal.getvalue()
    assert "\rtrain: " not in shown.replace(CLEAR, "")
    lines = shown.replace(CLEAR, "\n").splitlines()
    assert lines[-1].startswith("train: 10 of 10 steps, loss ")
    assert "train: validation at step 8: val_loss" in shown
    assert all(len(line) < 80 for line in lines if " steps, " in line)
    assert any(re.search(r"loss [\d.]+, Dice pre [\d.n]+a?n? ", line) for line in lines)


def test_it_can_be_switched_off(make_config, tmp_path, capsys):
    fit(make_config(monitor={"progress_bar": False}), tmp_path)
    shown = capsys.readouterr()
    assert shown.out + shown.err == ""


def test_a_log_file_gets_a_few_lines_per_epoch(make_config, tmp_path, capsys):
    fit(make_config(optimization={"max_steps": 20, "n_steps_per_epoch": 20}), tmp_path)
    lines = capsys.readouterr().err.splitlines()
    steps = [line.split()[1] for line in lines if " steps, loss " in line]
    assert steps == ["4", "8", "12", "16", "20"]


def test_in_a_log_file_a_line_by_time_stands_for_one_by_steps(
    make_config, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("connectomics.process.progress.IN_LOG", 0.0)  # each step is by time
    fit(make_config(optimization={"max_steps": 8, "n_steps_per_epoch": 8}), tmp_path)
    lines = capsys.readouterr().err.splitlines()
    steps = [line.split()[1] for line in lines if " of 8 steps" in line]
    assert steps == [str(step) for step in range(1, 9)]


def test_lightning_is_quiet_inside_only():
    logger = logging.getLogger("pytorch_lightning")
    before = logger.level
    with quiet_lightning():
        assert not logger.isEnabledFor(logging.WARNING)
        assert logger.isEnabledFor(logging.ERROR)
    assert logger.level == before


def test_it_is_quiet_again_after_an_error():
    before = logging.getLogger("pytorch_lightning").level

    def fail() -> None:
        with quiet_lightning():
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert logging.getLogger("pytorch_lightning").level == before


def test_the_loss_shown_is_that_of_a_batch_however_many_are_accumulated(
    make_config, tmp_path, capsys
):
    shown = []
    for accumulate in (1, 4):
        config = make_config(
            optimization={
                "max_steps": 4,
                "accumulate_grad_batches": accumulate,
                "optimizer": {"lr": 1e-9},
                "scheduler": {"min_lr": 0.0},
            }
        )
        fit(config, tmp_path / str(accumulate))
        lines = capsys.readouterr().err.splitlines()
        lines = [line.split() for line in lines if " steps, loss " in line]
        assert [words[1] for words in lines] == list("1234")
        shown.append(float(lines[3][6].rstrip(",")))
    assert shown[1] == pytest.approx(shown[0], rel=0.2)
