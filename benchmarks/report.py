"""How long a browser takes to open a report of many synapses: `python benchmarks/report.py`.

The EM is grain as fine as that of real sections, so that its pictures are as many bytes. The page
is opened in headless Chromium. It can be used once its first cards are shown (`usable`); the
pictures of further ones are read on till its `load` event (`whole`).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.ndimage import gaussian_filter

from connectomics.config.schema import ScoringSection
from connectomics.data.volumes import MemoryVolume
from connectomics.evaluation import EvaluationReport, LabelPair, evaluate_volumes
from connectomics.geometry import VoxelGrid
from connectomics.report import Background, write_page
from connectomics.report.scenes import Scene

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "report"))
from browser import ask  # pyright: ignore[reportMissingImports]

SHAPE = (40, 1000, 1000)
STEP = (9, 28, 28)
ASKED = """
const times = performance.getEntriesByType("navigation")[0];
const [shown] = performance.getEntriesByName("shown");
return [shown.startTime, times.loadEventEnd, document.querySelectorAll(".card").length];
"""


def main() -> None:
    """Write a page, open it at two widths, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--synapses", type=int, default=5000)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        began = time.perf_counter()
        write_page(page, *report(options.synapses), Background("many synapses"))
        written = time.perf_counter() - began
        print(
            f"{options.synapses:,} synapses: {page.stat().st_size / 1e6:.1f} MB in {written:.1f} s"
        )
        for width in (1280, 390):
            opened = []
            for _ in range(options.times):
                (*moments, cards), faults = ask(page, ASKED, width=width)
                assert cards
                assert not faults, faults
                opened.append(moments)
            for name, moments in zip(("usable", "whole"), zip(*opened, strict=True), strict=True):
                shown = ", ".join(f"{moment / 1000:.2f}" for moment in sorted(moments))
                print(f"{width} pixels wide: {name} after {shown} s")


def report(number: int) -> tuple[list[Scene], EvaluationReport]:
    """Synapses on a grid; predictions are a little off, a tenth of them missing."""
    random = np.random.default_rng(0)
    grain = gaussian_filter(random.standard_normal(SHAPE).astype(np.float32), (0, 1, 1))
    image = np.clip(128 + 90 * grain / grain.std() / 2, 0, 255).astype(np.uint8)
    truth, prediction = np.zeros(SHAPE, np.uint16), np.zeros(SHAPE, np.uint16)
    places = np.indices([n // step for n, step in zip(SHAPE, STEP, strict=True)]).reshape(3, -1).T
    for n, (z, y, x) in enumerate(places[:number] * STEP + (2, 6, 6), 1):
        draw(truth, 2 * n - 1, z, y, x)
        if random.random() > 0.1:
            draw(prediction, 2 * n - 1, z, *(random.integers(-3, 4, 2) + np.array([y, x])))
    confidence = dict(enumerate(random.random(number).tolist(), 1))
    pair = LabelPair("em", truth, prediction, "polarity", (30, 8, 8), confidence=confidence)
    scores = evaluate_volumes([pair], ScoringSection.model_validate({"metrics": ["polarity"]}))
    matches = scores.volumes[0].scores["polarity"].at(0.5).matches  # pyright: ignore
    em = MemoryVolume("em", image)
    scene = Scene(
        "em",
        prediction,
        True,
        truth,
        True,
        matches,
        em,
        VoxelGrid((30, 8, 8)),
        confidence=confidence,
    )
    return [scene], scores


def draw(labels: np.ndarray, first: int, z: int, y: int, x: int) -> None:
    """A synapse: two slabs side by side."""
    labels[z : z + 5, y : y + 14, x : x + 5] = first
    labels[z : z + 5, y : y + 14, x + 5 : x + 10] = first + 1


if __name__ == "__main__":
    main()
