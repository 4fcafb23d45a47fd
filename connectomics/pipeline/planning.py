"""`--plan`: what a test would take, said before anything starts. Nothing is written."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from connectomics.blocks import BlockGrid
from connectomics.config import Config, Resolved
from connectomics.data.build import open_split
from connectomics.data.checks import check_data
from connectomics.data.io.pyramid import share_of_levels
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import ConfigError, DataError
from connectomics.files import require_writable
from connectomics.geometry import Triple
from connectomics.pipeline.artifact import Artifact, Standing, standing_of
from connectomics.pipeline.by_block.choosing import (
    SMALLEST,
    block_of,
    block_of_labels,
    block_to_decode,
)
from connectomics.pipeline.by_block.counting import FEW_VOXELS
from connectomics.pipeline.by_block.workers import memory_of_job, shard_of
from connectomics.pipeline.comparing import open_probabilities
from connectomics.pipeline.labelled import Labelled
from connectomics.pipeline.labels import Labels, labels_from
from connectomics.pipeline.plan_begun import (
    Share,
    decoded_so_far,
    predicted_so_far,
    scored_so_far,
)
from connectomics.pipeline.plan_lines import (
    Total,
    bytes_of,
    gib,
    how,
    lines_of_predicting,
    who_works,
)
from connectomics.pipeline.plan_samples import (
    Sample,
    evaluated_sample,
    middle,
    predicted_sample,
    seconds_to_decode,
    times_read,
)
from connectomics.pipeline.predicted import Predicted
from connectomics.pipeline.predictor import load_predictor
from connectomics.pipeline.probabilities import Probabilities
from connectomics.pipeline.report import report_of
from connectomics.pipeline.result_folders import asked_of, existing_results, results_of_volumes
from connectomics.pipeline.results import require_checkpoint, run_of
from connectomics.pipeline.scores import Scores
from connectomics.process.fitting import Memory, Need, require_room
from connectomics.process.memory import peak_memory
from connectomics.process.progress import in_words
from connectomics.runs import Provenance

MODES = ("infer", "decode", "test")


def plan(resolved: Resolved, checkpoint: Path | None) -> None:
    """Print blocks, bytes, memory, disk and time of what `infer`, `decode` or `test` would do.

    One block, from the middle of the largest volume, is done to know how long that takes.

    Raises:
        ConfigError: The mode is another.
        DataError: Everything that is wrong with the files.
        MachineError: A job of a cluster has not the memory that the block took.
    """
    config = resolved.config
    if resolved.mode not in MODES:
        problem = f"is for the modes {', '.join(MODES)}, not for {resolved.mode}."
        raise ConfigError("--plan", problem, "Leave it out, or name one of these modes.")
    if resolved.mode == "decode" and config.inference.save_probabilities:
        run, total = run_of(checkpoint, config.save_path), _plan_decoding(resolved, checkpoint)
    else:
        checkpoint = require_checkpoint(checkpoint, config.save_path, resolved.mode)
        run, total = run_of(checkpoint, config.save_path), _plan_predicting(resolved, checkpoint)
    if total.disk:
        try:
            require_writable(run.results)
        except DataError as error:
            print(f"plan: warning: {error.faults[0]}", file=sys.stderr)
    for line in _lines_of_memory(config, total.may_be_less):
        print(f"plan: {line}")
    free = gib(_free(run.path))
    print(f"plan: disk {gib(total.disk)} at most, before compression; {free} are free")
    least = "at least " if total.unknown else ""
    print(f"plan: in all {least}{in_words(total.seconds)}{total.without}")


def _lines_of_memory(config: Config, may_be_less: bool) -> Iterator[str]:
    """What a worker takes, and whether a job has that."""
    peak, job = peak_memory(), memory_of_job(config.system)
    yield f"peak memory of a worker {gib(peak)}, measured in this process"
    if job is None:
        return
    where = Memory("a job", 0, job, None if may_be_less else job)
    remedy = (
        f"Ask for it in system.executor.job.memory, such as {math.ceil(peak / 1e9) + 1}GB, or set "
        "a smaller system.block_size."
    )
    yield from filter(None, require_room(Need(peak, peak), where, "a block", remedy))


def _plan_predicting(resolved: Resolved, checkpoint: Path) -> Total:
    """Print what predicting takes, and decoding and scores where they come next."""
    config, decodes = resolved.config, resolved.mode != "infer"
    if faults := check_data(config.data, "infer"):
        raise DataError.of(faults)
    predictor = load_predictor(config, checkpoint)
    run = run_of(checkpoint, config.save_path)
    volumes = open_split(config.data.test, "data.test")
    largest = max(volumes, key=lambda volume: math.prod(volume.shape))
    sample: Sample | None = None
    # Where there is no GPU here, jobs may have some, and then predict there.
    total = Total(may_be_less=config.system.num_gpus != 0 and not predictor.gpus)
    found = results_of_volumes(run.results, volumes)
    labels, done = labels_from(predictor, found, Provenance(resolved.to_yaml(), {})), True
    for (volume, results), one in zip(found, labels, strict=True):
        source = one.source if isinstance(one.source, Probabilities) else one
        standing = standing_of(source)
        size = standing.block
        if size is None and not standing.whole:
            if isinstance(one.source, Predicted):
                size = block_of_labels(one.source, results)
            else:
                size = block_of(predictor, volume, results)
        sample = sample or predicted_sample(predictor, largest, size or SMALLEST, decodes)
        grid = BlockGrid(volume.shape, size or volume.shape)
        begun = predicted_so_far(source, standing, grid, shard_of(config.system))
        for line in lines_of_predicting(predictor, volume, size, sample, total, begun):
            print(line)
        if standing.unread:
            print(_line_of_unread(source, standing))
        if decodes:
            if source is not one:
                standing = standing_of(one) if standing.whole else Standing()
            read = sample.kept * bytes_of(config, volume.shape)
            if config.inference.save_probabilities:
                read *= times_read(config, volume.shape, size, volume.resolution)
            more = share_of_levels(volume.shape, size, volume.resolution)
            left = decoded_so_far(one, standing)
            done &= left.whole
            _print_decoding(config, volume.shape, read, more, sample.decoding, total, left)
    if resolved.mode == "test" and config.evaluation.enabled:
        total.without = ", but for the report"
        if all(volume.label is not None for volume in volumes):  # a test refuses others
            made = report_of(
                resolved,
                run,
                list(map(Labelled.of, volumes, labels)),
                labels[0].provenance,
                scored=True,
            )
            _plan_evaluation(config, volumes, largest, total, made.scores if done else None)
    return total


def _line_of_unread(artifact: Artifact, standing: Standing) -> str:
    """What is said where only the run will know what there is already."""
    return (
        f"plan:   something is there or begun ({artifact.path}), as of which volume shows when "
        f"{standing.unread} has been read: all of it is counted here"
    )


def _plan_evaluation(
    config: Config,
    volumes: Sequence[LabelledVolume],
    largest: LabelledVolume,
    total: Total,
    scores: Scores | None,
) -> None:
    """Print what scores take; those of labels that are there may be begun."""
    sample = evaluated_sample(config, largest)
    left = scored_so_far(scores, sample.passes) if scores else Share()
    if left.said:
        print(f"plan: {left.said}")
    for volume in volumes if not left.whole else ():
        assert volume.label is not None
        voxels = math.prod(volume.shape)
        read = voxels * (volume.label.dtype.itemsize + LABEL_BYTES)
        workers, who = who_works(config) if voxels > FEW_VOXELS else (1, "this process")
        know = 0 if left.said else 1
        times = know + sample.passes * left.work
        seconds = (2 * know * sample.begin + left.work * sample.counting) * voxels / workers
        to_know = "once to know them and " if know else "for what is left of "
        print(
            f"plan: {volume.name}: evaluate reads truth and labels {to_know}"
            f"{sample.passes} times to count, {gib(times * read)}, takes "
            f"{total.add(seconds)} with {who}"
        )


def _plan_decoding(resolved: Resolved, checkpoint: Path | None) -> Total:
    """Print what decoding probabilities that are there takes."""
    config, split = resolved.config, resolved.config.data.test
    run = run_of(checkpoint, config.save_path)
    total, seconds = Total(), math.nan
    provenance = Provenance(resolved.to_yaml(), {})
    for asked, results in existing_results(run.results, asked_of(split)):
        labels = Labels(asked, results, config, provenance)
        standing = standing_of(labels)
        with open_probabilities(asked, results) as volume:
            depth, height, width = volume.shape[-3:]
            shape = depth, height, width
            size = standing.block
            if size is None and not standing.whole:
                size = block_to_decode(volume, results, config.system)
            if math.isnan(seconds):
                box = middle(BlockGrid(shape, size or SMALLEST))
                seconds = seconds_to_decode(config, volume.read(box), volume.resolution)
            print(f"plan: {asked.name} {shape}: {how(BlockGrid(shape, size or shape), size)}")
            read = math.prod(volume.shape) * volume.dtype.itemsize
            read *= times_read(config, shape, size, volume.resolution)
        more = share_of_levels(shape, size, volume.resolution)
        if standing.unread:
            print(_line_of_unread(labels, standing))
        left = decoded_so_far(labels, standing)
        _print_decoding(config, shape, read, more, seconds, total, left)
    return total


LABEL_BYTES = 4
"""Of a voxel of the labels, before compression."""


def _print_decoding(
    config: Config,
    shape: Triple,
    read: float,
    more: float,
    seconds: float,
    total: Total,
    left: Share,
) -> None:
    if left.said:
        print(f"plan:   {left.said}")
    if left.whole:
        return
    (workers, who), voxels = who_works(config), math.prod(shape)
    labels = left.written * more * LABEL_BYTES * voxels
    total.disk += labels
    written = f"decode reads {gib(left.work * read)}, writes up to {gib(labels)}"
    duration = total.add(left.work * seconds * voxels / workers)
    if math.isnan(seconds):
        print(f"plan:   {written}; how long it takes, that block does not tell")
        return
    print(
        f"plan:   {written}, takes {duration} with {who}; more where there are more "
        "synapses than in that block"
    )


def _free(folder: Path) -> int:
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    return shutil.disk_usage(there).free
