from __future__ import annotations

import importlib.util
from collections.abc import Callable
from types import ModuleType

import pytest
from numba.core import config

from connectomics.phantom import Phantom, make_phantom


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """A volume with enough synapses to count."""
    return make_phantom((48, 400, 400), seed=11, synapse_density_um3=0.9)


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType], ModuleType]:
    """Load a module of compiled loops a second time, as plain Python."""

    def load(module: ModuleType) -> ModuleType:
        monkeypatch.setattr(config, "DISABLE_JIT", True)
        spec = importlib.util.spec_from_file_location("interpreted", str(module.__file__))
        assert spec is not None
        assert spec.loader is not None
        twin = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(twin)
        return twin

    return load
