"""A tiny network, trained for a step, and the volumes it is tried on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from main import main

from connectomics.data.io import save_volume
from connectomics.phantom import make_phantom

SHAPE = (14, 50, 46)
TINY: dict[str, Any] = {
    "experiment_name": "tiny",
    "system": {"num_gpus": 0, "num_threads": 1},
    "model": {"out_channels": 3, "rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]]}},
    "data": {
        "train": {"image": "vol.h5", "label": "syn.h5"},
        "test": {"image": "vol.h5", "label": "syn.h5"},
        "label_transform": {"targets": ["polarity"]},
        "dataloader": {"patch_size": [6, 16, 16], "batch_size": 1, "num_workers": 0},
        "num_val_patches": 1,
    },
    "optimization": {"max_steps": 1, "n_steps_per_epoch": 1, "precision": "32-true"},
    "inference": {"window": {"window_size": [6, 16, 16], "batch_size": 8}, "save_dtype": "float32"},
    "decoding": {"steps": [{"name": "polarity2instance", "kwargs": {"thres_small": 4}}]},
    "evaluation": {"metrics": ["polarity"], "truth_encoding": "polarity"},
}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with volumes, `my.yaml`, and a run in `outputs/tiny`."""
    folder = tmp_path_factory.mktemp("tiny")
    phantom = make_phantom(SHAPE, seed=2, synapse_density_um3=40.0)
    image = phantom.image.copy()
    image[:, :, 36:] = 0  # some of it is not imaged
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        save_volume("vol.h5", image, resolution=(30, 8, 8), offset_nm=(60, 0, 8))
        save_volume("syn.h5", phantom.label.astype(np.uint16), resolution=(30, 8, 8))
        Path("my.yaml").write_text(yaml.safe_dump(TINY))
        assert main(["--config", "my.yaml"]) == 0
    return folder
