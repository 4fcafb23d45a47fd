"""What each point of the `synapses` decoder is worth, on phantoms with known synapses.

    python benchmarks/ablation.py                 # the ablation
    python benchmarks/ablation.py --part settings # the defaults where they were not designed

No network is run: the probabilities are simulated from the phantom's labels, by rule and seed
(`simulate_network`). They have what makes decoding hard - blur, noise that hangs together, weak
synapses, weak and lost sections, sides mixed up in places, responses to decoys - but a score here
ranks decoders, it does not predict a score on real tissue.

Printed is F1_pol at IoU 0.3 and 0.5, pooled over the phantoms of a column. About five minutes on
one CPU for either part.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from connectomics.data.phantom import Phantom, make_phantom
from connectomics.decoding import BASELINE, decode_synapses
from connectomics.evaluation import PolarityScores, polarity_tables, score_polarity

THRESHOLDS = (0.3, 0.5)


class Scene(NamedTuple):
    """A kind of phantom, and what happens to the network's output on it."""

    phantom: dict[str, Any]
    output: dict[str, float] = {}


STANDARD = {"shape": (32, 384, 384), "synapse_density_um3": 1.2}
SCENES = {
    "separated": Scene(STANDARD),
    "crowded": Scene(STANDARD | {"crowding": 0.85, "synapse_density_um3": 2.0}),
    "damaged": Scene(STANDARD, {"damaged": 0.12}),
    "polyadic": Scene(STANDARD | {"polyadic": 0.7, "synapse_density_um3": 2.0}),
}
MIXED = {"synapse_density_um3": 1.6, "crowding": 0.4}
SETTINGS = {
    "50x16x16 nm": Scene({"shape": (20, 200, 200), "resolution": (50, 16, 16)} | MIXED),
    "40x4x4 nm": Scene({"shape": (40, 512, 512), "resolution": (40, 4, 4)} | MIXED),
    "10x10x10 nm": Scene({"shape": (96, 256, 256), "resolution": (10, 10, 10)} | MIXED),
    "thin labels": Scene(STANDARD | {"label_thickness_nm": (50, 45)}),
    "thick labels": Scene(STANDARD | {"label_thickness_nm": (130, 110)}),
    "underconfident": Scene(STANDARD | MIXED, {"temperature": 0.5}),
    "overconfident": Scene(STANDARD | MIXED, {"temperature": 2.5}),
    "reluctant": Scene(STANDARD | MIXED, {"bias": -1.0}),
    "eager": Scene(STANDARD | MIXED, {"bias": 1.0}),
}

POINTS: dict[str, dict[str, Any]] = {
    "1 hysteresis": {"hysteresis": (0.3, 0.5), "trim": 0.5},
    "2 splitting": {"split_saddle": 0.8},
    "3 voting": {"vote": True, "stray_share": 0.2},
    "4 mending, pairing": {"mend_sections": 1, "pair_nm": 60.0},
    "5 polyadic": {"polyadic": True},
    "7 duplicates": {"duplicate_nm": 250.0},
    "8 confidence": {"min_confidence": 0.3},
    "9 sizes last": {"min_piece_nm3": 0.0, "min_side_nm3": 0.25e6, "min_synapse_nm3": 0.5e6},
}


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description="Measure the points of the synapses decoder.")
    parser.add_argument("--part", choices=("points", "settings"), default="points")
    parser.add_argument("--seeds", type=int, nargs="+", default=[21, 22, 23])
    parser.add_argument("--shape", type=int, nargs=3, help="of every phantom, in voxels")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    scenes = SCENES if options.part == "points" else SETTINGS
    rows = dict(rows_of(options.part))
    columns = {
        name: measure(scene, rows, options.seeds, options.shape) for name, scene in scenes.items()
    }
    if options.part == "settings":  # few decoders, many scenes: lay the table on its side
        columns = {row: {name: columns[name][row] for name in columns} for row in rows}
    print_table(columns)


def rows_of(part: str) -> Iterator[tuple[str, tuple[bool, dict[str, Any]]]]:
    """Name, whether it sees the neurons, and settings of each decoder."""
    yield "baseline", (False, BASELINE)
    if part == "points":
        for name, point in POINTS.items():
            if name == "7 duplicates":
                yield "+ 5 polyadic, neurons", (True, BASELINE | POINTS["5 polyadic"])
            yield f"+ {name}", (name == "7 duplicates", BASELINE | point)
    yield "all", (False, {})
    yield "all, with neurons", (True, {})
    if part == "points":
        for name, point in POINTS.items():
            without = {key: BASELINE[key] for key in point}
            yield f"all but {name}", (name == "7 duplicates", without)


def measure(
    scene: Scene,
    rows: dict[str, tuple[bool, dict[str, Any]]],
    seeds: list[int],
    shape: list[int] | None,
) -> dict[str, list[PolarityScores]]:
    """The scores of every decoder on one scene, pooled over the seeds."""
    found: dict[str, list[PolarityScores]] = {}
    for seed in seeds:
        changed = {"shape": tuple(shape)} if shape else {}
        phantom = phantom_of(seed, **(scene.phantom | changed))
        probabilities = simulate_network(phantom, seed, **scene.output)
        for name, (sees_neurons, settings) in rows.items():
            labels = decode_synapses(
                probabilities,
                resolution=phantom.resolution,
                neurons=phantom.neurons if sees_neurons else None,
                **settings,
            ).labels
            tables = polarity_tables(
                phantom.label,
                labels,
                truth_encoding="polarity",
                prediction_encoding="polarity",
            )
            scores = [score_polarity(tables, threshold) for threshold in THRESHOLDS]
            before = found.get(name)
            found[name] = [a + b for a, b in zip(before, scores, strict=True)] if before else scores
    return found


@cache
def phantom_of(seed: int, **settings: Any) -> Phantom:
    """A phantom; scenes that differ in the network's output share it."""
    return make_phantom(seed=seed, damage=False, **settings)


def simulate_network(
    phantom: Phantom,
    seed: int,
    *,
    damaged: float = 0.0,
    temperature: float = 1.0,
    bias: float = 0.0,
) -> np.ndarray:
    """Draw what a polarity network might say of a phantom.

    Labels are blurred (12 nm) and turned into logits within ±4.6. Then each synapse gets a
    strength (deviation 0.5; one in eight is 2 weaker), each section a weakness (deviation 0.4),
    in 5 % of the volume pre and post are mixed up, decoys answer with one side mainly (peak
    logit -0.3, deviation 1.2), and noise that hangs together over some 40 nm is added, most of
    it common to the channels.

    Args:
        phantom: What to look at.
        seed: Of everything random.
        damaged: Share of sections whose logits fall by 4.
        temperature: Factor on the logits: below 1 the network is underconfident.
        bias: Added to the logits after that.

    Returns:
        (3, Z, Y, X) uint8, p * 255 of pre, post and union.
    """
    rng = np.random.default_rng(seed)
    nm = np.asarray(phantom.resolution)
    label = phantom.label
    sides = (label % 2 == 1, (label > 0) & (label % 2 == 0), label > 0)
    logits = np.stack([_logit(_blurred(side, 12.0 / nm)) for side in sides])
    mixed_up = _field(label.shape, 45.0 / nm, rng) > 1.7
    logits[:2] = np.where(mixed_up, 0.7 * logits[1::-1], logits[:2])
    logits += _strengths(label, 16.0 / nm, rng)
    np.maximum(logits, _decoys(phantom, rng), out=logits)
    weakness = np.abs(rng.normal(0, 0.4, len(label))) + 4.0 * (rng.random(len(label)) < damaged)
    logits -= weakness.astype(np.float32)[:, None, None]
    logits += 0.8 * _field(label.shape, 40.0 / nm, rng)
    for channel in logits:
        channel += 0.5 * _field(label.shape, 28.0 / nm, rng)
        channel += 0.3 * rng.standard_normal(label.shape, dtype=np.float32)
    logits = temperature * logits + bias
    return (255 / (1 + np.exp(-logits)) + 0.5).astype(np.uint8)


def _logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 0.01, 0.99)
    return np.log(p / (1 - p))


def _blurred(mask: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    return gaussian_filter(mask.astype(np.float32), np.maximum(sigma, 0.35))


def _field(shape: tuple[int, ...], sigma: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of deviation 1."""
    noise = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma)
    return noise / noise.std()


def _strengths(label: np.ndarray, sigma: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What is added to the logits of each synapse and around it."""
    count = (int(label.max()) + 1) // 2
    strength = rng.normal(0.3, 0.5, count) - 2.0 * (rng.random(count) < 0.12)
    of_label = np.concatenate([[0], np.repeat(strength, 2)]).astype(np.float32)
    return _blurred(of_label[label], sigma) / (_blurred(label > 0, sigma) + 1e-3)


def _decoys(phantom: Phantom, rng: np.random.Generator) -> np.ndarray:
    """(3, Z, Y, X) logits of the answers to decoys: vesicles look pre, densities post."""
    shape = phantom.label.shape
    logits = np.full((3, *shape), -4.6, np.float32)
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    for decoy in phantom.decoys:
        peak, other = rng.normal(-0.3, 1.2), rng.uniform(0.5, 3.0)
        radii = rng.uniform(60, 130, 3) * (0.7, 1, 1)
        placed = zip(axes, phantom.resolution, decoy.centre_nm, radii, strict=True)
        away = sum(((axis * nm - centre) / radius) ** 2 for axis, nm, centre, radius in placed)
        blob = (peak + 4.6) * np.exp(-(away**2)) - 4.6
        likely, unlikely = (0, 1) if decoy.kind == "vesicles" else (1, 0)
        for channel, lower in ((likely, 0.0), (unlikely, other), (2, 0.0)):
            np.maximum(logits[channel], blob - lower, out=logits[channel])
    return logits


def print_table(columns: dict[str, dict[str, list[PolarityScores]]]) -> None:
    """Print F1_pol at both thresholds as Markdown."""
    rows = list(next(iter(columns.values())))
    head = "F1_pol at IoU .3 / .5"
    width = max(map(len, [*rows, head]))
    print(f"| {head:{width}} | {' | '.join(f'{name:>17}' for name in columns)} |")
    print(f"|{'-' * (width + 2)}|" + f"{'-' * 18}:|" * len(columns))
    for row in rows:
        cells = [" / ".join(f"{s.f1_pol:.2f}" for s in column[row]) for column in columns.values()]
        print(f"| {row:{width}} | {' | '.join(f'{cell:>17}' for cell in cells)} |")


if __name__ == "__main__":
    main()
