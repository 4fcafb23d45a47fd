"""The scores of several volumes together: as a table to read and as files to keep."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectomics.evaluation.counts import Score, SynapseCount
from connectomics.evaluation.curve import PrecisionRecallCurve
from connectomics.evaluation.matches import MATCH_COLUMNS
from connectomics.evaluation.metrics import METRICS
from connectomics.evaluation.sweep import PolaritySweep, ThresholdSweep
from connectomics.files import atomic_path

_MATCH_COLUMNS = ("volume", "metric", "iou_threshold", *MATCH_COLUMNS)
_CURVE_COLUMNS = ("volume", "iou_threshold", "confidence", "precision", "recall")


@dataclass(frozen=True)
class VolumeScores:
    """The scores of one volume.

    Attributes:
        name: Of the volume.
        scores: By the metric's name.
        notes: What a reader must know about this volume.
    """

    name: str
    scores: Mapping[str, Score]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluationReport:
    """The scores of all volumes, one by one and pooled.

    Attributes:
        volumes: In the order they were given.
        pooled: By the metric's name, from the counts of all volumes.
        settings: What the scores depend on, for the record.
    """

    volumes: tuple[VolumeScores, ...]
    pooled: Mapping[str, Score]
    settings: Mapping[str, Any]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know besides the numbers, each with the volume it is about."""
        return tuple(f"{v.name}: {note}" for v in self.volumes for note in _volume_notes(v))

    @property
    def matches(self) -> list[dict[str, Any]]:
        """Per-object matches of every volume, metric and threshold, one dict per row."""
        return [
            {"volume": volume.name, "metric": metric, **row}
            for volume in self.volumes
            for metric, score in volume.scores.items()
            if isinstance(score, ThresholdSweep)
            for row in score.match_rows()
        ]

    @property
    def truth_counts(self) -> dict[str, SynapseCount]:
        """How many synapses the truth of each volume holds, where they were matched."""
        return {
            volume.name: score.strict[0].matches.truth_count
            for volume in self.volumes
            for score in volume.scores.values()
            if isinstance(score, ThresholdSweep)
        }

    @property
    def curves(self) -> dict[str, tuple[PrecisionRecallCurve, ...]]:
        """Precision and recall over confidence, by volume, `pooled` last where there are several.

        A volume whose synapses come without confidence is not among them.
        """
        scores = {volume.name: volume.scores.get("polarity") for volume in self.volumes}
        if len(self.volumes) > 1:
            scores["pooled"] = self.pooled.get("polarity")
        return {
            name: score.curves
            for name, score in scores.items()
            if isinstance(score, PolaritySweep) and score.curves
        }

    def as_dict(self) -> dict[str, Any]:
        """Everything, legal in JSON: an undefined number is None, an infinite one "inf"."""
        volumes = [
            {"name": v.name, "scores": _dicts(v.scores), "notes": list(_volume_notes(v))}
            for v in self.volumes
        ]
        return _legal(
            {
                "pooled": _dicts(self.pooled),
                "volumes": volumes,
                "settings": dict(self.settings),
                "notes": list(self.notes),
            }
        )

    def table(self) -> str:
        """The scores in plain text: a block per metric, pooled last where there are several."""
        blocks = [self._block(metric) for metric in self.pooled]
        if counts := self.truth_counts:
            blocks.append("\n".join(f"{name}: truth holds {n}" for name, n in counts.items()))
        notes = "\n".join(f"- {note}" for note in self.notes)
        return "\n\n".join([*blocks, *([notes] if notes else [])]) + "\n"

    def _block(self, metric: str) -> str:
        named = [(v.name, v.scores[metric]) for v in self.volumes if metric in v.scores]
        if len(named) > 1:
            named.append(("pooled", self.pooled[metric]))
        rows = [{"volume": name, **row} for name, score in named for row in score.rows()]
        return f"{metric}: {METRICS[metric].legend}\n{format_rows(rows)}"


def format_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Align rows under the names of their columns; an undefined number is a dash.

    >>> print(format_rows([{"IoU": "0.5", "F1": 0.25}, {"IoU": "mean", "F1": float("nan")}]))
    IoU      F1
    0.5   0.250
    mean      -
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([number_text(row.get(name, "")) for name in names] for row in rows)]
    first, *others = zip(*lines, strict=True)
    columns = [_aligned(first, str.ljust), *(_aligned(column, str.rjust) for column in others)]
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))


def _aligned(column: Sequence[str], pad: Callable[[str, int], str]) -> list[str]:
    width = max(map(len, column))
    return [pad(cell, width) for cell in column]


def number_text(value: Any) -> str:
    """A number as tables show it: three digits, and - where it is undefined; others as they are.

    >>> number_text(0.5), number_text(float("nan")), number_text(7), number_text("em")
    ('0.500', '-', '7', 'em')
    """
    if not isinstance(value, float):
        return str(value)
    return "-" if math.isnan(value) else f"{value:.3f}"


def write_report(
    report: EvaluationReport, folder: str | Path, *, about: Mapping[str, Any] | None = None
) -> dict[str, Path]:
    """Write `scores.json`, `scores.txt` and `matches.csv`.

    Where synapses come with confidence, `precision_recall.csv` has the points of the curves.

    Args:
        report: What to write.
        folder: Where; it is made.
        about: What else `scores.json` shall say.

    Returns:
        The paths by the files' names.

    Raises:
        DataError: The folder cannot be written.
    """
    scores = {**report.as_dict(), **(about or {})}
    texts = {
        "scores.json": json.dumps(scores, indent=2, allow_nan=False) + "\n",
        "scores.txt": report.table(),
    }
    tables: dict[str, tuple[Sequence[str], list[dict[str, Any]]]]
    tables = {"matches.csv": (_MATCH_COLUMNS, report.matches)}
    if report.curves:
        tables["precision_recall.csv"] = (_CURVE_COLUMNS, _curve_rows(report.curves))
    paths = {name: Path(folder) / name for name in (*texts, *tables)}
    for name, text in texts.items():
        with atomic_path(paths[name]) as temporary:
            temporary.write_text(text, encoding="utf-8")
    for name, (columns, rows) in tables.items():
        with (
            atomic_path(paths[name]) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
    return paths


def _curve_rows(curves: Mapping[str, Sequence[PrecisionRecallCurve]]) -> list[dict[str, Any]]:
    return [
        dict(zip(_CURVE_COLUMNS, (volume, curve.iou_threshold, *point), strict=True))
        for volume, several in curves.items()
        for curve in several
        for point in zip(*(column.tolist() for column in curve.points()), strict=True)
    ]


def _volume_notes(volume: VolumeScores) -> tuple[str, ...]:
    of_scores = [note for score in volume.scores.values() for note in score.notes]
    return tuple(dict.fromkeys([*volume.notes, *of_scores]))


def _dicts(scores: Mapping[str, Score]) -> dict[str, Any]:
    return {metric: score.as_dict() for metric, score in scores.items()}


def _legal(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _legal(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_legal(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
