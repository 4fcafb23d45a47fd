"""The report page: what it says, and that it works in a browser."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from connectomics.config.schema import ScoringSection
from connectomics.data.volumes import MemoryVolume
from connectomics.evaluation import EvaluationReport, LabelPair, evaluate_volumes
from connectomics.geometry import VoxelGrid
from connectomics.neuroglancer.link import link, state_of
from connectomics.report import page as page_module
from connectomics.report.charts import histogram_chart, training_chart
from connectomics.report.page import Background, write_page
from connectomics.report.scenes import Scene

sys.path.insert(0, str(Path(__file__).parent))
from browser import BROWSER, ask, opened

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on the PATH")

SHAPE = (4, 60, 90)
CONFIDENCE = {1: 0.9, 2: 0.4, 3: 0.6, 4: 0.2}


def synapses(*firsts: int) -> np.ndarray:
    """Synapses at fixed places; each label pair is (first, the other of its synapse)."""
    made = np.zeros(SHAPE, np.uint16)
    for i, first in enumerate(firsts):
        if first:
            other = first + 1 if first % 2 else first - 1
            made[1:3, 10:30, 5 + 20 * i : 9 + 20 * i] = first
            made[1:3, 10:30, 9 + 20 * i : 13 + 20 * i] = other
    return made


TRUTH, PREDICTION = synapses(1, 3, 5, 0), synapses(1, 4, 0, 7)
EM = MemoryVolume("em", np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8))


def scored(name: str = "em") -> tuple[list[Scene], EvaluationReport]:
    section = ScoringSection.model_validate({"metrics": [{"name": "polarity"}]})
    pair = LabelPair(
        name, TRUTH, PREDICTION, "polarity", (30, 8, 8), confidence=CONFIDENCE, notes=("a <note>",)
    )
    report = evaluate_volumes([pair], section)
    matches = report.volumes[0].scores["polarity"].at(0.5).matches
    scene = Scene(
        name,
        PREDICTION,
        True,
        TRUTH,
        True,
        matches,
        EM,
        VoxelGrid((30, 8, 8)),
        confidence=CONFIDENCE,
    )
    return [scene], report


@pytest.fixture
def page(tmp_path: Path) -> Path:
    told = Background(
        "my experiment",
        training={"train_loss": ([0, 10], [1.0, 0.5]), "val_dice": ([10], [0.3])},
        changes=[("optimization.max_steps", "2000", "400")],
        tutorial="demo.yaml",
        provenance={"seed": 0, "packages": {"torch": "2"}},
    )
    return write_page(tmp_path / "report.html", *scored(), told)


class Balanced(HTMLParser):
    """Finds elements that are not closed, and addresses that lead out of the page."""

    EMPTY = ("meta", "input", "img", "br", "path", "use", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.addresses += [v for n, v in attrs if n in ("src", "href") and not v.startswith("#")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


def test_it_says_what_was_found_and_needs_nothing_else(page):
    text = page.read_text(encoding="utf-8")
    reader = Balanced()
    reader.feed(text)
    assert reader.open == []
    assert [one for one in reader.addresses if not one.startswith("data:")] == []
    assert "1 of 3 true synapses were found with both sides in place" in text
    assert "of 3 predicted, 1 is right" in text
    assert "4 &times; 60 &times; 90" in text
    assert "em: a &lt;note&gt;" in text
    assert "What differs from demo.yaml" in text
    assert "torch 2" in text
    assert "currentColor" in text


def test_a_side_that_overlaps_too_little_is_told_from_one_in_place(tmp_path):
    thin = np.where((TRUTH == 2) & (np.arange(90) > 9), 0, TRUTH)  # a quarter of a post side
    pair = LabelPair("em", TRUTH, thin, "polarity", (30, 8, 8))
    section = ScoringSection.model_validate({"metrics": [{"name": "polarity"}]})
    report = evaluate_volumes([pair], section)
    text = write_page(tmp_path / "report.html", [], report).read_text(encoding="utf-8")
    assert outcomes(text) == {
        "found, both sides in place": 2,
        "found, but a side overlaps too little": 1,
        "sides the wrong way round": 0,
        "one side not found": 0,
        "overlaps too little: missed and false": 0,
        "missed": 0,
        "false": 0,
    }


def outcomes(text: str) -> dict[str, int]:
    """What the page says became of the synapses."""
    table = text.partition("<table class='outcomes'>")[2].partition("</table>")[0]
    rows = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td>", table)
    return {re.sub("<.*?>", "", name): int(count) for name, count in rows}


def test_a_pair_below_the_threshold_is_one_thing_in_counts_and_gallery(tmp_path):
    shifted = np.roll(TRUTH, 12, axis=1)  # 8 of 20 rows of all three are left
    pair = LabelPair("em", TRUTH, shifted, "polarity", (30, 8, 8))
    section = ScoringSection.model_validate({"metrics": [{"name": "detection"}]})
    report = evaluate_volumes([pair], section)
    matches = report.volumes[0].scores["detection"].at(0.5).matches
    scene = Scene("em", shifted, True, TRUTH, True, matches, EM, VoxelGrid((30, 8, 8)))
    text = write_page(tmp_path / "report.html", [scene], report).read_text(encoding="utf-8")
    assert outcomes(text) == {
        "found": 0,
        "overlaps too little: missed and false": 3,
        "missed": 0,
        "false": 0,
    }
    assert text.count("<td class='bar kind-near'><div style='width:100%'></div></td>") == 1
    for kind in ("found", "missed", "false"):  # nothing is drawn for none
        assert f"<td class='bar kind-{kind}'></td>" in text
    assert "3 synapses, true and predicted" in text
    assert "0 of 3 predicted" in text
    assert "0 of 3 true" in text


def test_what_scores_come_to_stands_before_the_tables(tmp_path):
    metrics = [{"name": "jaccard"}, {"name": "detection"}]
    section = ScoringSection.model_validate({"metrics": metrics})
    report = evaluate_volumes([LabelPair("em", TRUTH, PREDICTION, "polarity")], section)
    text = write_page(tmp_path / "report.html", [], report).read_text(encoding="utf-8")
    places = [text.index(part) for part in ("<b>", "The truth holds 3 synapses, ", "<h3>jaccard")]
    assert places == sorted(places)
    assert text.index("<h3>jaccard") < text.index("<h3>detection")


def test_without_truth_it_is_a_page_of_what_was_found(tmp_path):
    scene = Scene(
        "em", PREDICTION, True, image=EM, grid=VoxelGrid((30, 8, 8)), confidence=CONFIDENCE
    )
    text = write_page(tmp_path / "report.html", [scene]).read_text(encoding="utf-8")
    assert "There is no ground truth" in text
    assert "synapses found" in text
    assert "per µm³" in text
    assert "errors first" not in text  # nor the truth outlined
    assert "the truth" not in text.partition("<noscript>")[0].partition("</style>")[2]
    assert "F1" not in text.partition("<script")[0].partition("</style>")[2]


def test_a_name_cannot_break_out_of_the_page(tmp_path):
    scenes, report = scored("</script><b>")
    text = write_page(tmp_path / "report.html", scenes, report).read_text(encoding="utf-8")
    reader = Balanced()
    reader.feed(text)
    assert reader.open == []
    assert "</script><b>" not in text


def test_parts_of_a_file_are_said_and_nothing_predicted_too(tmp_path):
    scenes, _ = scored()
    part = replace(scenes[0], origin=(28, 0, 0))
    text = write_page(tmp_path / "report.html", [part]).read_text(encoding="utf-8")
    assert "from voxel (28, 0, 0) of its file on; voxels below are counted from there" in text
    section = ScoringSection.model_validate({"metrics": [{"name": "polarity"}]})
    pair = LabelPair("em", TRUTH, np.zeros_like(TRUTH), "polarity", (30, 8, 8))
    report = evaluate_volumes([pair], section)
    text = write_page(tmp_path / "report.html", [], report).read_text(encoding="utf-8")
    assert "in place</strong>, and nothing was predicted." in text


def test_colours_are_explained_that_are_there(tmp_path):
    scenes, report = scored()
    told = write_page(tmp_path / "report.html", scenes, report).read_text(encoding="utf-8")
    assert "a tint: orange is pre-synaptic, blue post-synaptic." in told
    green = [replace(scenes[0], prediction_sided=False)]
    told = write_page(tmp_path / "report.html", green, report).read_text(encoding="utf-8")
    assert "blue post-synaptic, green has no side." in told
    alone = [Scene("em", PREDICTION, False, image=EM)]
    told = write_page(tmp_path / "report.html", alone).read_text(encoding="utf-8")
    assert "Outlines show it." in told
    assert "orange" not in told


def test_one_synapse_is_one_in_words(tmp_path):
    section = ScoringSection.model_validate({"metrics": [{"name": "polarity"}]})
    report = evaluate_volumes([LabelPair("em", synapses(1), synapses(1), "polarity")], section)
    text = write_page(tmp_path / "report.html", [], report).read_text(encoding="utf-8")
    assert "1 of 1 true synapse was found with both sides in place" in text


def test_what_else_to_know_of_the_results_is_said(tmp_path):
    told = Background("kept", notes=["No probabilities were <kept>."])
    text = write_page(tmp_path / "report.html", [], background=told).read_text(encoding="utf-8")
    assert "<p>No probabilities were &lt;kept&gt;.</p>" in text


def test_empty_volumes(tmp_path):
    nothing = Scene("em", np.zeros(SHAPE, np.uint8), True, image=EM)
    text = write_page(tmp_path / "report.html", [nothing]).read_text(encoding="utf-8")
    assert "0 synapses." in text


SHOWN = """
    const texts = (query) => [...document.querySelectorAll(query)].map((one) => one.textContent);
    const kinds = () => texts(".card h3 span:first-child");
"""


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_filters_in_a_browser(page, width):
    script = """
        const press = (query) => document.querySelector(query).click();
        const all = kinds();
        press('[data-kind="missed"]');
        const missed = kinds();
        press('[data-kind="missed"]');
        press('[data-show="false"]');
        const led = [kinds(), document.querySelector('[data-kind="false"]').ariaPressed];
        press('[data-kind="false"]');
        const order = document.getElementById("order");
        order.value = "confidence-down";
        order.dispatchEvent(new Event("change"));
        const surest = texts(".card h3 span:last-child")[0];
        document.querySelector('[data-layer="truth"]').click();
        const hidden = document.querySelectorAll(".strip.hide-0").length;
        press(".card .strip");
        await new Promise((done) => setTimeout(done, 500));
        const broken = [...document.images].filter((image) => !image.naturalWidth).length;
        const large = document.querySelectorAll(".card.large").length;
        const bars = new Set(texts(".scale"));
        return {all, missed, led, surest, hidden, large, broken, bars: [...bars]};
    """
    answer, faults = ask(page, SHOWN + script, width=width)
    assert faults == []
    assert answer == {
        "all": ["sides the wrong way round", "missed", "false", "found, both sides in place"],
        "missed": ["missed"],
        "led": [["false"], "true"],
        "surest": "true 1, predicted 1",
        "hidden": 4,
        "large": 1,
        "broken": 0,
        "bars": ["100 nm"],
    }


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_nothing_is_wider_than_the_window(tmp_path, dark):
    told = Background(
        "an_experiment_with_a_name_that_has_no_place_to_break_a_line",
        description="/a/path/that/is/as/long/as/paths/on/servers/are/checkpoints/last.ckpt",
        changes=[("optimization.max_steps", "2000", "[{" + "name: synapses, " * 20)],
        tutorial="demo.yaml",
        provenance={"command": "python scripts/main.py " + "x" * 200},
    )
    scenes, report = scored("a/volume/whose/name/is/a/path/" + "x" * 60)
    page = write_page(tmp_path / "report.html", scenes, report, told)
    script = """
        const {scrollWidth, clientWidth} = document.documentElement;
        const [red, green, blue] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g);
        document.querySelector(".strip").click();
        const enlarged = document.documentElement.scrollWidth;
        return [clientWidth, scrollWidth, enlarged, Number(red) < 64];
    """
    with opened(page, width=390, dark=dark) as tab:
        assert tab.run(script) == [390, 390, 390, dark]
        assert tab.faults == []


@needs_browser
def test_keys_alone_reach_everything_and_show_where_they_are(page):
    reached = []
    with opened(page) as tab:
        while len(reached) < 60:
            tab.press("Tab")
            told = tab.run("""
                const at = document.activeElement;
                const style = getComputedStyle(at);
                return [at.tagName, at.className || at.id || at.dataset.kind || at.dataset.layer,
                        style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0];
            """)
            if told[0] == "BODY":
                break
            reached.append(told)
            if told[1] == "strip" and not tab.run("return document.querySelector('.card.large')"):
                tab.press("Enter")
                pressed = "return document.activeElement.getAttribute('aria-expanded')"
                assert tab.run(pressed) == "true"
        assert tab.run("return document.querySelectorAll('.card.large').length") == 4
        assert tab.faults == []
    assert all(seen for *_, seen in reached)
    names = [name for _, name, _ in reached]
    assert names.count("strip") == 4
    assert names.count("copy") == 8
    assert {"flipped", "missed", "false", "true", "order", "number", "truth"} <= {*names}


@needs_browser
def test_what_is_seen_is_also_said(page):
    script = """
        return {
            unnamed: [...document.images].filter((image) => !image.alt).length,
            em: document.querySelector(".strip img").alt,
            charts: [...document.querySelectorAll("svg")].filter((one) => !one.ariaLabel).length,
            fields: [...document.querySelectorAll("select, input")]
                .filter((one) => !one.labels.length).length,
            headings: [...new Set([...document.querySelectorAll("h1, h2, h3, h4")]
                .map((one) => one.tagName))],
        };
    """
    answer, faults = ask(page, script)
    assert faults == []
    assert answer == {
        "unnamed": 0,
        "em": "EM of true 2, predicted 2, sections 1, 2, 3",
        "charts": 0,
        "fields": 0,
        "headings": ["H1", "H2", "H3"],
    }


DIMENSIONS = {"x": [8e-9, "m"], "y": [8e-9, "m"], "z": [3e-8, "m"]}
VIEW = link("https://viewer.example/", {"dimensions": DIMENSIONS})


def test_cards_link_to_a_viewer_where_one_is_named(tmp_path: Path) -> None:
    scenes, report = scored()
    write_page(tmp_path / "plain.html", scenes, report, Background("plain"))
    assert 'id="data-viewer">null<' in (tmp_path / "plain.html").read_text()
    page = write_page(tmp_path / "page.html", scenes, report, Background("seen", viewer=VIEW))
    raw = page.read_text().partition('id="data-viewer">')[2].partition("<")[0]
    viewer = json.loads(raw)
    assert viewer["link"].count(viewer["gap"]) == 1
    assert viewer["places"][0] == [29.5, 20.5, 2.5]  # x, y, z: the flipped one comes first
    state = state_of(viewer["link"].replace(viewer["gap"], "9.5,20.5,2.5"))
    assert state["position"] == [9.5, 20.5, 2.5]
    assert state["dimensions"] == DIMENSIONS


@needs_browser
def test_a_link_to_the_viewer_in_a_browser(tmp_path: Path) -> None:
    scenes, report = scored()
    page = write_page(tmp_path / "page.html", scenes, report, Background("seen", viewer=VIEW))
    script = "return [...document.querySelectorAll('.card a')].map((link) => link.href);"
    links, faults = ask(page, script)
    assert not faults
    assert len(links) == 4
    assert [9.5, 20.5, 2.5] in [state_of(link)["position"] for link in links]


@needs_browser
def test_it_works_before_all_pictures_are_there(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(page_module, "AT_ONCE", 2)
    page = write_page(tmp_path / "page.html", *scored(), Background("late"))
    text = page.read_text(encoding="utf-8")
    # Between the script and the later pictures somebody asks for all cards.
    early = """<script>
const titles = document.querySelectorAll(".card h3 span:first-child");
window.seen = [...titles].map((one) => one.textContent);
document.getElementById("more").click();
window.empty = document.querySelectorAll(".strip:empty").length;
</script>"""
    late = '<script type="application/json" id="picture-2">'
    page.write_text(text.replace(late, early + late, 1), encoding="utf-8")
    (seen, empty, then, images), faults = ask(
        page,
        """return [window.seen, window.empty, document.querySelectorAll(".strip:empty").length,
        document.querySelectorAll(".strip img").length];""",
    )
    assert faults == []
    assert seen == ["sides the wrong way round", "missed"]
    assert (empty, then) == (2, 0)
    assert images == 4 * 3


def test_a_curve_of_one_point_is_a_point():
    assert "fill: #0072b2" in training_chart({"val_loss": ([10], [0.3])}, "loss")
    assert "fill: #0072b2" not in training_chart({"val_loss": ([10, 20], [0.3, 0.2])}, "loss")


def test_ticks_of_sizes_are_plain_numbers_and_counts_are_whole():
    svg = histogram_chart([0.0042, 0.005, 0.0087, 0.013, 0.023, 0.055], label="size", log=True)
    ticks = re.findall(r">([\d.]+)</text>", svg)
    assert {"0.005", "0.01", "0.02", "0.05"} <= {*ticks}
    assert not {"0.5", "1.5"} & {*ticks}
    assert "10^" not in svg
    wide = re.findall(r">([\d.]+)</text>", histogram_chart([1e-4, 0.5], label="size", log=True))
    assert {"0.001", "0.01", "0.1"} <= {*wide}
    assert "0.02" not in wide
