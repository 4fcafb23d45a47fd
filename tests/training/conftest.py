"""A training small enough to be run many times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from connectomics.config.derived import derive
from connectomics.config.schema import Config
from connectomics.data.io import save_volume
from connectomics.pipeline.components import KNOWN

torch.set_num_threads(1)

MakeConfig = Callable[..., Config]


@pytest.fixture(scope="session")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Files of a volume with two synapses: bright where pre, dark where post."""
    folder = tmp_path_factory.mktemp("volumes")
    image = np.random.default_rng(0).integers(90, 160, (16, 64, 64), dtype=np.uint8)
    label = np.zeros(image.shape, np.uint16)
    for n, corner in enumerate(((2, 20, 20), (11, 40, 30)), start=1):
        z, y, x = corner
        label[z : z + 4, y : y + 8, x : x + 12] = 2 * n - 1
        label[z : z + 4, y + 8 : y + 14, x : x + 12] = 2 * n
    image[label % 2 == 1] = 230
    image[(label > 0) & (label % 2 == 0)] = 20
    split = {}
    for name, array in {"image": image, "label": label}.items():
        split[name] = str(folder / f"{name}.h5")
        save_volume(split[name], array, resolution=(30, 8, 8))
    return split


@pytest.fixture(scope="session")
def make_config(volumes: dict[str, Any]) -> MakeConfig:
    """Make a config of a tiny training; `sections` are merged into it."""

    def make(**sections: dict[str, Any]) -> Config:
        base: dict[str, Any] = {
            "system": {"num_gpus": 0, "seed": 3},
            "model": {
                "out_channels": 3,
                "rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]]},
                "loss": {
                    "losses": [{"function": "WeightedBCEWithLogitsLoss"}, {"function": "DiceLoss"}]
                },
            },
            "data": {
                "train": volumes,
                "label_transform": {"targets": ["polarity"]},
                "augmentation": {"flip": {}},
                "dataloader": {
                    "patch_size": [4, 16, 16],
                    "batch_size": 2,
                    "num_workers": 0,
                    "reject_sampling": {"size_thres": 100, "p": 0.9},
                },
                "num_val_patches": 2,
            },
            "optimization": {
                "max_steps": 10,
                "n_steps_per_epoch": 4,
                "scheduler": {"warmup_steps": 2},
                "ema": {"warmup_steps": 2, "decay": 0.9},
            },
            "monitor": {"logging": {"every_n_steps": 2}},
        }
        return derive(Config.model_validate(_merged(base, sections)), KNOWN)

    return make


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    return base | {
        key: _merged(base[key], value)
        if isinstance(value, dict) and isinstance(base.get(key), dict)
        else value
        for key, value in over.items()
    }


def same_state(first: Path, second: Path, *, ignored: tuple[str, ...] = ()) -> list[str]:
    """Name every place where two checkpoints differ, to the last bit."""
    loaded = (torch.load(path, weights_only=True) for path in (first, second))
    return [place for place in _differences(*loaded, "") if not place.startswith(ignored)]


def _differences(a: Any, b: Any, place: str) -> list[str]:
    if isinstance(a, torch.Tensor):
        return [] if torch.equal(a, b) else [place]
    if isinstance(a, dict) and isinstance(b, dict):
        if list(a) != list(b):
            return [f"{place}: keys {list(a)} and {list(b)}"]
        return [d for key in a for d in _differences(a[key], b[key], f"{place}.{key}")]
    if isinstance(a, list | tuple):
        if len(a) != len(b):
            return [f"{place}: lengths"]
        return [d for i in range(len(a)) for d in _differences(a[i], b[i], f"{place}.{i}")]
    return [] if a == b or (a != a and b != b) else [f"{place}: {a} and {b}"]


@pytest.fixture(name="same_state")
def _same_state() -> Callable[..., list[str]]:
    return same_state
