"""Small checkpoints, made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import connectomics
from connectomics.config.schema import ModelSection
from connectomics.models import build_model

SMALL = ModelSection.model_validate(
    {"out_channels": 3, "rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]]}}
)


def facts_of(model: ModelSection) -> dict[str, Any]:
    return {
        "version": connectomics.__version__,
        "model": model.model_dump(mode="json"),
        "image_transform": {},
        "statistics": None,
        "targets": [{"name": "polarity", "kwargs": {}}],
        "channels": ["pre", "post", "union"],
        "channel_activations": [{"channels": "0:3", "activation": "sigmoid"}],
        "resolution": [30.0, 8.0, 8.0],
        "step": 7,
        "metrics": {"val_loss": 0.5, "val_dice": float("nan")},
        "random_state": {"cpu": torch.get_rng_state(), "gpu": None},
    }


def checkpoint_of(model: ModelSection = SMALL, **more: Any) -> dict[str, Any]:
    network = build_model(model)
    return {
        "state_dict": {f"network.{name}": t for name, t in network.state_dict().items()},
        "connectomics": facts_of(model),
        **more,
    }


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path
