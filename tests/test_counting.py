"""Where nothing counts: refused, or said, in every mode before anything long begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from main import main

from connectomics.data.io import save_volume

SHAPE = (8, 32, 32)
NM = (30.0, 8.0, 8.0)
CONFIG: dict[str, Any] = {
    "experiment_name": "e",
    "save_path": "runs",
    "system": {"num_gpus": 0, "num_threads": 1},
    "model": {"out_channels": 3, "rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]]}},
    "data": {
        "train": {"image": "raw.h5", "label": "syn.h5"},
        "val": {"image": "other.h5", "label": "syn.h5"},
        "test": {"image": "third.h5", "label": "syn.h5"},
        "label_transform": {"targets": ["polarity"]},
        "dataloader": {"patch_size": [4, 16, 16], "batch_size": 1, "num_workers": 0},
        "num_val_patches": 1,
    },
    "optimization": {"max_steps": 1, "n_steps_per_epoch": 1},
    "decoding": {"steps": ["polarity2instance"]},
    "tune": {"trials": 1},
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("counting")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        image = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)
        label = np.zeros(SHAPE, np.uint16)
        label[2:6, 8:14, 8:20], label[2:6, 14:20, 8:20] = 1, 2
        volumes = {
            "raw": image,
            "other": image[::-1],
            "third": image[:, ::-1],
            "syn": label,
            "empty": 0 * label,
            "invalid": np.full(SHAPE, 2**64 - 2, np.uint64),
            "nowhere": np.zeros(SHAPE, np.uint8),
            "outside": (label == 0).astype(np.uint8),
        }
        for name, array in volumes.items():
            save_volume(f"{name}.h5", array, resolution=NM)
        Path("my.yaml").write_text(yaml.safe_dump(CONFIG))
        assert main(["--config", "my.yaml"]) == 0
        (found,) = folder.glob("runs/*/checkpoints/last.ckpt")
        assert main(["--config", "my.yaml", "--mode", "test", "--checkpoint", str(found)]) == 0
    return found


@pytest.fixture
def run(checkpoint, capsys, monkeypatch):
    """Run a mode: exit code and what it says of faults."""
    monkeypatch.chdir(checkpoint.parents[3])

    def run(mode: str, *overrides: str) -> tuple[int, str]:
        capsys.readouterr()
        named = [] if mode == "train" else ["--checkpoint", str(checkpoint)]
        code = main(["--config", "my.yaml", "--mode", mode, *named, *overrides])
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return code, said

    return run


SPLITS = {
    "train": "train",
    "infer": "test",
    "decode": "test",
    "evaluate": "test",
    "test": "test",
    "tune": "val",
}


@pytest.mark.parametrize("mode", SPLITS)
@pytest.mark.parametrize("change", ["mask=nowhere.h5", "label=invalid.h5"])
def test_no_voxel_counts(run, mode, change):
    code, said = run(mode, f"data.{SPLITS[mode]}.{change}")
    assert code == (0 if mode in ("infer", "decode") else 2)
    assert "no voxel counts" in said
    assert change.partition("=")[2] in said
    assert "probabilities" not in said


@pytest.mark.parametrize("mode", SPLITS)
@pytest.mark.parametrize("change", ["mask=outside.h5", "label=empty.h5"])
def test_nothing_is_labelled_where_it_counts(run, mode, change):
    code, said = run(mode, f"data.{SPLITS[mode]}.{change}")
    assert code == (2 if mode in ("train", "tune") else 0)
    assert "the labels hold no foreground" in said
    assert change.partition("=")[2] in said


@pytest.mark.parametrize("mode", SPLITS)
def test_nothing_is_said_where_all_is_well(run, mode):
    code, said = run(mode)
    assert code == 0
    assert "warning" not in said


def test_validation_on_nothing(run):
    code, said = run("train", "data.val.label=empty.h5")
    assert code == 0
    assert "train: warning: data.val" in said


@pytest.mark.parametrize("mode", SPLITS)
def test_no_sections(run, mode):
    for sections in ("[3,3]", "[8,9]", "[5,2]"):
        code, said = run(mode, f"data.{SPLITS[mode]}.z_range={sections}")
        assert code == 2
        assert "z_range" in said
