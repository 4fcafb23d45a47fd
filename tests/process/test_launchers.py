from __future__ import annotations

import os

from connectomics.process.launchers import with_launchers, without_launchers


def test_launchers_are_hidden_and_come_back_as_they_were(monkeypatch):
    theirs = {"SLURM_NTASKS": "4", "RANK": "abc", "PL_TRAINER_MAX_STEPS": "1", "OMPI_COMM_X": ""}
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    before = dict(os.environ)
    with without_launchers():
        assert not theirs.keys() & os.environ.keys()
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
        os.environ["MASTER_PORT"] = "1234"
    assert dict(os.environ) == before


def test_a_training_on_several_machines_is_shown_by_what_its_processes_meet(monkeypatch):
    theirs = {"SLURM_PROCID": "1", "MASTER_ADDR": "10.0.0.1", "PL_TRAINER_MAX_STEPS": "1"}
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with without_launchers():
        with without_launchers(), with_launchers():
            assert os.environ["SLURM_PROCID"] == "1"
            assert os.environ["MASTER_ADDR"] == "10.0.0.1"
            assert "PL_TRAINER_MAX_STEPS" not in os.environ
            os.environ["MASTER_PORT"] = "1234"
        assert not theirs.keys() & os.environ.keys()
        assert "MASTER_PORT" not in os.environ
    assert dict(os.environ) == before
    with with_launchers():  # nothing is hidden any more
        assert os.environ["SLURM_PROCID"] == "1"
    assert dict(os.environ) == before
