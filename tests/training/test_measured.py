"""A training that goes on does not read large volumes again to know them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectomics.config.schema import Config
from connectomics.data import build, places
from connectomics.data import kept as keeping
from connectomics.errors import DataError
from connectomics.training.trainer import Training, fit, prepare

LARGE = {"cache_limit_gib": 0, "reject_sampling": {"size_thres": 20, "p": 0.9}}


@pytest.fixture(autouse=True)
def _all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "WORTH_KEEPING_BYTES", 0)


@pytest.fixture
def config_of(make_config: Callable[..., Config]) -> Callable[..., Config]:
    loader = make_config().data.dataloader.model_dump()

    def config(**sections: Any) -> Config:
        return make_config(**sections, data={"dataloader": {**loader, **LARGE}})

    return config


def measured(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "measured").iterdir()}


def drawn(training: Training) -> list[Any]:
    """Where patches lie, and from which size on they are accepted."""
    sampler, rng = training.data.patches.sampler, np.random.default_rng(1)
    return [sampler.size_thres, *(sampler.draw(rng) for _ in range(20))]


def test_what_was_found_is_kept_from_run_to_run(config_of, tmp_path, monkeypatch):
    first = fit(config_of(optimization={"max_steps": 2}), tmp_path / "first")
    kept = measured(tmp_path / "first")
    # of the part that is learned from, of the one that is held back, and of the image
    assert sorted(name.partition("-")[0] for name in kept) == ["grey_values", "labels", "labels"]
    longer = config_of(optimization={"max_steps": 4})
    whole = prepare(longer)
    with monkeypatch.context() as patch:
        patch.setattr(places, "_packed", None)
        patch.setattr(build, "image_statistics", None)
        ready = prepare(longer, resume_from=first.last)
    (note,) = [note for note in ready.notes if "not read again" in note]
    assert note.startswith("the grey values and labels of what has not changed")
    assert drawn(ready) == drawn(whole)
    assert ready.run(tmp_path / "second").step == 4
    assert measured(tmp_path / "second") == kept


@pytest.mark.slow
def test_all_processes_of_a_run_know_what_the_first_has_found(config_of, tmp_path, monkeypatch):
    """Where that is made to say that nothing is labelled, the others believe it."""
    ready = prepare(config_of(system={"num_cpu_processes": 2}))
    for _, arrays in (ready.data.kept._found or {}).values():
        if "runs" in arrays:
            assert isinstance(arrays, dict)
            arrays.update({name: arrays[name][:0] for name in arrays if name != "masked"})
    with pytest.raises(DataError, match="the labels hold no foreground"):
        ready.run(tmp_path)
