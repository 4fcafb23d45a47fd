from __future__ import annotations

import os

from connectomics.process.launchers import without_launchers


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
