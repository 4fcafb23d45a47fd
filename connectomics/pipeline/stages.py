"""The stages of a run: which artifacts each makes. Each can be run again alone.

train      volumes → checkpoints
infer      checkpoint + volumes → probabilities
decode     probabilities → labels
evaluate   labels + ground truth → scores and pictures
test       the scores, for which labels are made first, and for these probabilities
tune       checkpoint + validation volumes → settings of the decoder
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from connectomics import tuning
from connectomics.config import Resolved
from connectomics.data.axis_order import warn_of_axes
from connectomics.data.build import open_split, open_validation
from connectomics.data.checks import (
    check_data,
    split_faults,
    unnamed_validation,
)
from connectomics.data.counting import require_counting
from connectomics.data.overlap import learned_faults
from connectomics.data.volumes import LabelledVolume
from connectomics.decoding.steps import with_least
from connectomics.errors import ConfigError, DataError, Fault
from connectomics.naming import seen_from_here
from connectomics.pipeline.artifact import provide
from connectomics.pipeline.comparing import other_settings, voxel_size_faults
from connectomics.pipeline.label_checks import (
    require_labels,
    require_sound,
    scored_truth_faults,
    truth_faults,
)
from connectomics.pipeline.labelled import Labelled, with_labels
from connectomics.pipeline.labels import Labels, labels_from
from connectomics.pipeline.predictor import load_predictor
from connectomics.pipeline.report import Report, report_of
from connectomics.pipeline.result_folders import (
    asked_of,
    existing_results,
    results_of_volumes,
)
from connectomics.pipeline.results import require_checkpoint, run_of, tuned_run
from connectomics.pipeline.validating import (
    read_validation,
    require_decodable,
    require_held_back,
    require_room_to_tune,
    validation_section,
)
from connectomics.process.called import to_type
from connectomics.process.signals import Stopped, unbroken
from connectomics.runs import (
    Provenance,
    new_run,
    presets_of,
    provenance_of,
    write_provenance,
)

if TYPE_CHECKING:
    from connectomics.training import Training
    from connectomics.training.machines import Processes


def require_tunable(resolved: Resolved) -> None:
    """Refuse what keeps a search from running that is of the config alone, of both its stages.

    Raises:
        ConfigError: Every fault, at the file that says so.
    """
    unnamed = unnamed_validation(validation_section(resolved))
    _require_config(resolved, [*tuning.check_search(resolved.config), *unnamed])


def train(resolved: Resolved, checkpoint: Path | None) -> None:
    """Train a network, or go on training the one of a checkpoint, in a new run folder."""
    from connectomics.training.machines import joined

    with joined(resolved.config) as processes:
        training = processes.together(lambda: _ready(resolved, checkpoint, processes))
        processes.require_same(training.facts(resolved.to_yaml()))
        run = processes.of_first(lambda: _begin(resolved, checkpoint, training))
        result = training.run(run)
        print(f"train: {result.step} steps done; the last checkpoint is {result.last}")
        if resolved.config.data.test is not None:
            named = "--checkpoint", str(run), *resolved.overrides
            print(f"\ntrain: to test:\n    {to_type('test', resolved.file, *named)}")


def _ready(resolved: Resolved, checkpoint: Path | None, processes: Processes) -> Training:
    """Check and read all that a training needs."""
    from connectomics.training import prepare

    warnings = require_trainable(resolved)
    training = prepare(resolved.config, resume_from=checkpoint, processes=processes)
    for warning in (*warnings, *training.warnings):
        print(f"train: warning: {warning}", file=sys.stderr)
    return training


def _begin(resolved: Resolved, checkpoint: Path | None, training: Training) -> Path:
    """Make the run folder, and note there and here what is about to be done."""
    run = new_run(seen_from_here(resolved.config.save_path))
    write_provenance(run.path, _provenance(resolved, checkpoint))
    print(f"train: {run.path}")
    for note in training.notes:
        print(f"train: {note}")
    sys.stdout.flush()
    return run.path


def require_trainable(resolved: Resolved) -> list[Fault]:
    """Refuse what a config and its files have that nothing can be learned from.

    Returns:
        What is learned from and judged by as well, which is allowed but has to be said.

    Raises:
        ConfigError: What is asked for cannot be scored, or is a share of the work.
        DataError: A volume cannot be read, or its labels are none.
    """
    _require_no_shard(resolved)
    config, data = resolved.config, resolved.config.data
    _require(check_data(data, "train"))
    _require_config(resolved, scored_truth_faults(config))
    require_labels(data, "train", "val", "test", learns=True)
    judged = ("data.val", data.val), ("data.test", data.test)
    for where, split in (("data.train", data.train), *judged):
        if split is not None and split.image is not None and not split_faults(split, where):
            warn_of_axes(open_split(split, where))
    return [fault for where, one in judged for fault in learned_faults(one, where, data)]


def infer(resolved: Resolved, checkpoint: Path | None) -> None:
    """Predict the probabilities of the test volumes."""
    config = resolved.config
    if not config.inference.save_probabilities:
        where = resolved.place("inference.save_probabilities")
        problem = "is false, and infer makes nothing else."
        remedy = "Leave it out, or make labels without keeping them: --mode decode, --mode test."
        raise ConfigError(where, problem, remedy)
    checkpoint = require_checkpoint(checkpoint, config.save_path, resolved.mode)
    _require(check_data(config.data, "infer"))
    volumes = open_split(config.data.test, "data.test")
    warn_of_axes(volumes)
    require_counting(volumes, refuses=False)
    provide(*chain.from_iterable(map(Labels.upstream, _labels(resolved, checkpoint, volumes))))


def decode(resolved: Resolved, checkpoint: Path | None) -> None:
    """Turn the probabilities of the test volumes into labels, and list the synapses."""
    config, split = resolved.config, resolved.config.data.test
    if not config.inference.save_probabilities:
        checkpoint = require_checkpoint(checkpoint, config.save_path, resolved.mode)
        _require(check_data(config.data, "infer"))
        volumes = open_split(split, "data.test")
        _require(voxel_size_faults({v.source: v.resolution for v in volumes}, config.decoding))
        warn_of_axes(volumes)
        require_counting(volumes, refuses=False)
        provide(*_labels(resolved, checkpoint, volumes))
        return
    _require(check_data(config.data, "decode"))
    run = run_of(checkpoint, config.save_path)
    if split is not None and split.label is not None and not split_faults(split, "data.test"):
        require_counting(open_split(split, "data.test"), refuses=False)
    provenance = _provenance(resolved, checkpoint)
    found = existing_results(run.results, asked_of(split))
    labels = [Labels(*one, config, provenance) for one in found]
    require_decodable(labels, checkpoint)
    for one in labels:
        provide(one)
        for said in filter(None, (one.doubt, other_settings(config, one.results))):
            print(f"  {said}")


def evaluate(resolved: Resolved, checkpoint: Path | None) -> None:
    """Score the labels of a run against the ground truth, and draw both."""
    config = resolved.config
    _require(check_data(config.data, "evaluate"))
    volumes = open_split(config.data.test, "data.test")
    require_sound(volumes, config.data.test)
    run, provenance = run_of(checkpoint, config.save_path), _provenance(resolved, checkpoint)
    labelled = with_labels(volumes, config, run.results, checkpoint, provenance)
    require_counting(volumes)
    _show(report_of(resolved, run, labelled, provenance, scored=True))


def test(resolved: Resolved, checkpoint: Path | None) -> None:
    """Predict, decode and score the test volumes."""
    config = resolved.config
    checkpoint = require_checkpoint(checkpoint, config.save_path, resolved.mode)
    volumes = require_testable(resolved)
    warn_of_axes(volumes)
    labels = _labels(resolved, checkpoint, volumes)
    if config.system.shard is not None:
        provide(*labels)  # whoever puts the blocks together scores them
        return
    labelled = [Labelled.of(*pair) for pair in zip(volumes, labels, strict=True)]
    run, provenance = run_of(checkpoint, config.save_path), labels[0].provenance
    scored = config.evaluation.enabled
    _show(report_of(resolved, run, labelled, provenance, scored=scored))


def _show(report: Report) -> None:
    if provide(report):
        report.tell()


def _labels(
    resolved: Resolved, checkpoint: Path, volumes: Sequence[LabelledVolume]
) -> list[Labels]:
    """The labels of volumes by the network of a checkpoint."""
    predictor = load_predictor(resolved.config, checkpoint)
    run = run_of(checkpoint, resolved.config.save_path)
    found = results_of_volumes(run.results, volumes)
    return labels_from(predictor, found, _provenance(resolved, checkpoint))


def require_testable(resolved: Resolved) -> list[LabelledVolume]:
    """Find everything about volumes that a test would refuse; gives the volumes.

    Raises:
        ConfigError: Their labels do not allow the scores that are asked for.
        DataError: They cannot be read, have no voxel size or nothing that counts.
    """
    config, scored = resolved.config, resolved.config.evaluation.enabled
    _require(check_data(config.data, "test", evaluates=scored))
    volumes = open_split(config.data.test, "data.test")
    if scored:
        _require_config(resolved, truth_faults(config, volumes))
        require_sound(volumes, config.data.test)
    _require(voxel_size_faults({one.source: one.resolution for one in volumes}, config.decoding))
    if scored:
        require_counting(volumes)
    return volumes


def tune(resolved: Resolved, checkpoint: Path | None) -> None:
    """Search for the decoder settings that score best on the validation volumes."""
    _require_no_shard(resolved)
    tuning.require_optuna()
    config, section = resolved.config, validation_section(resolved)
    decoder = config.decoding.steps[0]
    _require_config(resolved, check_data(section, "tune"))
    require_labels(section, "train" if section.val is None else "val")
    run = tuned_run(checkpoint, config.save_path)
    require_held_back(section, run)
    held = [one.volume for one in open_validation(section)]
    _require_config(resolved, truth_faults(config, held))
    warn_of_axes(held)
    require_room_to_tune(held, config)
    predictor = load_predictor(config, checkpoint) if checkpoint else None
    provenance = _provenance(resolved, checkpoint)
    volumes = read_validation(
        section, run.tuning, predictor, decoder=decoder, provenance=provenance
    )
    decoding = with_least(config.decoding, volumes[0].made_with)
    search = tuning.build_search(config.model_copy(update={"decoding": decoding}), volumes)
    print(f"tune: {search.describe()}")
    study = tuning.open_search(run.tuning, search)
    write_provenance(run.tuning, provenance)
    stopped = search.run(study, config.tune.trials)
    outcome = None
    if trials := tuning.trials_of(study):
        outcome = tuning.Outcome(search, trials)
        _keep_tuned(resolved, run.tuning, outcome)
    if outcome and outcome.best == outcome.baseline and outcome.has_found:
        more = f"tune.trials={2 * config.tune.trials}"
        print(f"\ntune: test as before: nothing beats what is configured. To go on: {more}")
    elif outcome and outcome.has_found:
        command = tuning.command_to_test(resolved.file, checkpoint, resolved.overrides)
        print(f"\ntune: to test with what was found:\n    {command}")
        if checkpoint and not presets_of(checkpoint):
            print(f"    (keep a copy of tuned.yaml in {resolved.file.parent / 'decoding'} for it)")
    if stopped:
        raise Stopped(stopped, "The same command goes on.")


STAGES: dict[str, Callable[[Resolved, Path | None], object]] = {
    stage.__name__: stage for stage in (train, infer, decode, evaluate, test, tune)
}


def _require_no_shard(resolved: Resolved) -> None:
    """Refuse to do a share of what is not shared out."""
    if resolved.config.system.shard is not None:
        problem = f"only infer, decode and evaluate are shared out, not {resolved.mode}."
        raise ConfigError(resolved.place("system.shard"), problem, "Leave it out.")


def _require(faults: list[Fault]) -> None:
    if faults:
        raise DataError.of(faults)


def _require_config(resolved: Resolved, faults: list[Fault]) -> None:
    """Refuse faults at keys of the config, each at the file that says so."""
    if faults:
        raise ConfigError.of(replace(fault, where=resolved.place(fault.where)) for fault in faults)


def _provenance(resolved: Resolved, checkpoint: Path | None) -> Provenance:
    """Note what is about to be done."""
    config, trains = resolved.config, resolved.mode == "train"
    notes = {"description": config.description} if trains else {}
    if checkpoint is not None:
        notes["resumed_from" if trains else "checkpoint"] = str(checkpoint)
    seed = config.system.seed
    return provenance_of(resolved.to_yaml(), seed=seed, notes=notes)


@unbroken
def _keep_tuned(resolved: Resolved, folder: Path, outcome: tuning.Outcome) -> None:
    """Write what a search has found, and sum it up."""
    from connectomics.report import search_figure

    best = tuning.tuned_steps(resolved.config, outcome.best.settings)
    written = [
        *tuning.write_outcome(outcome, [step.model_dump(mode="json") for step in best], folder),
        search_figure(folder / tuning.FIGURE_FILE, **outcome.figure_data()),
    ]
    print(f"\n{outcome.summary()}\n")
    print("tune: " + "\n      ".join(map(str, written)))
