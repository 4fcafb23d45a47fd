"""Searches small enough to be run many times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest

from connectomics.config.derived import derive
from connectomics.config.schema import Config
from connectomics.pipeline.components import KNOWN
from connectomics.tuning import Objective, Range, Search, ValidationVolume

NM = (30.0, 8.0, 8.0)
MakeConfig = Callable[..., Config]


class Points(NamedTuple):
    """A score that adds up like counts do."""

    got: float
    of: float

    def __add__(self, other: Points) -> Points:  # type: ignore[override]
        return Points(self.got + other.got, self.of + other.of)


class Hill:
    """An objective without a decoder: the nearer to its top, the better. It counts its visits."""

    def __init__(self, *tops: float, hook: Callable[[int], None] = lambda visits: None) -> None:
        self.visits = 0
        self.hook = hook
        empty = np.zeros((1, 1, 1, 1))
        self.volumes = [ValidationVolume(str(top), empty, empty[0]) for top in tops]

    def decode(self, volume: ValidationVolume, settings: Mapping[str, Any]) -> np.ndarray:
        self.visits += 1
        self.hook(self.visits)
        return np.array(1 - abs(settings["x"] - float(volume.name)))

    def objective(self) -> Objective:
        return Objective(
            self.volumes,
            decode=self.decode,
            score=lambda volume, labels: Points(float(labels), 1),  # type: ignore[arg-type]
            value=lambda score: score.got / score.of,  # type: ignore[attr-defined]
        )


@pytest.fixture
def hill() -> type[Hill]:
    return Hill


@pytest.fixture
def make_search() -> Callable[..., Search]:
    def make(hill: Hill, **changes: Any) -> Search:
        fields: dict[str, Any] = {
            "space": {"x": Range(0.0, 1.0)},
            "configured": {"x": 0.05},
            "objective": hill.objective(),
            "seed": 3,
            "identity": {"decoder": "hill"},
        }
        return Search(**(fields | changes))

    return make


@pytest.fixture
def make_config() -> MakeConfig:
    """Make a config of a decoder; `sections` are laid over it."""

    def make(decoder: str = "polarity2instance", **sections: Any) -> Config:
        kwargs = sections.pop("kwargs", {})
        channels = 1 if decoder == "binary2instance" else 3
        base = {
            "model": {"out_channels": channels},
            "decoding": {"steps": [{"name": decoder, "kwargs": kwargs}]},
        }
        return derive(Config.model_validate(base | sections), KNOWN)

    return make


def synapses(count: int = 3, *, p: float = 0.35) -> ValidationVolume:
    """A volume of clear but unsure synapses: all are found below `p`, and none above."""
    truth = np.zeros((6, 24, 20 * count), np.uint16)
    for n in range(1, count + 1):
        x = 20 * (n - 1) + 3
        truth[1:5, 4:10, x : x + 12] = 2 * n - 1
        truth[1:5, 10:16, x : x + 12] = 2 * n
    sides = np.stack([truth % 2 == 1, (truth > 0) & (truth % 2 == 0), truth > 0])
    probabilities = np.where(sides, p, 0.05).astype(np.float32)
    return ValidationVolume("drawn", probabilities, truth, NM)


@pytest.fixture(name="synapses")
def _synapses() -> Callable[..., ValidationVolume]:
    return synapses
