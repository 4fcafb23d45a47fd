"""What the documentation says to type can be typed, and what it points to is there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from main import main

from connectomics.data.augmentation import AUGMENTATIONS
from connectomics.data.io import save_volume
from connectomics.data.processing import TARGETS
from connectomics.decoding import DECODERS
from connectomics.errors import ConfigError
from connectomics.evaluation import METRICS
from connectomics.losses.build import LOSSES
from connectomics.models import NETWORKS
from connectomics.pipeline.components import read_config

sys.path.insert(0, str(Path(__file__).parent / "report"))
from browser import BROWSER, opened

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
OTHERS = [ROOT / "CONTRIBUTING.md", ROOT / "datasets" / "README.md"]
MINE = """\
defaults: [syn_em_r50, _self_]
experiment_name: mine
data:
  train: {image: raw_train.h5, label: syn_train.h5, resolution: [30, 8, 8]}
  test: {image: raw_test.h5, label: syn_test.h5, resolution: [30, 8, 8]}
"""
COMMAND = "python scripts/main.py"


def commands() -> Iterator[tuple[str, str]]:
    """Every command of main.py in a block, on one line, with its page."""
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        for line in text.splitlines():
            if line.strip().startswith(COMMAND) and "..." not in line.replace("outputs/...", ""):
                yield page.name, line.strip().removeprefix(COMMAND).strip()


def code_blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.M | re.S)


@pytest.fixture
def newcomer(tmp_path, monkeypatch):
    """A folder with the files that the pages speak of."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tutorials").symlink_to(ROOT / "tutorials")
    (tmp_path / "my.yaml").write_text(MINE)
    labels = np.zeros((4, 16, 16), np.uint8)
    labels[1:3, 4:8, 4:8], labels[1:3, 8:12, 4:8] = 1, 2
    for name in ("syn", "labels"):
        save_volume(f"{name}.h5", labels, resolution=(30, 8, 8))


@pytest.mark.parametrize(("page", "command"), sorted(set(commands())))
def test_each_command_is_one_that_can_be_typed(page, command, newcomer, capsys):
    words = [word for word in shlex.split(command, comments=True) if word != "[...]"]
    words = [word for word in words if not re.fullmatch(r"\[.*\]|.*=\.\.\.", word)]
    if any(word.isupper() and len(word) > 3 for word in words) or {"--help", "--init"} & {*words}:
        pytest.skip("a pattern, or about files that are not here")
    words = [word for word in words if word not in ("--check", "--plan")]
    if "--checkpoint" in words:  # which nobody has trained here
        place = words.index("--checkpoint")
        del words[place : place + 2]
        words = [word for word in words if word != "decoding=tuned"]
    try:
        status = main([*words, "--print-config"])
    except SystemExit as leaving:
        status = leaving.code
    assert not status, capsys.readouterr().err


def anchors(page: Path) -> set[str]:
    """What headings are called in addresses, by GitHub and MkDocs alike."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {
        re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: page.parent.name + page.name)
def test_what_a_page_points_to_is_there(page):
    text = page.read_text()
    for target, place in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)[^)]*\)", text):
        if re.match(r"https?:", target):
            continue
        there = page.parent / target if target else page
        assert there.exists(), f"{page.name} points to {target}"
        assert not place or place in anchors(there), f"{page.name} points to {target}#{place}"
    for name in re.findall(
        r"`((?:docs|tutorials|scripts|datasets|benchmarks)/[\w/.-]+\.\w+)`", text
    ):
        made = name.startswith("datasets/") and name != "datasets/README.md"
        assert made or (ROOT / name).exists(), f"{page.name} names {name}"


def test_what_is_to_be_installed_is_what_the_project_names():
    """On the package index the name of this project is somebody else's."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    known = {
        ".",
        *(f".[{name}]" for name in extras),
        *(one for all in extras.values() for one in all),
    }
    sources = [*PAGES, *OTHERS, *(ROOT / "connectomics").rglob("*.py")]
    commands = re.findall(
        r"pip install ((?:-e )?[^\n'`]*)", "\n".join(f.read_text() for f in sources)
    )
    assert len(commands) > 8
    for command in commands:
        words = re.findall(r'"([^"]+)"|(?<!\S)(\.)(?!\S)', command)
        assert words, command
        assert {quoted or bare for quoted, bare in words} <= known, command


def test_the_page_of_messages_has_them_as_they_are_said():
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    source = "\n".join(
        file.read_text()
        for file in [*(ROOT / "connectomics").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]
    )
    said = re.sub(r'"\s*\n\s*f?"', "", source)  # texts over several lines
    said = re.sub(r"\{[^{}]*\}", "", said)
    messages = re.findall(r"\*\*`([^`]+)`\*\*", page)
    assert len(messages) > 12
    for message in messages:
        assert message.removeprefix("is of ") in said, message


def test_every_page_is_in_the_navigation():
    named = set(re.findall(r": (\w[\w-]*\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M))
    assert named == {page.name for page in PAGES} - {"README.md"}


def test_what_is_added_as_the_page_says_can_be_named_in_a_config(tmp_path, monkeypatch):
    """Each with its one line, the settings of all six are checked, shown and used."""
    made: dict[str, Any] = {}
    for block in code_blocks("extending.md"):
        exec(compile(block, "extending.md", "exec", dont_inherit=True), made)
    monkeypatch.setitem(DECODERS, "union_components", made["UNION_COMPONENTS"])
    monkeypatch.setitem(TARGETS, "boundary", made["BOUNDARY"])
    monkeypatch.setitem(LOSSES, "PowerLoss", made["POWER_LOSS"])
    monkeypatch.setitem(METRICS, "eroded_overlap", made["ERODED_OVERLAP"])
    monkeypatch.setitem(AUGMENTATIONS, "invert", made["Invert"])
    monkeypatch.setitem(NETWORKS, "plain", made["PLAIN"])
    file = tmp_path / "my.yaml"
    file.write_text(EXTENDED)
    config = read_config(file, mode="test").config
    (activation,) = config.inference.model.channel_activations or ()
    assert activation.activation == "sigmoid"
    with pytest.raises(ConfigError) as caught:
        read_config(file, mode="test", overrides=MISSPELT)
    for meant in ("thres", "power", "sections", "prob", "layers"):
        assert f"Did you mean '{meant}'?" in str(caught.value)


EXTENDED = """
experiment_name: extended
data:
  train: {image: raw.h5, label: syn.h5, mask: mask.h5}
  test: {image: raw.h5, label: syn.h5}
  label_transform: {targets: [binary, binary, boundary]}
  augmentation: {invert: {prob: 0.5}}
model:
  out_channels: 3
  arch: {type: plain}
  plain: {width: 4}
  loss: {losses: [{function: PowerLoss, kwargs: {power: 1.5}}]}
evaluation: {metrics: [{name: eroded_overlap, kwargs: {sections: 2}}]}
tune: {metric: jaccard}
decoding: {steps: [union_components]}
"""
MISSPELT = [
    "model.loss.losses=[{function: PowerLoss, kwargs: {powr: 1}}]",
    "decoding.steps=[{name: union_components, kwargs: {tres: 0.4}}]",
    "evaluation.metrics=[{name: eroded_overlap, kwargs: {section: 1}}]",
    "data.augmentation.invert={prop: 1}",
    "model.plain={layer: 2}",
]


def test_the_examples_of_extensions_work():
    names: dict[str, Any] = {}
    for block in code_blocks("extending.md"):
        exec(compile(block, "extending.md", "exec", dont_inherit=True), names)
    probabilities = np.zeros((3, 4, 16, 16), np.float32)
    probabilities[2, 1:3, 2:14, 2:14] = 0.9
    assert names["union_components"](probabilities).max() == 1
    label = np.zeros((5, 9, 9), np.uint8)
    label[1:4, 2:7, 2:7] = 1
    edge = names["boundary"](label)
    assert edge.shape == (1, 5, 9, 9)
    assert edge.sum() == 3 * 25 - 1 * 9
    assert names["eroded_overlap"](label, label > 0, sections=2).shared == 25
    network = names["PLAIN"].function(1, 3, width=4, layers=2)
    assert network(torch.zeros(1, 1, 3, 5, 7)).shape == (1, 3, 3, 5, 7)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The documentation, built without a warning."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.slow
def test_the_site_holds_settings_titles_and_examples(site):
    settings = (site / "configuration.html").read_text()
    assert "data.dataloader.reject_sampling.size_thres" in settings
    assert "tuning.md says how" not in re.sub("<.*?>", "", (site / "decoding.html").read_text())
    assert "<blockquote>" not in (site / "api.html").read_text()  # what >>> is in Markdown


WIDE = """
    const {scrollWidth, clientWidth} = document.documentElement;
    const broken = [...document.images].filter((one) => !one.naturalWidth);
    return [scrollWidth - clientWidth, broken.map((one) => one.src)];
"""
SEARCH = """
    const field = document.querySelector(".md-search__input");
    field.focus();
    field.value = "side accuracy";
    field.dispatchEvent(new Event("keyup"));
    for (let tried = 0; tried < 200; tried++) {
        const found = [...document.querySelectorAll(".md-search-result__item")];
        if (found.length) return found.map((one) => one.textContent).join();
        await new Promise((done) => setTimeout(done, 100));
    }
"""


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on the PATH")
def test_the_site_opens_from_disk_fits_a_phone_and_can_be_searched(site):
    pages = sorted({*site.glob("*.html")} - {site / "404.html"})  # which a server shows
    with opened(site / "index.html") as tab:
        assert "The scores" in tab.run(SEARCH)
        for page in pages:
            tab.show(page.as_uri(), 390, dark=False)
            assert (page.name, tab.run(WIDE)) == (page.name, [0, []])
        assert tab.faults == []
    assert len(pages) == len(PAGES) - 1  # README.md
