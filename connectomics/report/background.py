"""What a report says besides the scores: the training, the settings, where it all comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from connectomics.config import Config, Resolved, load_config
from connectomics.config.defaults_list import TUTORIALS
from connectomics.errors import ConfigError
from connectomics.runs import RunFolder, run_of_checkpoint

Curve = tuple[Sequence[int], Sequence[float]]

MOST_POINTS = 1000
"""Of a curve; TensorBoard draws an even choice of more."""

PLACES = ("experiment_name", "description", "save_path", "data.train", "data.val", "data.test")
"""Settings that any data set of one's own changes, so that a change of them tells nothing."""

OF_TESTS = ("inference", "decoding", "evaluation", "tune", "optimization.precision")
"""Settings that a test goes by; the others are those of the training."""

NOT_KEPT = (
    "No probabilities were kept (inference.save_probabilities: false): to decode with other "
    "settings, or to see how sure the network was of a voxel, predict again."
)


@dataclass(frozen=True)
class Background:
    """What a report says besides the scores.

    Attributes:
        title: The experiment.
        description: Of the experiment.
        training: Steps and values of the training, by name.
        tutorial: The tutorial that the config goes back to, if it does to one.
        changes: What was set otherwise than there: key, there, here.
        provenance: How the results came about.
        viewer: Address of a Neuroglancer that shows the volume; empty for none.
        notes: What else to know of the results.
    """

    title: str
    description: str = ""
    training: Mapping[str, Curve] = field(default_factory=dict)
    tutorial: str = ""
    changes: Sequence[tuple[str, str, str]] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    viewer: str = ""
    notes: Sequence[str] = ()


def background_of(resolved: Resolved, run: RunFolder) -> Background:
    """Gather what a report says of a run.

    Args:
        resolved: The config of the test.
        run: With whatever there is of its training.
    """
    tutorial = _tutorial(resolved)
    changes: list[tuple[str, str, str]] = []
    if tutorial is not None:
        before = load_config(tutorial, mode=resolved.mode, components=resolved.components)
        changes = list(
            changed_settings(before, replace(resolved, training=_trained(resolved, run)))
        )
    return Background(
        title=resolved.config.experiment_name,
        description=resolved.config.description,
        training=whole_training(run),
        tutorial=tutorial.name if tutorial else "",
        changes=changes,
        provenance=_provenance(run),
        viewer=resolved.config.evaluation.viewer,
        notes=[] if resolved.config.inference.save_probabilities else [NOT_KEPT],
    )


def whole_training(run: RunFolder) -> dict[str, Curve]:
    """The curves of a run, with those of the runs that it goes on from as far as it does.

    Args:
        run: With whatever there is of its training.
    """
    curves, seen = training_curves(run.tensorboard), {run.path.absolute()}
    while curves and (earlier := _resumed_from(run)) and earlier.path.absolute() not in seen:
        run = earlier
        seen.add(run.path.absolute())
        begun = min(steps[0] for steps, _ in curves.values())
        for name, (steps, values) in training_curves(run.tensorboard).items():
            count = sum(step < begun for step in steps)
            after = curves.get(name, ((), ()))
            curves[name] = [*steps[:count], *after[0]], [*values[:count], *after[1]]
    return curves


def _resumed_from(run: RunFolder) -> RunFolder | None:
    checkpoint = _provenance(run).get("resumed_from")
    if not isinstance(checkpoint, str):
        return None
    # As it was typed then, perhaps from elsewhere; runs of an experiment lie side by side.
    beside = run.path.parent / Path(*Path(checkpoint).parts[-3:])
    return run_of_checkpoint(beside) or run_of_checkpoint(Path(checkpoint))


def training_curves(folder: Path) -> dict[str, Curve]:
    """Read what a training has logged of its losses and of validation.

    Args:
        folder: Where TensorBoard looks; it may not be there.

    Returns:
        Steps and values by name, `train_loss` first.
    """
    if not any(folder.glob("events.out.tfevents.*")):
        return {}
    # Imported here: it takes a second.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": MOST_POINTS})
    events.Reload()
    names = [n for n in events.Tags()["scalars"] if n == "train_loss" or n.startswith("val_")]
    curves = {}
    for name in sorted(names):
        points = events.Scalars(name)
        curves[name] = [point.step for point in points], [point.value for point in points]
    return curves


def changed_settings(before: Resolved, now: Resolved) -> Iterator[tuple[str, str, str]]:
    """List the settings of training and test that differ, but for those of `PLACES`.

    What only a training goes by is taken from it, whatever the command says that tests.

    Yields:
        Dotted key, value before and value now.
    """
    stages = (before.training, now.training, False), (before.config, now.config, True)
    for old, new, tests in stages:
        trees = old.model_dump(mode="json"), new.model_dump(mode="json")
        for key, was, is_now in _changed(*trees):
            if not _is_in(key, PLACES) and _is_in(key, OF_TESTS) == tests:
                yield key, _shown(was), _shown(is_now)


def _changed(was: Any, now: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two trees differ; what one of them lacks is one row, however much it holds."""
    if isinstance(was, dict) and isinstance(now, dict):
        for name in {**was, **now}:
            yield from _changed(was.get(name), now.get(name), f"{key}.{name}" if key else name)
    elif was != now:
        yield key, was, now


def _is_in(key: str, places: Sequence[str]) -> bool:
    return any(key == place or key.startswith(f"{place}.") for place in places)


def _trained(resolved: Resolved, run: RunFolder) -> Config:
    """The config that the run was trained with; that of the test where there is none to read."""
    file = run.path / "config.yaml"
    if not file.is_file():
        return resolved.training
    try:
        return load_config(file, mode="train", components=resolved.components).training
    except ConfigError:  # of an earlier version, or written by hand
        return resolved.training


def _shown(value: Any) -> str:
    """As it is written in a config, in one line.

    >>> _shown([{"name": "synapses", "kwargs": {}}]), _shown(None), _shown(True)
    ('[{name: synapses, kwargs: {}}]', '-', 'true')
    """
    if value is None:
        return "-"
    text = yaml.safe_dump(value, sort_keys=False, default_flow_style=True, width=10**6)
    return text.removesuffix("...\n").strip()


def _tutorial(resolved: Resolved) -> Path | None:
    """The tutorial that a config is, or that it inherits last."""
    files = [Path(layer.file) for layer in resolved.sources.layers]
    own = [file for file in files if file.resolve().parent == TUTORIALS.resolve()]
    return own[-1] if own else None


def _provenance(run: RunFolder) -> dict[str, Any]:
    """What the run says of its training; of the test, its own file beside the page speaks."""
    try:
        read = yaml.safe_load((run.path / "provenance.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return read if isinstance(read, dict) else {}
