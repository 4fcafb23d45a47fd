"""The report of a test: one HTML file that needs nothing else, for the eye first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from connectomics import __version__
from connectomics.evaluation import EvaluationReport
from connectomics.files import atomic_path
from connectomics.neuroglancer.link import GAP, link_with_gap, position_at
from connectomics.report import charts
from connectomics.report.background import Background, Curve
from connectomics.report.findings import (
    Placed,
    VolumeFacts,
    away_of,
    border_chart,
    scene_facts,
    scores_of,
    table_of,
    what_was_found,
)
from connectomics.report.gallery import KINDS, Card, as_json, list_cards, some_of_each
from connectomics.report.scenes import Scene

AT_ONCE = 12
"""Cards that the page shows at once. It works as soon as their pictures are there, and reads on."""

MORE = 48
"""Further ones that it shows when asked to."""

ORDERS = {
    "mixed": "some of each kind",
    "kind": "errors first",
    "confidence-down": "confidence, highest first",
    "confidence-up": "confidence, lowest first",
    "iou-up": "IoU, lowest first",
    "size-up": "size, smallest first",
    "size-down": "size, largest first",
    "place": "place (z, y, x)",
}
REPEATED = ("volume", "kind")
OF_TRUTH = ("mixed", "kind", "iou-up")
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
    text = Template(_asset("page.html")).substitute(
        _parts(scenes, report, background or Background("synapses"))
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def _parts(
    scenes: Iterable[Scene], report: EvaluationReport | None, told: Background
) -> dict[str, str]:
    """What `page.html` leaves open."""
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
    return {
        "title": escape(told.title),
        "links": " ".join(f"<a href='#{place}'>{name}</a>" for name, place in names.items()),
        "lead": _lead(told, volumes),
        "scores": scores_of(report, border_chart(places, volumes))
        if report
        else what_was_found(cards, volumes),
        "gallery_kinds": json.dumps(KINDS),
        "at_once": str(AT_ONCE),
        "more": str(MORE),
        "orders": _orders(compared=report is not None),
        "about": _about(volumes, compared=report is not None),
        "background": "".join(sections.values()),
        "style": _asset("page.css"),
        "script": _asset("page.js"),
        "cards": _embedded(_columns(as_json(cards))),
        "viewer": _embedded(_viewer(told.viewer, cards)),
        "pixels": _embedded(_pixels(volumes)),
        "first_pictures": "\n".join(pictures[:AT_ONCE]),
        "pictures": "\n".join(pictures[AT_ONCE:]),
        "count": _counted(cards),
        "version": __version__,
    }


def _about(volumes: Sequence[VolumeFacts], *, compared: bool) -> str:
    """How to read the pictures."""
    drawn = "The truth is outlined, the prediction a tint" if compared else "Outlines show it"
    if any(volume.sided for volume in volumes):
        drawn += ": orange is pre-synaptic, blue post-synaptic"
        drawn += ", green has no side" * any(volume.sideless for volume in volumes)
    return f"{drawn}."


def _orders(*, compared: bool) -> str:
    return "".join(
        f'<option value="{name}">{text}</option>'
        for name, text in ORDERS.items()
        if compared or name not in OF_TRUTH
    )


class Seen(NamedTuple):
    """What is left of scenes once their voxels are let go.

    Attributes:
        cards: Of all synapses, some of each kind first.
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
            seen.places.append(Placed(scene.matches, away_of(scene.matches, listed)))
    return seen._replace(cards=some_of_each(seen.cards))


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


def _counted(cards: Sequence[Card]) -> str:
    pictures = sum(card.picture is not None for card in cards)
    shown = f", {pictures:,} of them with a picture" if 0 < pictures < len(cards) else ""
    both = ", true and predicted" if any(card.kind != "found" for card in cards) else ""
    return f"{len(cards):,} synapse{'' if len(cards) == 1 else 's'}{both}{shown}"


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
    return f"{title}{table_of(rows)}</section>"


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


def _viewer(address: str, cards: Sequence[Card]) -> dict[str, Any] | None:
    """A link with a gap for the position, and the position of each card; None without a viewer."""
    if not address:
        return None
    places = [None if card.nm is None else position_at(address, card.nm) for card in cards]
    return {"link": link_with_gap(address), "gap": GAP, "places": places}


def _pixels(volumes: Sequence[VolumeFacts]) -> dict[str, float]:
    """How many nm a pixel of each volume's pictures is wide, where that is known."""
    return {volume.name: volume.resolution[2] for volume in volumes if volume.resolution}


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
