"""Training and prediction from Python, on arrays or files and without YAML.

The settings are those of a tutorial; the parts are the very ones that the command uses. Decoding,
scores and pictures are functions on arrays already: `docs/python.md` shows all of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from connectomics.checkpoints import find_checkpoint
from connectomics.config.inheritance import TUTORIALS
from connectomics.config.overrides import override_texts
from connectomics.data.axis_order import warn_of_axes
from connectomics.data.build import Given, measure
from connectomics.data.processing import ImageStatistics, normalize
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    MachineError,
    did_you_mean,
    warn,
)
from connectomics.geometry import Box
from connectomics.pipeline.components import read_config
from connectomics.pipeline.given_arrays import Source, labelled_volume, named, volume_of
from connectomics.pipeline.label_checks import require_labels_of
from connectomics.runs import new_run, provenance_of, write_provenance

if TYPE_CHECKING:
    from connectomics.inference.windows import Sliding
    from connectomics.models import TrainedModel
    from connectomics.training import FitResult


def train(
    image: Source,
    label: Source,
    *,
    resolution: Sequence[float] | None = None,
    recipe: str | os.PathLike[str] = "syn_em_r50",
    settings: Mapping[str, Any] | None = None,
    validation: tuple[Source, Source] | None = None,
) -> FitResult:
    """Train a network on an image and its labels.

    Args:
        image: Grey values.
        label: Of the same shape: synapse n is 2n-1 on its pre side and 2n on its post side; or 0,
            1 (pre), 2 (post); for recipes without sides, whatever is not 0.
        resolution: nm per voxel (z, y, x); of files, where they do not say it.
        recipe: A tutorial, by its name, or a YAML file. Its volumes are left out.
        settings: What to change of it, by the same names as on the command line:
            `{"optimization.max_steps": 2000, "model/rsunet": "small"}`.
        validation: An image and its labels to validate on; unless given, part of the first is
            held back.

    Returns:
        What training leaves: `last` and `best` checkpoint, `step`, `metrics`. The run folder is
        made under `save_path`, by default `outputs/<experiment_name>`.

    Raises:
        ConfigError: There is no such recipe or setting.
        DataError: The volumes are not what they should be.
        TrainingStopped: A signal came, such as Ctrl-C; the state is saved.
    """
    from connectomics.training import prepare

    pairs = {"train": (image, label)}
    if validation is not None:
        pairs["val"] = _pair(validation)
    told = override_texts(dict.fromkeys(("data.train", "data.val", "data.test")))
    for name, (an_image, a_label) in pairs.items():
        split = {"image": named(an_image), "label": named(a_label), "resolution": resolution}
        told += override_texts({f"data.{name}": {k: v for k, v in split.items() if v is not None}})
    resolved = read_config(_recipe(recipe), overrides=[*told, *override_texts(settings or {})])
    config = resolved.config
    volumes = {name: labelled_volume(name, *pair, resolution) for name, pair in pairs.items()}
    for volume in volumes.values():
        _require_patch(volume, config.data.dataloader.patch_size)
    given = Given([volumes["train"]], [volumes["val"]] if "val" in volumes else ())
    require_labels_of(given, config.data)
    warn_of_axes(volumes.values())
    training = prepare(config, given=given)
    for text in training.warnings:
        warn("train", text)
    run = new_run(config.save_path)
    notes = {"description": f"trained from Python with the recipe {os.fspath(recipe)}"}
    seed = config.system.seed
    write_provenance(run.path, provenance_of(resolved.to_yaml(), seed=seed, notes=notes))
    if config.monitor.progress_bar:
        print("\n".join(f"train: {text}" for text in (run.path, *training.notes)), file=sys.stderr)
    return training.run(run.path)


def predict(
    model: FitResult | TrainedModel | str | os.PathLike[str],
    image: Source,
    *,
    window_size: tuple[int, int, int] | None = None,
    overlap: float | None = None,
    flips: bool | None = None,
    device: str | None = None,
    progress: bool = True,
) -> np.ndarray:
    """Predict the probabilities of an image, as `infer` would.

    Grey values are normalised as in training, by statistics of this image or of the training
    volumes, whichever the network was trained with.

    Args:
        model: What `train` has returned (its last checkpoint), a checkpoint, a run folder, or a
            network from `load_model`.
        image: Grey values.
        window_size: (z, y, x) voxels at a time; unless given, as its config says.
        overlap: Of windows, in [0, 1); likewise.
        flips: Whether to average over flips; likewise.
        device: Such as "cpu"; unless given, a GPU where there is one.
        progress: Say how far it is.

    Returns:
        (C, Z, Y, X) float32, one channel for each of the network's: pre, post and union, say.

    Raises:
        CheckpointError: It is no checkpoint, or is of an earlier version and says nothing of
            windows.
        ConfigError: The window is none.
        DataError: The image is no volume, or holds NaN.
        MachineError: There is no such device.
    """
    import torch

    from connectomics.inference.predict import predict_at_once

    trained = _trained(model)
    facts, volume = trained.facts, volume_of("image", image)
    on = _device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if window_size is not None and np.shape(window_size) != (3,):
        problem = f"{window_size} is no size of a window."
        raise ConfigError("window_size", problem, "Give (z, y, x) voxels, such as (18, 160, 160).")
    sliding = _sliding(trained, on, window_size is not None)
    changes = {"window_size": window_size, "overlap": overlap}
    changes["flip_axes"] = None if flips is None else ("all" if flips else ())
    sliding = replace(sliding, **{name: v for name, v in changes.items() if v is not None})
    pooled = facts.statistics and ImageStatistics.from_dict(facts.statistics.model_dump())
    whole = LabelledVolume("image", volume)
    warn_of_axes([whole])
    (statistics,) = measure([whole], facts.image_transform, pooled)
    _, height, width = volume.shape

    def read(first: int, stop: int) -> np.ndarray:
        grey = volume.read(Box((first, 0, 0), (stop, height, width)))
        return normalize(grey, statistics, facts.image_transform.normalize)

    return predict_at_once(
        trained.to(on), read, volume.shape, sliding, progress=progress, where=volume.name
    )


def _pair(validation: Any) -> tuple[Source, Source]:
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        problem = "is no pair of volumes."
        raise DataError("validation", problem, "Give an image and its labels: (image, label).")
    image, label = validation
    return image, label


def _recipe(recipe: str | os.PathLike[str]) -> Path:
    """A tutorial by its name, or a file."""
    name = os.fspath(recipe)
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    names = [file.stem for file in TUTORIALS.glob("*.yaml")]
    if name not in names:
        raise ConfigError("recipe", f"there is none called {name!r}.", did_you_mean(name, names))
    return TUTORIALS / f"{name}.yaml"


def _require_patch(volume: LabelledVolume, size: Sequence[int]) -> None:
    if any(n < patch for n, patch in zip(volume.shape, size, strict=True)):
        problem = f"{volume.shape} voxels hold no patch of {tuple(size)} (z, y, x)."
        remedy = 'Make it smaller: settings={"data.dataloader.patch_size": (z, y, x)}'
        if volume.shape[0] > 2 * volume.shape[2]:
            remedy += "; or, where the array is (X, Y, Z), turn it round: array.T"
        raise DataError("image", problem, remedy)


def _device(name: str) -> Any:
    import torch

    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        problem = f"there is no device {name!r} here."
        raise MachineError("device", problem, 'Give "cpu", or "cuda" with a GPU.') from error
    return device


def _trained(model: FitResult | TrainedModel | str | os.PathLike[str]) -> TrainedModel:
    from connectomics.models import TrainedModel, load_model, read_checkpoint

    if isinstance(model, TrainedModel):
        return model
    if not isinstance(model, str | os.PathLike) and not hasattr(model, "last"):
        problem = f"a {type(model).__name__} is no trained network."
        remedy = "Give what train returned, a checkpoint, a run folder, or load_model(...)."
        raise CheckpointError("model", problem, remedy)
    path = Path(model) if isinstance(model, str | os.PathLike) else model.last
    checkpoint = read_checkpoint(find_checkpoint(path))
    inference = checkpoint.facts.inference
    return load_model(checkpoint, use_ema=inference.model.use_ema if inference else True)


def _sliding(trained: TrainedModel, device: Any, has_window: bool) -> Sliding:
    from connectomics.config.schema import InferenceSection
    from connectomics.inference.build import build_sliding
    from connectomics.inference.windows import Sliding

    facts = trained.facts
    if facts.inference is None and not has_window:
        problem = "an earlier version wrote it, and it does not say how the network is to slide."
        raise CheckpointError("checkpoint", problem, "Give window_size, such as (18, 160, 160).")
    if facts.inference is None:
        return Sliding((1, 1, 1), activation=trained.activate, device=device)
    assert isinstance(facts.inference, InferenceSection)
    return build_sliding(facts.inference, facts.precision or "32-true", device)
