"""What the page says of synapses: scores and counts, in sentences, tables and charts."""

from __future__ import annotations

import functools
import math
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import numpy as np

from connectomics.evaluation import (
    METRICS,
    DetectionScores,
    EvaluationReport,
    Matches,
    PolarityScores,
    PolaritySweep,
    SynapseCount,
    ThresholdSweep,
    bootstrap_intervals,
    scores_by_distance,
    scores_by_size,
)
from connectomics.evaluation.summary import number_text
from connectomics.report import charts
from connectomics.report.gallery import KINDS, Card
from connectomics.report.scenes import Scene, headline_threshold, matched_metric


class Placed(NamedTuple):
    """Synapses of a volume, and how far each lies from its border."""

    matches: Matches
    to_border: list[float]


def away_of(matches: Matches, cards: Sequence[Card]) -> list[float]:
    """How far each row lies from the border; a card may be of two rows."""
    of_truth = {card.truth: card.to_border for card in cards}
    of_prediction = {card.prediction: card.to_border for card in cards}
    rows = zip(matches.truth_id.tolist(), matches.prediction_id.tolist(), strict=True)
    return [of_truth[true] if true else of_prediction[found] for true, found in rows]


@dataclass(frozen=True)
class VolumeFacts:
    """What a page says of a volume as a whole."""

    name: str
    shape: tuple[int, ...]
    origin: tuple[int, int, int]
    resolution: tuple[float, float, float] | None
    synthetic: bool
    sided: bool = True
    sideless: bool = False

    @property
    def um3(self) -> float | None:
        """Its volume in µm³."""
        if self.resolution is None:
            return None
        return math.prod(self.shape) * math.prod(self.resolution) / 1e9


def scene_facts(scene: Scene) -> VolumeFacts:
    """What is left to say of a volume once its voxels are let go."""
    sides = {
        scene.prediction_sided,
        scene.prediction_sided if scene.truth is None else scene.truth_sided,
    }
    return VolumeFacts(
        scene.name,
        scene.prediction.shape,
        scene.origin,
        scene.grid.resolution,
        scene.synthetic,
        sided=True in sides,
        sideless=False in sides,
    )


def scores_of(report: EvaluationReport, by_border: str) -> str:
    """Every metric, what they come to before the tables.

    The chart of places stands with the metric that the gallery is made from.
    """
    heads, tables = [], []
    carded = matched_metric(report.pooled)
    for metric, pooled in report.pooled.items():
        if isinstance(pooled, ThresholdSweep):
            heads.append(_sweep(pooled, by_border if metric == carded else ""))
        legend = " ".join(METRICS[metric].legend.split())
        named = _named(report, metric)
        rows = [
            {"volume": name, **row} if len(named) > 1 else row
            for name, score in named
            for row in score.rows()
        ]
        tables.append(f"<h3>{escape(metric)}</h3>{table_of(rows)}<p class='legend'>{legend}</p>")
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    listed = f"<h3>Before you quote these numbers</h3><ul>{notes}</ul>" if notes else ""
    return "".join([*heads, *tables]) + listed


def _named(report: EvaluationReport, metric: str) -> list[tuple[str, Any]]:
    named = [(v.name, v.scores[metric]) for v in report.volumes if metric in v.scores]
    return [*named, ("pooled", report.pooled[metric])] if len(named) > 1 else named


def _sweep(sweep: ThresholdSweep[Any], by_border: str) -> str:
    score = sweep.at(headline_threshold(sweep))
    sided = isinstance(score, PolarityScores)
    drawn = [_outcomes(score)]
    if isinstance(sweep, PolaritySweep) and sweep.curves:
        chart = charts.precision_recall_chart(sweep.curves, score.iou_threshold)
        drawn.append(_figure(chart, ABOUT_CURVES, "curves"))
    if len(score.matches):
        sizes = scores_by_size(score.matches)
        chart = charts.shares_chart(sizes, sided=sided, label="size in voxels")
        drawn.append(_figure(chart, "Scores by size of the true synapse."))
    if by_border:
        drawn.append(_figure(by_border, "Scores by distance to the border of the volume."))
    return f"{_boxes(score)}<p>{_sentence(score)}</p><div class='charts'>{''.join(drawn)}</div>"


ABOUT_CURVES = (
    "Precision and recall as the confidence that is asked for falls. A dot is the best F1 of a "
    "curve, the ring all that was decoded: the headline."
)


def _figure(chart: str, caption: str, name: str = "") -> str:
    return f"<figure class='{name}'>{chart}<figcaption>{caption}</figcaption></figure>"


def _boxes(score: PolarityScores | DetectionScores) -> str:
    """The numbers of the headline, each with what it says."""
    sided = isinstance(score, PolarityScores)
    counts = score.polarity if sided else score.detection
    right = "found with both sides in place" if sided else "found, each once"
    low, high = bootstrap_intervals(score)[score.headline]
    between = "" if math.isnan(low) else f"; 95 %: {low:.2f} to {high:.2f}"
    name = f"{score.headings[score.headline]} at IoU {score.iou_threshold:g}"
    boxes = [(name, getattr(score, score.headline), f"{right}{between}")]
    if isinstance(score, PolarityScores):
        boxes += [
            ("F1_det", score.f1_det, "found, sides aside"),
            ("side accuracy", score.side_accuracy, "of those found, not exchanged"),
        ]
    boxes += [
        ("precision", counts.precision, f"{counts.tp:,} of {counts.tp + counts.fp:,} predicted"),
        ("recall", counts.recall, f"{counts.tp:,} of {counts.tp + counts.fn:,} true"),
    ]
    return f"<div class='numbers'>{''.join(map(_box, *zip(*boxes, strict=True)))}</div>"


def _box(name: str, value: Any, told: str = "") -> str:
    words = f"<span>{told}</span>" * bool(told)
    return f"<div class='number'><b>{number_text(value)}</b><i>{escape(name)}</i>{words}</div>"


def _sentence(score: PolarityScores | DetectionScores) -> str:
    sided = isinstance(score, PolarityScores)
    counts = score.polarity if sided else score.detection
    right = " with both sides in place" if sided else ""
    true, predicted = counts.tp + counts.fn, counts.tp + counts.fp
    synapses = "synapse was" if true == 1 else "synapses were"
    of_found = (
        f"of {predicted:,} predicted, {counts.tp:,} {'is' if counts.tp == 1 else 'are'} right"
    )
    return (
        f"<strong>{counts.tp:,} of {true:,} true {synapses} found{right}</strong>, and "
        f"{of_found if predicted else 'nothing was predicted'}. One counts as found where it "
        f"overlaps the truth by an IoU of at least {score.iou_threshold:g}"
        f"{' on the pre and on the post side' if sided else ''}. "
        f"The truth holds {score.matches.truth_count}."
    )


def border_chart(places: Sequence[Placed], volumes: Sequence[VolumeFacts]) -> str:
    """Scores by distance to the border; nothing where there is no synapse."""
    if not any(len(place.matches) for place in places):
        return ""
    matches = functools.reduce(operator.add, (place.matches for place in places))
    away = np.concatenate([place.to_border for place in places])
    unit = "nm" if all(volume.resolution for volume in volumes) else "voxels"
    shares = scores_by_distance(matches, away)
    to = f"{unit} to" if len(shares) > 2 else "by"
    label = f"{to} the border of the volume"
    return charts.shares_chart(shares, sided=bool(matches.polarity.any()), label=label)


def _outcomes(score: PolarityScores | DetectionScores) -> str:
    """What became of the synapses, with a bar each, that leads to them in the gallery."""
    near = int(((score.matches.near_id > 0) & (score.matches.truth_id > 0)).sum())
    counts = {"near": near, "missed": score.detection.fn - near, "false": score.detection.fp - near}
    if isinstance(score, PolarityScores):
        hit, counted = score.matches.polarity[:, 0], score.matches.polarity.any(axis=1)
        loose = (score.matches.outcome == "correct") & counted & ~hit
        sides = {"flipped": score.flipped, "one_sided": score.one_sided}
        counts = {"true": score.polarity.tp, "loose": int(loose.sum()), **sides, **counts}
    else:
        counts = {"found": score.detection.tp, **counts}
    most = max([1, *counts.values()])
    rows = "".join(
        f"<tr><td>{_shown_below(kind) if count else KINDS[kind]}</td><td>{count:,}</td>"
        f"<td class='bar kind-{kind}'>{_bar(count / most)}</td></tr>"
        for kind, count in counts.items()
    )
    return (
        f"<figure><table class='outcomes'><caption>What became of the synapses at IoU "
        f"{score.iou_threshold:g}</caption><tbody>{rows}</tbody></table></figure>"
    )


def _bar(share: float) -> str:
    """A bar of a share of the width, of a pixel at least; none for nothing."""
    return f"<div style='width:{100 * share:.4g}%'></div>" if share else ""


def _shown_below(kind: str) -> str:
    return f"<a href='#gallery' data-show='{kind}'>{KINDS[kind]}</a>"


def what_was_found(cards: Sequence[Card], volumes: Sequence[VolumeFacts]) -> str:
    """Counts, densities and distributions, where there is no truth to score by."""
    count = len(cards)
    space = [volume.um3 for volume in volumes]
    known = [one for one in space if one is not None]
    boxes = [("synapses found", f"{count:,}")]
    if volumes and len(known) == len(space) and sum(known):
        boxes.append(("per µm³", f"{count / sum(known):.3g}"))
    shown = "".join(_box(name, value) for name, value in boxes)
    drawn = []
    sizes = [card.size_um3 for card in cards if card.size_um3]
    if sizes:
        drawn.append(charts.histogram_chart(sizes, label="size (µm³)", log=True))
    sure = [card.confidence for card in cards if card.confidence is not None]
    if sure:
        drawn.append(charts.histogram_chart(sure, label="confidence"))
    figures = "".join(f"<figure>{chart}</figure>" for chart in drawn)
    per_volume = Counter(card.volume for card in cards)
    rows = [{"volume": v.name, "synapses": per_volume[v.name]} for v in volumes]
    note = (
        f"<p>{SynapseCount.of(card.at_border for card in cards)}. There is no ground truth, so "
        "nothing here says how many of these are right.</p>"
    )
    return f"<div class='numbers'>{shown}</div>{note}<div class='charts'>{figures}</div>" + (
        table_of(rows) if len(rows) > 1 else ""
    )


def table_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as an HTML table, with a column for each name that any of them has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{escape(number_text(row.get(name, '')))}</td>" for name in names)
        + "</tr>"
        for row in rows
    )
    return (
        f"<div class='scroll'><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )
