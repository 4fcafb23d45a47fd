"""What a search leaves: a preset with the best settings, a table of all trials, a summary."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from connectomics.config.yaml_text import write_yaml
from connectomics.evaluation.summary import format_rows
from connectomics.files import atomic_path, writing_to
from connectomics.keeping import keep_earlier
from connectomics.process.called import to_type
from connectomics.tuning.search import Search
from connectomics.tuning.spaces import Range
from connectomics.tuning.study import PRESET_FILE, TRIALS_FILE, Trial, best_of

# Under `test`, so that it also beats a `decoding` that a config has in its own `test` section.
PACKAGE = "# @package test.decoding"

APART, LEAST = 2, 0.1
"""How many times as probable labelled voxels are as others, and how probable, at least, with a
network that has learned something."""

FEW = 50
"""With fewer true objects, a summary warns that they are few."""

_OF_TUNING = re.compile(r"[+~]*((default|train|test)\.)?(tune\b|decoding(\.steps\b|=|$))")


@dataclass(frozen=True)
class Outcome:
    """What a search has found.

    Attributes:
        search: What was searched.
        trials: In order, at least one; trial 0 has the configured settings.
    """

    search: Search
    trials: Sequence[Trial]

    @property
    def baseline(self) -> Trial:
        """The configured settings."""
        return self.trials[0]

    @property
    def best(self) -> Trial:
        """The best trial; the configured settings where nothing beats them."""
        return best_of(self.trials)

    @property
    def has_found(self) -> bool:
        """Whether any setting is worth testing with."""
        return bool(self.best.score and self.best.score > 0)

    def summary(self) -> str:
        """Both scores and what changed, as a table to read."""
        pruned = sum(trial.state == "pruned" for trial in self.trials)
        count = f"{len(self.trials)} trials" + (f" ({pruned} pruned)" if pruned else "")
        same = self.best == self.baseline
        verdict = "nothing beats what is configured" if same else f"best: {self.best.number}"
        scores = {"": "score", "configured": self.baseline.score, "tuned": self.best.score}
        rows = [
            {"": name, "configured": json.dumps(value), "tuned": json.dumps(tuned)}
            for (name, value), tuned in zip(
                self.baseline.settings.items(), self.best.settings.values(), strict=True
            )
        ]
        head = f"{self.search.score} on {self.search.on}\n{count}, {verdict}"
        return f"{head}\n{format_rows([scores, *rows])}{self._caution()}"

    def _caution(self) -> str:
        objects = self.search.objects
        if not self.has_found:
            return f"\nNo setting scores above 0: nothing is tuned. {_why(self.search)}"
        if objects >= FEW:
            return ""
        worth = f"{1 / objects:.2f}" if objects else "all"
        return f"\nWith so few objects, one is worth about {worth}: a small gain may be chance."

    def figure_data(self) -> dict[str, Any]:
        """What `connectomics.report.search_figure` draws, by its arguments."""
        names = list(self.baseline.settings)
        dimensions = self.search.space.items()
        return {
            "scores": [math.nan if t.score is None else t.score for t in self.trials],
            "settings": {name: [t.settings[name] for t in self.trials] for name in names},
            "pruned": [trial.state == "pruned" for trial in self.trials],
            "score": self.search.score.partition(" ")[0],
            "log": [name for name, d in dimensions if isinstance(d, Range) and d.log],
            "title": f"{self.search.score} on {self.search.on}",
        }


def _why(search: Search) -> str:
    """Why nothing scores, as far as the probabilities tell, and what to do."""
    inside = outside = np.zeros(2)
    for volume in search.objective.volumes:
        counts = np.ones(volume.truth.shape, bool) if volume.mask is None else volume.mask > 0
        labelled, p = volume.truth > 0, _foreground(volume.probabilities, search.exclusive)
        inside = inside + _total(p, labelled & counts)
        outside = outside + _total(p, ~labelled & counts)
    there, elsewhere = (total / max(1, count) for total, count in (inside, outside))
    found = (
        f"The network gives {there:.2f} on average where synapses are labelled and "
        f"{elsewhere:.2f} elsewhere"
    )
    if there < APART * elsewhere or there < LEAST:
        return (
            f"{found}: it does not tell them apart.\nTrain longer, and see in a picture of --check "
            "whether labels lie on synapses; then tune again."
        )
    return (
        f"{found}, but nothing that is decoded overlaps a synapse enough.\nLook at what --mode "
        "test draws: sides may be exchanged or split. A lower tune.iou_thresholds tells more."
    )


def _foreground(probabilities: np.ndarray, exclusive: bool) -> np.ndarray:
    """Of either side: what is no background, or the last channel, which is the union."""
    certain = 255 if probabilities.dtype.kind == "u" else 1
    return certain - probabilities[0] if exclusive else probabilities[-1]


def _total(probabilities: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The sum of probabilities, and of how many."""
    scale = 255 if probabilities.dtype.kind == "u" else 1
    return np.array([probabilities[where].sum(dtype=np.float64) / scale, np.count_nonzero(where)])


def write_outcome(
    outcome: Outcome, steps: Sequence[Mapping[str, Any]], folder: Path
) -> tuple[Path, Path]:
    """Write the preset with the best settings, and the table of all trials.

    Args:
        outcome: What was found.
        steps: `decoding.steps` with the best settings, as plain values.
        folder: On whose search path the preset lies.

    Returns:
        The two files.

    Raises:
        DataError: The folder cannot be written.
    """
    return _write_preset(outcome, steps, folder / PRESET_FILE), _write_trials(
        outcome, folder / TRIALS_FILE
    )


def _write_trials(outcome: Outcome, path: Path) -> Path:
    """Write a CSV with one row per trial; settings are written as in JSON."""
    names = list(outcome.baseline.settings)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "state", "score", "seconds", *names])
        for trial in outcome.trials:
            values = [json.dumps(trial.settings[name]) for name in names]
            score = "" if trial.score is None else trial.score
            writer.writerow([trial.number, trial.state, score, trial.seconds, *values])
    return path


def _write_preset(outcome: Outcome, steps: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Write a preset of the config group `decoding`; one with other steps goes to `earlier/`."""
    search, best = outcome.search, outcome.best
    text = write_yaml({"steps": list(steps)})
    if path.is_file() and _content(path.read_text("utf-8")) != _content(text):
        with writing_to(path):
            kept = keep_earlier(path)
        print(f"  the earlier {path.name} is kept as {kept}")
    comment = [
        PACKAGE,
        f"# Written by --mode tune: trial {best.number} of {len(outcome.trials)}.",
        f"# {search.score} on {search.on}:",
        f"# {best.score:.3f}, with the configured settings {outcome.baseline.score:.3f}.",
        "# To use it, add decoding=tuned to a command with a --checkpoint of this run; or keep a",
        "# copy as decoding/tuned.yaml beside your config, and begin that with",
        "#     defaults: [..., {decoding: tuned}, _self_]",
    ]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join([*comment, text]), encoding="utf-8")
    return path


def _content(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def command_to_test(file: Path, checkpoint: Path | None, overrides: Sequence[str]) -> str:
    """The command that tests with the preset.

    Args:
        file: The config.
        checkpoint: The one tuned for, in its run folder; None where none was named.
        overrides: Those of the command that tuned. What they say of tuning and of the decoder is
            left out, for it would beat the preset.

    >>> command = command_to_test(Path("my.yaml"), Path("a.ckpt"), ["tune.trials=9", "a=1"])
    >>> command.partition(" --mode ")[2]
    'test --checkpoint a.ckpt a=1 decoding=tuned'
    """
    kept = [text for text in overrides if not _OF_TUNING.match(text)]
    return to_type("test", file, "--checkpoint", str(checkpoint or "CKPT"), *kept, "decoding=tuned")
