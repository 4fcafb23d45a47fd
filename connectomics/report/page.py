"""The report of a test: one HTML file that needs nothing else, for the eye first."""

from __future__ import annotations

import functools
import json
import math
import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import numpy as np

from connectomics import __version__
from connectomics.evaluation import (
    METRICS,
    EvaluationReport,
    Matches,
    PolarityScores,
    PolaritySweep,
    ThresholdSweep,
    bootstrap_intervals,
    scores_by_distance,
    scores_by_size,
)
from connectomics.files import atomic_path
from connectomics.neuroglancer.link import GAP, link_with_gap, position_at
from connectomics.report import charts
from connectomics.report.background import Background, Curve
from connectomics.report.gallery import KINDS, Card, Scene, as_json, errors_first, list_cards
from connectomics.report.scenes import MATCHED, headline_threshold

AT_ONCE = 12
"""Cards that the page shows at once. It works as soon as their pictures are there, and reads on."""

MORE = 48
"""Further ones that it shows when asked to."""

ORDERS = {
    "kind": "errors first",
    "confidence-up": "confidence, lowest first",
    "confidence-down": "confidence, highest first",
    "iou-up": "IoU, lowest first",
    "size-up": "size, smallest first",
    "size-down": "size, largest first",
    "place": "place (z, y, x)",
}
REPEATED = ("volume", "kind")
OF_TRUTH = ("kind", "iou-up")
"""Orders that mean nothing where nothing was compared."""


def write_page(
    path: str | Path,
    scenes: Iterable[Scene],
    report: EvaluationReport | None = None,
    background: Background | None = None,
) -> Path:
    """Write `report.html`.

    Args:
        path: Where to write; a file that stands there is replaced.
        scenes: The volumes, one at a time in memory.
        report: Their scores; without them the page is one of what was found.
        background: What else to say.

    Returns:
        The path written.

    Raises:
        DataError: The page cannot be written.
    """
    told = background or Background("synapses")
    cards, volumes, places = _seen(scenes)
    pictures = _pictures(cards)
    sections = {
        "Training curves": _training(told),
        "Settings": _changes(told),
        "Provenance": _provenance(told),
    }
    names = {"Result": "scores", "Synapse by synapse": "gallery"} | {
        name: text.partition("id='")[2].partition("'")[0] for name, text in sections.items() if text
    }
    parts = {
        "title": escape(told.title),
        "links": " ".join(f"<a href='#{place}'>{name}</a>" for name, place in names.items()),
        "lead": _lead(told, volumes),
        "scores": _scores(report, _border_chart(places, volumes))
        if report
        else _found(cards, volumes),
        "gallery_kinds": json.dumps(KINDS),
        "at_once": str(AT_ONCE),
        "more": str(MORE),
        "orders": _orders(compared=report is not None),
        "about": ABOUT_BOTH if report else ABOUT_FOUND,
        "background": "".join(sections.values()),
        "style": _asset("page.css"),
        "script": _asset("page.js"),
        "cards": _embedded(_columns(as_json(cards))),
        "viewer": _embedded(_viewer(told.viewer, cards)),
        "first_pictures": "\n".join(pictures[:AT_ONCE]),
        "pictures": "\n".join(pictures[AT_ONCE:]),
        "count": _counted(cards),
        "version": __version__,
    }
    text = Template(_asset("page.html")).substitute(parts)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


ABOUT_BOTH = (
    "Orange is pre-synaptic, blue post-synaptic, green has no side; the truth is outlined in full, "
    "the prediction in dashes."
)
ABOUT_FOUND = (
    "Outlines show what was found: orange pre-synaptic, blue post-synaptic, green no side."
)


def _orders(*, compared: bool) -> str:
    return "".join(
        f'<option value="{name}">{text}</option>'
        for name, text in ORDERS.items()
        if compared or name not in OF_TRUTH
    )


class Placed(NamedTuple):
    """Synapses of a volume, and how far each lies from its border."""

    matches: Matches
    to_border: list[float]


class Seen(NamedTuple):
    """What is left of scenes once their voxels are let go.

    Attributes:
        cards: Of all synapses, errors first.
        volumes: What is said of each volume.
        places: Where the synapses of each lie; none of a volume that was not scored.
    """

    cards: list[Card]
    volumes: list[VolumeFacts]
    places: list[Placed]


def _seen(scenes: Iterable[Scene]) -> Seen:
    """Look at one scene at a time."""
    seen = Seen([], [], [])
    for scene in scenes:
        listed = list_cards(scene)
        seen.cards.extend(listed)
        seen.volumes.append(scene_facts(scene))
        if scene.matches is not None:
            seen.places.append(Placed(scene.matches, [card.to_border for card in listed]))
    return seen._replace(cards=errors_first(seen.cards))


@dataclass(frozen=True)
class VolumeFacts:
    """What a page says of a volume as a whole."""

    name: str
    shape: tuple[int, ...]
    origin: tuple[int, int, int]
    resolution: tuple[float, float, float] | None
    synthetic: bool

    @property
    def um3(self) -> float | None:
        """Its volume in µm³."""
        if self.resolution is None:
            return None
        return math.prod(self.shape) * math.prod(self.resolution) / 1e9


def scene_facts(scene: Scene) -> VolumeFacts:
    """What is left to say of a volume once its voxels are let go."""
    return VolumeFacts(
        scene.name, scene.prediction.shape, scene.origin, scene.resolution, scene.synthetic
    )


def _lead(told: Background, volumes: Sequence[VolumeFacts]) -> str:
    facts = []
    for volume in volumes:
        z, y, x = volume.shape
        text = f"{escape(volume.name)}: {z} &times; {y} &times; {x} voxels"
        if volume.resolution is not None:
            size = " &times; ".join(f"{size:g}" for size in volume.resolution)
            text += f" of {size} nm (z, y, x)"
        if any(volume.origin):
            first = ", ".join(map(str, volume.origin))
            text += f", from voxel ({first}) of its file on; voxels below are counted from there"
        facts.append(text + (", <strong>synthetic EM, not real tissue</strong>" * volume.synthetic))
    lines = [escape(told.description)] * bool(told.description) + facts
    lines += map(escape, told.notes)
    return "".join(f"<p>{line}</p>" for line in lines)


def _scores(report: EvaluationReport, by_border: str) -> str:
    """Every metric; the chart of places stands with the one that the gallery is made from."""
    parts = []
    carded = next((name for name in MATCHED if name in report.pooled), "")
    for metric, pooled in report.pooled.items():
        shown = pooled if isinstance(pooled, ThresholdSweep) else None
        chart = by_border if metric == carded else ""
        parts.append(_sweep(shown, chart) if shown is not None else "")
        legend = " ".join(METRICS[metric].legend.split())
        rows = [
            {"volume": name, **row}
            for name, score in _named(report, metric)
            for row in score.rows()
        ]
        parts.append(f"<h3>{escape(metric)}</h3>{_table(rows)}<p class='legend'>{legend}</p>")
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    listed = f"<h3>Before you quote these numbers</h3><ul>{notes}</ul>" if notes else ""
    return "".join(parts) + listed


def _named(report: EvaluationReport, metric: str) -> list[tuple[str, Any]]:
    named = [(v.name, v.scores[metric]) for v in report.volumes if metric in v.scores]
    return [*named, ("pooled", report.pooled[metric])] if len(named) > 1 else named


def _sweep(sweep: ThresholdSweep[Any], by_border: str) -> str:
    score = sweep.at(headline_threshold(sweep))
    sided = isinstance(score, PolarityScores)
    counts = score.polarity if sided else score.detection
    name = score.headings[score.headline]
    value = getattr(score, score.headline)
    low, high = bootstrap_intervals(score)[score.headline]
    interval = "" if math.isnan(low) else f" (95 % interval of {name}: {low:.2f} to {high:.2f})"
    right = " with both sides in place" if sided else ""
    true, predicted = counts.tp + counts.fn, counts.tp + counts.fp
    synapses = "synapse was" if true == 1 else "synapses were"
    of_found = f"of {predicted} predicted, {counts.tp} {'is' if counts.tp == 1 else 'are'} right"
    sentence = (
        f"<strong>{counts.tp} of {true} true {synapses} found{right}</strong>, and "
        f"{of_found if predicted else 'nothing was predicted'}. One counts as found where it "
        f"overlaps the truth by an IoU of at least {score.iou_threshold:g}"
        f"{' on the pre and on the post side' if sided else ''}{interval}."
    )
    boxes = [(f"{name} at IoU {score.iou_threshold:g}", value)]
    if sided:
        boxes += [("F1_det, sides aside", score.f1_det), ("side accuracy", score.side_accuracy)]
    boxes += [("precision", counts.precision), ("recall", counts.recall)]
    shown = "".join(
        f"<div class='number'><b>{_number(v)}</b><span>{escape(n)}</span></div>" for n, v in boxes
    )
    drawn = []
    if len(score.matches):
        sizes = scores_by_size(score.matches)
        drawn.append(charts.shares_chart(sizes, sided=sided, label="size in voxels"))
    if by_border:
        drawn.append(by_border)
    if isinstance(sweep, PolaritySweep) and sweep.curves:
        drawn.insert(0, charts.precision_recall_chart(sweep.curves, score.iou_threshold))
    figures = "".join(f"<figure>{chart}</figure>" for chart in drawn)
    confusion = _confusion(score) if sided else ""
    return (
        f"<div class='numbers'>{shown}</div><p>{sentence}</p>{confusion}"
        f"<div class='charts'>{figures}</div>"
    )


def _counted(cards: Sequence[Card]) -> str:
    pictures = sum(card.picture is not None for card in cards)
    shown = f", {pictures:,} of them with a picture" if 0 < pictures < len(cards) else ""
    return f"{len(cards):,} synapse{'' if len(cards) == 1 else 's'}{shown}"


def _border_chart(places: Sequence[Placed], volumes: Sequence[VolumeFacts]) -> str:
    """Scores by distance to the border; nothing where there is no synapse."""
    if not any(len(place.matches) for place in places):
        return ""
    matches = functools.reduce(operator.add, (place.matches for place in places))
    away = np.concatenate([place.to_border for place in places])
    unit = "nm" if all(volume.resolution for volume in volumes) else "voxels"
    return charts.shares_chart(
        scores_by_distance(matches, away),
        sided=bool(matches.polarity.any()),
        label=f"{unit} to the border of the volume",
    )


def _confusion(score: PolarityScores) -> str:
    hit, counted = score.matches.polarity[:, 0], score.matches.polarity.any(axis=1)
    loose = (score.matches.outcome == "correct") & counted & ~hit
    counts = {
        "true": score.polarity.tp,
        "loose": int(loose.sum()),
        "flipped": score.flipped,
        "one_sided": score.one_sided,
        "missed": score.detection.fn,
        "false": score.detection.fp,
    }
    cells = "".join(f"<tr><td>{KINDS[k]}</td><td>{count}</td></tr>" for k, count in counts.items())
    return (
        f"<table class='plain'><caption>What became of the synapses at IoU {score.iou_threshold:g}"
        f"</caption><tbody>{cells}</tbody></table>"
    )


def _found(cards: Sequence[Card], volumes: Sequence[VolumeFacts]) -> str:
    count = len(cards)
    space = [volume.um3 for volume in volumes]
    known = [one for one in space if one is not None]
    boxes = [("synapses found", f"{count:,}")]
    if volumes and len(known) == len(space) and sum(known):
        boxes.append(("per µm³", f"{count / sum(known):.3g}"))
    shown = "".join(f"<div class='number'><b>{v}</b><span>{n}</span></div>" for n, v in boxes)
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
    note = "<p>There is no ground truth, so nothing here says how many of these are right.</p>"
    return f"<div class='numbers'>{shown}</div>{note}<div class='charts'>{figures}</div>" + (
        _table(rows) if len(rows) > 1 else ""
    )


def _training(told: Background) -> str:
    if not told.training:
        return ""
    groups: dict[str, dict[str, Curve]] = {"loss": {}, "score": {}}
    for name, curve in told.training.items():
        groups["loss" if "loss" in name else "score"][name] = curve
    figures = "".join(
        f"<figure>{charts.training_chart(curves, label)}</figure>"
        for label, curves in groups.items()
        if curves
    )
    return f"<section id='training'><h2>Training</h2><div class='charts'>{figures}</div></section>"


def _changes(told: Background) -> str:
    if not told.tutorial:
        return ""
    title = f"<section id='changes'><h2>What differs from {escape(told.tutorial)}</h2>"
    if not told.changes:
        return f"{title}<p>Nothing.</p></section>"
    rows = [{"setting": key, "there": old, "here": new} for key, old, new in told.changes]
    return f"{title}{_table(rows)}</section>"


def _provenance(told: Background) -> str:
    if not told.provenance:
        return ""
    rows = "".join(
        f"<tr><td>{escape(str(name))}</td><td><code>{escape(_plain(value))}</code></td></tr>"
        for name, value in told.provenance.items()
    )
    return (
        "<section id='provenance'><h2>The training</h2>"
        "<p>How the results themselves were made stands in provenance.yaml and config.yaml beside "
        "this page.</p>"
        f"<div class='scroll'><table class='plain'><tbody>{rows}</tbody></table></div></section>"
    )


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {entry}" for name, entry in value.items())
    return str(value)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{escape(_number(row.get(name, '')))}</td>" for name in names)
        + "</tr>"
        for row in rows
    )
    return (
        f"<div class='scroll'><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return "-" if math.isnan(value) else f"{value:.3f}"


def _viewer(address: str, cards: Sequence[Card]) -> dict[str, Any] | None:
    """A link with a gap for the position, and the position of each card; None without a viewer."""
    if not address:
        return None
    places = [None if card.nm is None else position_at(address, card.nm) for card in cards]
    return {"link": link_with_gap(address), "gap": GAP, "places": places}


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows by their columns: each name once, which a browser reads much sooner.

    Texts that come again and again stand once, and the column holds their numbers.
    """
    columns: dict[str, Any] = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        if name in REPEATED:
            number = {text: i for i, text in enumerate(dict.fromkeys(values))}
            columns[name] = {"texts": list(number), "rows": [number[text] for text in values]}
        else:
            columns[name] = values
    return columns


def _pictures(cards: Sequence[Card]) -> list[str]:
    """Each picture by its number, to be read when its card is shown."""
    drawn = (card.picture for card in cards if card.picture)
    return [
        f'<script type="application/json" id="picture-{number}">{_embedded(one._asdict())}</script>'
        for number, one in enumerate(drawn)
    ]


def _embedded(value: Any) -> str:
    """JSON that can stand inside a `<script>` element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _asset(name: str) -> str:
    return (resources.files("connectomics.report") / "assets" / name).read_text(encoding="utf-8")
