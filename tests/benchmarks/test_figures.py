"""Figures in the docs are drawn from the numbers that are committed, which tables repeat."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

from connectomics.digests import digest

ROOT = Path(__file__).parents[2]
TOOLS = runpy.run_path(str(ROOT / "benchmarks" / "figures.py"))
NUMBERS = json.loads((ROOT / "benchmarks" / "figures.json").read_text("utf-8"))
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text("utf-8")
SCALE = (ROOT / "docs" / "scale.md").read_text("utf-8")


@pytest.mark.parametrize("name", NUMBERS)
def test_a_figure_is_drawn_from_its_numbers_and_shown(name):
    file = TOOLS["NAMES"][name]
    text = (TOOLS["FOLDER"] / file).read_text("utf-8")
    assert f"numbers {digest(NUMBERS[name])}" in text, "run python benchmarks/figures.py"
    assert len(re.findall(rf"\(images/{file}\)", PERFORMANCE + SCALE)) == 1
    assert f"    {NUMBERS[name]['command']}\n" in PERFORMANCE + SCALE


def test_figures_have_axes_with_units_and_all_curves(tmp_path, monkeypatch):
    monkeypatch.setitem(TOOLS["main"].__globals__, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["figures.py"])
    TOOLS["main"]()
    drawn = {name: (tmp_path / file).read_text("utf-8") for name, file in TOOLS["NAMES"].items()}
    by_volume = drawn["decoding by volume"]
    assert "million voxels" in by_volume
    assert "seconds of one processor" in by_volume
    for curve in NUMBERS["decoding by volume"]["seconds"]:
        assert f">{curve}<" in by_volume
    assert "bytes/voxel" in drawn["decoding by synapses"]
    assert "peak resident memory, MiB" in drawn["memory"]
    assert "seconds for 1 GiB" in drawn["workers"]


def pair(of: dict[str, list[float]], decoder: str, place: int, pattern: str) -> str:
    return ", ".join(
        pattern.format(of[f"{decoder}, {how}"][place]) for how in ("whole", "by block")
    )


def test_the_tables_hold_the_same_numbers():
    by_volume, by_synapses = (NUMBERS[f"decoding by {what}"] for what in ("volume", "synapses"))
    decoders = "polarity2instance", "synapses"
    for place, shape in enumerate(by_volume["shape"]):
        cells = [
            " \N{MULTIPLICATION SIGN} ".join(map(str, shape)),
            str(by_volume["synapses"][place]),
        ]
        cells += [pair(by_volume["seconds"], name, place, "{:.2f} s") for name in decoders]
        assert f"| {' | '.join(cells)} |\n" in PERFORMANCE
    for place, density in enumerate(by_synapses["density"]):
        cells = [f"{density} per µm³", str(by_synapses["synapses"][place])]
        for name in decoders:
            cells.append(pair(by_synapses["seconds"], name, place, "{:.2f} s"))
            cells.append(pair(by_synapses["bytes per voxel"], name, place, "{:.3g}"))
        assert f"| {' | '.join(cells)} |\n" in PERFORMANCE
    memory = NUMBERS["memory"]
    for name in ("infer", "decode, polarity2instance", "decode, synapses", "evaluate"):
        small, large = memory[name]
        assert f"| {small:,} MiB | {large:,} MiB |" in SCALE, name
    one, two = NUMBERS["workers"]["passes of decoding"]
    assert f"passes {one} s and {two} s" in SCALE
    # seconds are rounded to whole ones
    assert one / two == pytest.approx(1.79, abs=0.02)
