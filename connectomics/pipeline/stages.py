"""The stages of a run. Each reads what the one before wrote, so each can be run again alone.

train      volumes → checkpoints
infer      checkpoint + volumes → probabilities
decode     probabilities → labels
evaluate   labels + ground truth → scores and pictures
test       infer, decode, evaluate
tune       checkpoint + validation volumes → settings of the decoder
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from connectomics import tuning
from connectomics.config import Resolved
from connectomics.data.build import HeldOut, open_split, open_validation
from connectomics.data.checks import (
    check_data,
    split_faults,
    unnamed_validation,
)
from connectomics.data.counting import require_counting
from connectomics.data.overlap import learned_faults
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import ConfigError, DataError, Fault
from connectomics.evaluation import LabelPair
from connectomics.evaluation.build import evaluate_volumes
from connectomics.keeping import replacing
from connectomics.naming import seen_from_here
from connectomics.pipeline.evaluating import (
    Labelled,
    draw,
    found_scenes,
    label_pairs,
    other_settings,
    scored_scenes,
    with_labels,
)
from connectomics.pipeline.infer_and_decode import label_volume
from connectomics.pipeline.label_checks import require_labels
from connectomics.pipeline.labelling import (
    decode_volume,
    require_decodable,
    voxel_size_faults,
)
from connectomics.pipeline.predicting import predict_volumes
from connectomics.pipeline.predictor import load_predictor
from connectomics.pipeline.result_folders import (
    asked_of,
    existing_results,
    results_of_volumes,
)
from connectomics.pipeline.results import PAGE
from connectomics.pipeline.run_folders import require_checkpoint, run_of, tuned_run
from connectomics.pipeline.scoring import write_scores
from connectomics.pipeline.truth import scored_truth_faults, truth_faults
from connectomics.pipeline.validating import (
    notes_on_training,
    read_validation,
    require_held_back,
    require_room_to_tune,
    validation_section,
)
from connectomics.process.called import to_type
from connectomics.process.signals import Stopped, unbroken
from connectomics.runs import (
    Provenance,
    RunFolder,
    new_run,
    provenance_of,
    run_of_checkpoint,
    write_provenance,
)


def require_workable(resolved: Resolved) -> None:
    """Refuse what keeps a mode from running that is of the config alone, of both its stages.

    Raises:
        ConfigError: Every fault, at the file that says so.
    """
    if resolved.mode == "tune":
        unnamed = unnamed_validation(validation_section(resolved))
        _require_config(resolved, [*tuning.check_search(resolved.config), *unnamed])


def presets_of(checkpoint: Path | None) -> list[Path]:
    """Where the presets are that were made for a checkpoint."""
    run = run_of_checkpoint(checkpoint) if checkpoint else None
    return [run.tuning] if run else []


def train(resolved: Resolved, checkpoint: Path | None) -> None:
    """Train a network, or go on training the one of a checkpoint, in a new run folder."""
    from connectomics.training import prepare

    config = resolved.config
    _require(check_data(config.data, "train"))
    _require_config(resolved, scored_truth_faults(config))
    for where, split in (("data.val", config.data.val), ("data.test", config.data.test)):
        for fault in learned_faults(split, where, config.data):
            print(f"train: warning: {fault}", file=sys.stderr)
    require_labels(config.data, "train", "val", "test", learns=True)
    training = prepare(config, resume_from=checkpoint)
    for warning in training.warnings:
        print(f"train: warning: {warning}", file=sys.stderr)
    run = new_run(seen_from_here(config.save_path))
    notes = {"description": config.description}
    if checkpoint is not None:
        notes["resumed_from"] = str(checkpoint)
    seed = config.system.seed
    write_provenance(run.path, provenance_of(resolved.to_yaml(), seed=seed, notes=notes))
    print(f"train: {run.path}")
    for note in training.notes:
        print(f"train: {note}")
    sys.stdout.flush()
    result = training.run(run.path)
    print(f"train: {result.step} steps done; the last checkpoint is {result.last}")
    if config.data.test is not None:
        named = "--checkpoint", str(run.path), *resolved.overrides
        print(f"\ntrain: to test:\n    {to_type('test', resolved.file, *named)}")


def infer(resolved: Resolved, checkpoint: Path | None) -> bool:
    """Predict the probabilities of the test volumes; tell whether all are there now."""
    config = resolved.config
    if not config.inference.save_probabilities:
        where = resolved.place("inference.save_probabilities")
        problem = "is false, and infer makes nothing else."
        remedy = "Leave it out, or make labels without keeping them: --mode decode, --mode test."
        raise ConfigError(where, problem, remedy)
    checkpoint = require_checkpoint(checkpoint, config.save_path, resolved.mode)
    _require(check_data(config.data, "infer"))
    predictor = load_predictor(config, checkpoint)
    run = run_of(checkpoint, config.save_path)
    volumes = results_of_volumes(run.results, open_split(config.data.test, "data.test"))
    if resolved.mode == "infer":  # other modes have no use for labels that hold nothing
        require_counting([volume for volume, _ in volumes], refuses=False)
    held = [(HeldOut(volume, volume), results) for volume, results in volumes]
    return predict_volumes(predictor, held, _provenance(resolved, checkpoint))


def infer_and_decode(resolved: Resolved, checkpoint: Path | None) -> bool:
    """Turn the test volumes into labels without keeping their probabilities."""
    config = resolved.config
    checkpoint = require_checkpoint(checkpoint, config.save_path, resolved.mode)
    _require(check_data(config.data, "infer"))
    volumes = open_split(config.data.test, "data.test")
    _require(voxel_size_faults({one.source: one.resolution for one in volumes}, config.decoding))
    if resolved.mode == "decode":
        require_counting(volumes, refuses=False)
    predictor = load_predictor(config, checkpoint)
    run = run_of(checkpoint, config.save_path)
    provenance, whole = _provenance(resolved, checkpoint), True
    for volume, results in results_of_volumes(run.results, volumes):
        whole &= label_volume(predictor, volume, results, provenance)
    return whole


def decode(resolved: Resolved, checkpoint: Path | None) -> bool:
    """Turn the probabilities of the test volumes into labels, and list the synapses.

    Returns:
        Whether all labels are there now; one shard alone does not put them there.
    """
    config, split = resolved.config, resolved.config.data.test
    if not config.inference.save_probabilities:
        return infer_and_decode(resolved, checkpoint)
    _require(check_data(config.data, "decode"))
    run = run_of(checkpoint, config.save_path)
    labelled = split is not None and split.label is not None
    if resolved.mode == "decode" and labelled and not split_faults(split, "data.test"):
        require_counting(open_split(split, "data.test"), refuses=False)
    found = existing_results(run.results, asked_of(split))
    require_decodable(found, config.decoding, checkpoint)
    whole = True
    for asked, results in found:
        doubt = decode_volume(asked, results, config, _provenance(resolved, checkpoint))
        for said in filter(None, (doubt, other_settings(config, results))):
            print(f"  {said}")
        whole &= doubt is not None
    return whole


def evaluate(resolved: Resolved, checkpoint: Path | None) -> None:
    """Score the labels of a run against the ground truth, and draw both."""
    from connectomics.report import background_of, write_page

    config = resolved.config
    _require_no_shard(resolved)
    _require(check_data(config.data, "evaluate"))
    if resolved.mode == "evaluate":
        require_labels(config.data, "test")
    run = run_of(checkpoint, config.save_path)
    provenance = _provenance(resolved, checkpoint)
    volumes = with_labels(config, run, checkpoint, provenance)
    if resolved.mode == "evaluate":
        require_counting([one.volume for one in volumes])
    seen = notes_on_training(config.data.test, run)
    pairs = map(_announced, label_pairs(volumes, seen, config.evaluation))
    report = evaluate_volumes(pairs, config.evaluation)
    about = {run.results / name: text for name, text in provenance.texts().items()}
    synthetic = any(one.volume.synthetic for one in volumes)
    pictures: dict[Path, Callable[[Path], object]]
    pictures = {one.results.picture: partial(draw, one) for one in volumes}
    pictures[run.results / PAGE] = partial(
        write_page,
        scenes=scored_scenes(volumes, report, config.evaluation),
        report=report,
        background=background_of(resolved, run),
    )
    written = write_scores(report, run.results, synthetic=synthetic, pictures=pictures, about=about)
    print(f"\n{report.table()}")
    *others, page = written
    print("evaluate: " + "\n          ".join(map(str, others)))
    print(f"evaluate: to look at, in a browser: {page}")


def _announced(pair: LabelPair) -> LabelPair:
    print(f"evaluate: {pair.name} {tuple(pair.prediction.shape)}", flush=True)
    return pair


def test(resolved: Resolved, checkpoint: Path | None) -> None:
    """Predict, decode and score the test volumes."""
    config = resolved.config
    checkpoint = require_checkpoint(checkpoint, config.save_path, resolved.mode)
    volumes = require_testable(resolved)
    scored = config.evaluation.enabled
    keeps = config.inference.save_probabilities
    if (keeps and not infer(resolved, checkpoint)) or not decode(resolved, checkpoint):
        return
    if config.system.shard is not None:
        return  # whoever puts the blocks together scores them
    if scored:
        evaluate(resolved, checkpoint)
        return
    _show(resolved, run_of(checkpoint, config.save_path), volumes)


def require_testable(resolved: Resolved) -> list[LabelledVolume]:
    """Find everything about volumes that a test would refuse; gives the volumes.

    Raises:
        ConfigError: Their labels do not allow the scores that are asked for.
        DataError: They cannot be read, have no voxel size or nothing that counts.
    """
    config = resolved.config
    scored = config.evaluation.enabled
    _require(check_data(config.data, "test", evaluates=scored))
    _require_config(resolved, scored_truth_faults(config))
    if scored:
        require_labels(config.data, "test")
    volumes = open_split(config.data.test, "data.test")
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
    require_room_to_tune(held, config)
    predictor = load_predictor(config, checkpoint) if checkpoint else None
    provenance = _provenance(resolved, checkpoint)
    volumes = read_validation(
        section, run.tuning, predictor, decoder=decoder, provenance=provenance
    )
    search = tuning.build_search(config, volumes)
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
        problem = f"only infer and decode are shared out, not {resolved.mode}."
        raise ConfigError(resolved.place("system.shard"), problem, "Leave it out.")


def _require(faults: list[Fault]) -> None:
    if faults:
        raise DataError.of(faults)


def _require_config(resolved: Resolved, faults: list[Fault]) -> None:
    """Refuse faults at keys of the config, each at the file that says so."""
    if faults:
        raise ConfigError.of(replace(fault, where=resolved.place(fault.where)) for fault in faults)


def _show(resolved: Resolved, run: RunFolder, volumes: list[LabelledVolume]) -> None:
    """Draw what was found, where it is not scored."""
    from connectomics.report import background_of, write_page

    found = [Labelled(*pair) for pair in results_of_volumes(run.results, volumes)]
    page = run.results / PAGE
    pictures = [one.results.picture for one in found]
    with replacing(page, *pictures) as (new, *drawn):
        write_page(new, found_scenes(found), background=background_of(resolved, run))
        for one, picture in zip(found, drawn, strict=True):
            draw(one, picture)
    print("test: " + "\n      ".join(map(str, (page, *pictures))))


def _provenance(resolved: Resolved, checkpoint: Path | None) -> Provenance:
    """Note what is about to be done."""
    notes = {"checkpoint": str(checkpoint)} if checkpoint else {}
    seed = resolved.config.system.seed
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
