"""The YAML file that `--init` writes: short, and each choice with its reason."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from connectomics.config.yaml_text import write_yaml
from connectomics.data.holding_back import divide
from connectomics.data.io import LazyVolume
from connectomics.data.io.header import size_text
from connectomics.decoding import DECODERS
from connectomics.evaluation import SynapseCount
from connectomics.pipeline.division import Division
from connectomics.pipeline.inspection import (
    LEAST,
    STORED_AS,
    Labels,
    count_in,
    count_inside,
    small_synapse,
)
from connectomics.pipeline.recipe import Recipe
from connectomics.process.called import to_type

WIDTH = 98
VAL_FRACTION = 0.15
LEAST_NM3 = "min_synapse_nm3"


@dataclass(frozen=True)
class Choices:
    """All that the file says.

    Attributes:
        name: Of the experiment.
        labels: Of each volume.
        division: Which of them are for what.
        recipe: Network and patches.
        resolution: nm (z, y, x) where one holds for all; None where each file says its own.
        why_resolution: Who says so.
        unlabelled: Images without labels.
    """

    name: str
    labels: Sequence[Labels]
    division: Division
    recipe: Recipe
    resolution: tuple[float, float, float] | None
    why_resolution: str
    unlabelled: Sequence[LazyVolume] = ()

    @property
    def sided(self) -> bool:
        """Whether sides are learned."""
        return self.labels[0].sided

    @cached_property
    def shared_out(self) -> dict[str, SynapseCount]:
        """How many synapses there are for each use, as scores count them."""
        division, nothing = self.division, SynapseCount(0, 0)
        found = {"learn from": nothing, "validate on": nothing, "test on": nothing}
        for number in division.train:
            labels = self.labels[number]
            depth, height, width = labels.volume.shape
            first, stop = division.learned or (0, depth)
            if division.val:
                found["learn from"] += labels.count
                continue
            shape = stop - first, height, width
            parts = divide("", shape, self.recipe.patch_size, VAL_FRACTION, self.recipe.val_gap)
            found["learn from"] += count_inside(labels, parts.learned.shift((first, 0, 0)))
            found["validate on"] += count_inside(labels, parts.held.shift((first, 0, 0)))
        for number in division.val:
            found["validate on"] += self.labels[number].count
        for number in division.test:
            labels = self.labels[number]
            found["test on"] += (
                count_in(labels, division.tested) if division.tested else labels.count
            )
        return found

    @property
    def base(self) -> str:
        """The tutorial that the file starts from."""
        return "syn_em_r50" if self.sided else "syn_cremi"


def config_text(choices: Choices, output: str) -> str:
    """Write the file, as text."""
    return (
        "\n".join(
            [
                *_top(choices, commands(output, choices.name)),
                *_data(choices),
                *_rest(choices),
            ]
        )
        + "\n"
    )


def commands(output: str, name: str) -> list[str]:
    """What to type next, in order."""
    last = to_type("test", output, "--checkpoint", f"outputs/{name}/TIMESTAMP")
    return [to_type("check", output), to_type("train", output), last]


def _top(choices: Choices, next_commands: Sequence[str]) -> Iterator[str]:
    encodings = sorted({labels.encoding for labels in choices.labels})
    stored = " or ".join(f"{encoding} ({STORED_AS[encoding]})" for encoding in encodings)
    learns = "pre, post and their union are learned" if choices.sided else "synapses are learned"
    yield from _comment("Written by --init, and yours to change. Next:", 0)
    yield "#"
    yield from (f"#   {command}" for command in next_commands)
    yield "#"
    yield from _comment(
        "Paths are seen from the folder in which these are typed. What does not stand here is as "
        f"in tutorials/{choices.base}.yaml; --print-config shows all of it.",
        0,
    )
    yield ""
    yield from _comment(f"Labels are {stored}: {learns}.", 0)
    yield "defaults:"
    yield f"  - {choices.base}"
    yield f"  - machine: {choices.recipe.machine}  # {choices.recipe.why_machine}"
    yield "  - _self_"
    yield ""
    yield f"experiment_name: {_scalar(choices.name)}"
    yield f"description: {_scalar(f'Synapses, learned from {choices.labels[0].volume.name}')}"
    yield ""


def _data(choices: Choices) -> Iterator[str]:
    division, recipe = choices.division, choices.recipe
    yield "data:"
    for why in (division.why, choices.why_resolution):
        yield from _comment(why, 2)
    yield from _split("train", choices, division.train, division.learned)
    if division.val:
        yield from _split("val", choices, division.val, None)
    else:
        yield from _held_back(choices)
    yield from _split("test", choices, division.test, division.tested)
    for image in choices.unlabelled:
        yield from _comment(
            f"{image.source} has no labels and is left out. To find its synapses: --mode test "
            f"--checkpoint ... data.test.image={image.source} data.test.label=null "
            "data.test.z_range=null evaluation.enabled=false",
            2,
        )
    yield "  dataloader:"
    extents = np.concatenate([labels.high - labels.low for labels in choices.labels])
    spanned = size_text(np.median(extents, axis=0).astype(int))
    yield from _comment(f"{recipe.why_patch}. A synapse spans {spanned} voxels (median).", 4)
    yield f"    patch_size: {_flow(recipe.patch_size)}"
    yield from _comment(
        "A patch that is not centred on a synapse is mostly drawn again if it holds less than a "
        "small whole one; auto measures that in the labels.",
        4,
    )
    yield "    reject_sampling: {size_thres: auto, p: 0.95}"
    yield ""


def _held_back(choices: Choices) -> Iterator[str]:
    """What validation takes from training."""
    recipe, found = choices.recipe, choices.shared_out
    learned, held = found["learn from"], found["validate on"]
    text = (
        f"To validate on, a part is held back with {held.number:,} synapses or parts of some, and "
        f"{learned.number:,} are left to learn from. "
    )
    if recipe.val_gap is None:
        text += "Between them as much is left out as a patch is wide."
    else:
        text += (
            "The cut is along z, y or x, whichever leaves most; so many voxels beside it are left "
            "out: what a large synapse spans, or a sixth of the volume if that is less, as a patch "
            "would be more than can be spared."
        )
    yield from _comment(text, 2)
    yield f"  val_fraction: {VAL_FRACTION}"
    if recipe.val_gap is not None:
        yield f"  val_gap: {_flow(recipe.val_gap)}"


def _split(
    name: str, choices: Choices, numbers: Sequence[int], sections: tuple[int, int] | None
) -> Iterator[str]:
    chosen = [choices.labels[number].volume for number in numbers]
    found = [choices.labels[number] for number in numbers]
    counts = (count_in(one, sections) if sections else one.count for one in found)
    yield f"  {name}:  # {sum(counts, SynapseCount(0, 0))}"
    for part in ("image", "label", "mask", "neurons"):
        volumes = [getattr(volume, part) for volume in chosen]
        if part == "neurons" and (name != "test" or not choices.sided):
            continue
        if all(volume is not None for volume in volumes):
            yield from _files(part, [volume.source for volume in volumes])
    if choices.resolution is not None:
        yield f"    resolution: {_flow(choices.resolution)}  # nm, (z, y, x)"
    if sections is not None:
        yield f"    z_range: {_flow(sections)}  # the first, and one past the last, from 0"


def _files(part: str, sources: Sequence[str]) -> Iterator[str]:
    if len(sources) == 1:
        yield f"    {part}: {_scalar(sources[0])}"
        return
    yield f"    {part}:"
    yield from (f"      - {_scalar(source)}" for source in sources)


def _rest(choices: Choices) -> Iterator[str]:
    recipe = choices.recipe
    if recipe.network:
        yield from _comment(recipe.why_network, 0)
        yield "model:"
        yield f"  rsunet: {_flow(recipe.network)}"
        yield ""
    yield "inference:"
    yield f"  window: {{window_size: {_flow(recipe.window_size)}}}"
    yield ""
    yield from _decoding(choices)
    yield "evaluation:"
    yield f"  metrics: {_flow(_metrics(choices))}"
    encodings = {labels.encoding for labels in choices.labels}
    if len(encodings) == 1:
        yield f"  truth_encoding: {encodings.pop()}"


def _decoding(choices: Choices) -> Iterator[str]:
    division = choices.division
    learned = [choices.labels[number] for number in (*division.train, *division.val)]
    small = small_synapse(learned, division.learned, in_nm3=choices.sided)
    unit = "nm³, both sides together" if choices.sided else "voxels"
    if choices.sided:
        yield from _comment(
            "Splits what touches, pairs sides and says how sure it is; polarity2instance is the "
            "published rule (docs/decoding.md).",
            0,
        )
    text = (
        f"Small labelled synapses have {small:,.0f} {unit} (5 % have less; those that are tested "
        "on do not count). What is found and has less than a third of that is dropped."
    )
    other = " With other volumes to learn from, leave it out: the checkpoint knows."
    yield from _comment(text + other * choices.sided, 0)
    if choices.sided:
        least = max(DECODERS["synapses"].settings[LEAST_NM3], float(f"{LEAST * small:.2g}"))
        step = {"name": "synapses", "kwargs": {LEAST_NM3: least}}
    else:
        step = {"name": "binary2instance", "kwargs": {"thres_small": max(16, int(LEAST * small))}}
    yield from ("decoding:", f"  steps: [{_flow(step)}]", "")


def _metrics(choices: Choices) -> list[str]:
    if choices.sided:
        return ["polarity"]
    marked = any(labels.marks.background is not None for labels in choices.labels)
    return ["jaccard", "detection", *(["cremi_clefts"] if marked else [])]


def _comment(text: str, indent: int) -> Iterator[str]:
    start = f"{' ' * indent}# "
    yield from textwrap.wrap(
        text, WIDTH, initial_indent=start, subsequent_indent=start, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _scalar(text: str) -> str:
    return write_yaml({"key": text}).removeprefix("key: ").rstrip("\n")


def _flow(value: Any) -> str:
    """Numbers, lists and maps in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return _scalar(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def experiment_of(output: str) -> str:
    """The name of the experiment: that of the file.

    >>> experiment_of("configs/my.yaml")
    'my'
    """
    return Path(output).stem
