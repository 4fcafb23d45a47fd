"""The stages of a run. Each reads what the one before wrote, so each can be run again alone.

train      volumes → checkpoints
infer      checkpoint + volumes → probabilities
decode     probabilities → labels
evaluate   labels + ground truth → scores and pictures
test       infer, decode, evaluate
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from connectomics.config import Config, Resolved
from connectomics.data.build import measure, open_split
from connectomics.data.checks import check_data, check_settings
from connectomics.data.io import open_volume, save_volume
from connectomics.data.processing import ImageStatistics, channel_names, clean_label, normalize
from connectomics.data.volumes import LabelledVolume
from connectomics.decoding import steps, write_table
from connectomics.errors import ConfigError, DataError, Fault
from connectomics.evaluation.build import LabelPair, check_evaluation, evaluate_volumes
from connectomics.evaluation.summary import write_report
from connectomics.geometry import Box
from connectomics.results import (
    KEY,
    SCORES,
    VolumeResults,
    digest,
    existing_results,
    is_made_from,
    replacing,
    require_checkpoint,
    results_of_volumes,
    run_of,
)
from connectomics.runs import RunFolder, new_run, write_provenance


def check_names(config: Config) -> list[Fault]:
    """Find the names and settings of decoders, metrics, targets and augmentations that are none.

    What takes PyTorch to know, the losses, is checked by `check_losses`.
    """
    known = [step for step in config.decoding.steps if step.name in steps.DECODERS]
    encoding = steps.output_encoding(known[0]) if known else "auto"
    return [
        *check_settings(config.data),
        *steps.check_decoding(config.decoding.steps, channels=config.model.out_channels),
        *check_evaluation(config.evaluation, prediction_encoding=encoding),
    ]


def check_losses(config: Config) -> list[Fault]:
    """Find the losses, and settings of losses, that are none."""
    from connectomics.models.build import check_model

    return check_model(config.model)


def train(resolved: Resolved, checkpoint: Path | None) -> None:
    """Train a network, or go on training the one of a checkpoint, in a new run folder."""
    from connectomics.training import prepare

    config = resolved.config
    _require(check_data(config.data, "train"))
    training = prepare(config, resume_from=checkpoint)
    run = new_run(config.save_path)
    notes = {"description": config.description}
    if checkpoint is not None:
        notes["resumed_from"] = str(checkpoint)
    write_provenance(run.path, resolved.to_yaml(), seed=config.system.seed, notes=notes)
    print(f"train: {run.path}", flush=True)
    result = training.run(run.path)
    print(f"train: {result.step} steps done; the last checkpoint is {result.last}")


def infer(resolved: Resolved, checkpoint: Path | None) -> None:
    """Predict the probabilities of the test volumes."""
    import torch

    from connectomics.inference.build import build_sliding, write_probabilities
    from connectomics.training import (
        choose_devices,
        load_network,
        read_checkpoint,
        require_same_grey_values,
    )

    config = resolved.config
    checkpoint = require_checkpoint(checkpoint, config.save_path, resolved.mode)
    _require(check_data(config.data, "infer"))
    device = torch.device("cuda" if choose_devices(config.system)[0] == "gpu" else "cpu")
    saved = read_checkpoint(checkpoint)
    require_same_grey_values(saved, config.data.image_transform)
    network = load_network(saved, config.model, use_ema=config.inference.model.use_ema).to(device)
    sliding = build_sliding(config.inference, config.optimization.precision, device)
    run = _start(resolved, checkpoint)
    volumes = open_split(config.data.test, "data.test")
    transform = config.data.image_transform
    pooled = saved["connectomics"]["statistics"]
    statistics = measure(volumes, transform, pooled and ImageStatistics.from_dict(pooled))
    made_from = digest(
        checkpoint, config.inference.model_dump(mode="json"), transform.model_dump(mode="json")
    )
    for (volume, results), measured in zip(
        results_of_volumes(run, volumes), statistics, strict=True
    ):
        path, key = results.probabilities, digest(made_from, _identity(volume))
        if is_made_from(path, key):
            print(f"infer: {path} is up to date")
            continue
        print(f"infer: {volume.name} {volume.shape} → {path}")
        attributes = {
            KEY: key,
            "source": _identity(volume),
            "checkpoint": str(checkpoint),
            "synthetic": volume.synthetic,
        }
        began = time.perf_counter()
        with replacing(path) as (new,):
            write_probabilities(
                new,
                network,
                volume.image,
                sliding,
                normalise=partial(normalize, statistics=measured, mode=transform.normalize),
                channels=channel_names(config.data.label_transform.targets),
                dtype=config.inference.save_dtype,
                resolution=volume.resolution,
                attributes=attributes,
            )
        rate = math.prod(volume.shape) / (time.perf_counter() - began)
        print(f"infer: done, {rate:,.0f} voxels/s")


def decode(resolved: Resolved, checkpoint: Path | None) -> None:
    """Turn the probabilities of a run into labels."""
    config = resolved.config
    run = run_of(checkpoint, config.save_path)
    chosen = config.decoding.steps
    if not chosen:
        raise ConfigError(
            resolved.place("decoding.steps"),
            "names no decoder.",
            "Add one, such as: decoding: {steps: [{name: polarity2instance}]}",
        )
    settings = [step.model_dump(mode="json") for step in chosen]
    for results in existing_results(run):
        with open_volume(results.probabilities) as volume:
            attributes, resolution = volume.attributes, volume.resolution
            key = digest(attributes[KEY], settings)
            if is_made_from(results.labels, key):
                print(f"decode: {results.labels} is up to date")
                continue
            print(f"decode: {results.probabilities} → {results.labels}")
            decoded = steps.decode(
                volume.read(), chosen, resolution=resolution, offset_nm=volume.offset_nm
            )
        about = {
            KEY: key,
            "encoding": steps.output_encoding(chosen[0]),
            "decoder": json.dumps(settings),
            "synthetic": attributes["synthetic"],
        }
        with replacing(results.labels) as (new,):
            save_volume(new, decoded.labels, resolution=resolution, attributes=about)
        if decoded.table is not None:
            with replacing(results.table) as (new,):
                write_table(decoded.table, new)


def evaluate(resolved: Resolved, checkpoint: Path | None) -> None:
    """Score the labels of a run against the ground truth, and draw both."""
    config = resolved.config
    _require(check_data(config.data, "evaluate"))
    run = run_of(checkpoint, config.save_path)
    volumes = results_of_volumes(run, open_split(config.data.test, "data.test"))
    report = evaluate_volumes(_pairs(volumes), config.evaluation)
    with replacing(*(run.results / name for name in SCORES)) as new:
        write_report(report, new[0].parent)
    for volume, results in volumes:
        _draw(volume, results)
    print(f"\n{report.table()}")
    print("evaluate: " + "\n          ".join(str(run.results / name) for name in SCORES))


def test(resolved: Resolved, checkpoint: Path | None) -> None:
    """Predict, decode and score the test volumes."""
    config = resolved.config
    checkpoint = require_checkpoint(checkpoint, config.save_path, resolved.mode)
    scored = config.evaluation.enabled
    _require(check_data(config.data, "test", evaluates=scored))
    infer(resolved, checkpoint)
    decode(resolved, checkpoint)
    if scored:
        evaluate(resolved, checkpoint)
        return
    run = run_of(checkpoint, config.save_path)
    for volume, results in results_of_volumes(run, open_split(config.data.test, "data.test")):
        _draw(volume, results)


def tune(resolved: Resolved, checkpoint: Path | None) -> None:
    """Say that tuning is still to come."""
    raise ConfigError(
        "--mode", "tune is not there yet.", "Set decoding.steps by hand and use --mode decode."
    )


STAGES: dict[str, Callable[[Resolved, Path | None], None]] = {
    stage.__name__: stage for stage in (train, infer, decode, evaluate, test, tune)
}


def _require(faults: list[Fault]) -> None:
    if faults:
        raise DataError.of(faults)


def _start(resolved: Resolved, checkpoint: Path) -> RunFolder:
    """Find the run folder of a test, and note there what is about to be done."""
    config = resolved.config
    run = run_of(checkpoint, config.save_path)
    notes = {"checkpoint": str(checkpoint)}
    write_provenance(run.results, resolved.to_yaml(), seed=config.system.seed, notes=notes)
    return run


def _identity(volume: LabelledVolume) -> str:
    return f"{volume.image.name} {volume.shape}"


def _pairs(
    volumes: list[tuple[LabelledVolume, VolumeResults]],
) -> Iterator[LabelPair]:
    """Read truth and prediction, one volume at a time."""
    for volume, results in volumes:
        assert volume.label is not None
        truth = clean_label(volume.label.read())
        with open_volume(results.labels) as labels:
            if labels.shape != volume.shape:
                raise DataError(
                    str(results.labels),
                    f"has shape {labels.shape}, its volume {volume.shape}.",
                    "Predict it again with --mode test.",
                )
            yield LabelPair(
                volume.name,
                truth.label,
                labels.read(),
                prediction_encoding=labels.attributes["encoding"],
                resolution=volume.resolution,
                mask=_mask(volume, truth.mask),
                notes=("synthetic EM, not real tissue",) if volume.synthetic else (),
            )


def _mask(volume: LabelledVolume, labelled: np.ndarray | None) -> np.ndarray | None:
    """Where scores count: inside the volume's mask, and where its label is not invalid."""
    if volume.mask is None:
        return labelled
    mask = volume.mask.read() > 0
    return mask if labelled is None else mask & labelled


def _draw(volume: LabelledVolume, results: VolumeResults) -> None:
    """Write the picture of EM, truth and prediction of one volume."""
    from connectomics.report import busiest_section, comparison_figure

    with open_volume(results.labels) as labels:
        sides = labels.attributes["encoding"] in ("polarity", "semantic")
        panels = {"prediction": labels.read()}
    if volume.label is not None:
        panels = {"truth": clean_label(volume.label.read()).label, **panels}
    z = busiest_section(*panels.values())
    _, height, width = volume.shape
    section = volume.image.read(Box((z, 0, 0), (z + 1, height, width)))[0]
    with replacing(results.picture) as (new,):
        comparison_figure(
            new,
            {name: labels[z] for name, labels in panels.items()},
            section,
            title=f"{volume.name}{' (synthetic EM)' if volume.synthetic else ''}, section {z}",
            sides=sides,
            nm_per_pixel=volume.resolution[2] if volume.resolution else None,
        )
    print(f"picture: {results.picture}")
