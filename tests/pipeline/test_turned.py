"""A volume in another order of axes is said by whatever reads it."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest

from connectomics.phantom import make_phantom
from tests.pipeline.tiny_run import TinyRun

SAID = "warning: turned.h5: its sections seem to lie along its last axis"


@pytest.fixture
def turned(trained, tmp_path, monkeypatch):
    """An image and its labels as (X, Y, Z), in a copy of the folder of a run."""
    shutil.copytree(trained, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    phantom = make_phantom((20, 64, 64), seed=3, synapse_density_um3=40.0, damage=False)
    for name, voxels in (("turned.h5", phantom.image), ("turned_syn.h5", phantom.label)):
        with h5py.File(name, "w") as file:
            file["main"] = np.ascontiguousarray(voxels.T)
            file["main"].attrs["resolution"] = [30.0, 8.0, 8.0]


def named(split: str) -> list[str]:
    return [f"data.{split}.image=turned.h5", f"data.{split}.label=turned_syn.h5"]


def test_a_test_and_a_prediction_say_it(turned, capsys) -> None:
    tiny = TinyRun(capsys)
    said = tiny("test", *named("test"))
    assert said.count(SAID) == 1
    assert "['/main'].attrs['axes'] = 'xyz'; h5py.File('turned_syn.h5', 'r+')" in said
    assert SAID in tiny("infer", "data.test.image=turned.h5", "data.test.label=null")
    assert SAID in tiny("train", *named("train"), "data.test=null", code=2)  # all done
    assert "seem to lie" not in tiny("test")
