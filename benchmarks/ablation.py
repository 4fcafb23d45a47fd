"""What each point of the `synapses` decoder is worth, where the true synapses are known.

    python benchmarks/ablation.py                  # the points, on four kinds of phantoms
    python benchmarks/ablation.py --part settings  # the defaults where they were not designed
    python benchmarks/ablation.py --part sizes     # dropping what is small beside labelled synapses

    python benchmarks/ablation.py \
        --probabilities RUN/results/*/probabilities.h5 --truth 'annotated/*.h5::label'

These three run no network: `simulated_network.py` draws its probabilities from the phantom's
labels, by rule and seed. A score there ranks decoders, it does not predict a score on real tissue.
The last takes the probabilities of a network that was run, on volumes that are labelled: yours.

Printed is F1_pol at IoU 0.3 and 0.5, pooled over the phantoms of a column. Five to ten minutes on
one CPU for any part.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from simulated_network import simulate_network

from connectomics.data.io import open_volume, read_volume
from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.decoding import BASELINE, decode_synapses
from connectomics.decoding.sides import drop_one_sided
from connectomics.errors import DataError
from connectomics.evaluation import Pair, PolarityScores, polarity_tables, score_polarity
from connectomics.geometry import VoxelGrid
from connectomics.phantom import Phantom, make_phantom
from connectomics.pipeline.inspection import inspect_labels, small_synapse

THRESHOLDS = (0.3, 0.5)


class Scene(NamedTuple):
    """A kind of phantom, and what happens to the network's output on it.

    Attributes:
        phantom: Arguments of `make_phantom`.
        output: Arguments of `simulate_network`.
        shrunk: By what factor the voxels, and with them the synapses, are smaller than made.
    """

    phantom: dict[str, Any]
    output: dict[str, Any] = {}
    shrunk: float = 1


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
    "underconfident": Scene(STANDARD | MIXED, {"temperature": 0.25}),
    "overconfident": Scene(STANDARD | MIXED, {"temperature": 2.5}),
    "reluctant": Scene(STANDARD | MIXED, {"bias": -3.0}),
    "eager": Scene(STANDARD | MIXED, {"bias": 3.0}),
    "faint: p up to 0.45": Scene(STANDARD | MIXED, {"span": (0.0, 0.45)}),
    "grey: p from 0.3 to 0.7": Scene(STANDARD | MIXED, {"span": (0.3, 0.7)}),
    "half the size, 15x4x4 nm": Scene(STANDARD | MIXED, shrunk=2),
    "nearly flawless": Scene(STANDARD, {"errors": 0.3}),
}

POINTS = {
    "1 hysteresis": ("hysteresis", "trim"),
    "2 splitting": ("split_saddle",),
    "3 voting": ("vote", "stray_share"),
    "4 mending, pairing": ("mend_sections", "pair_nm"),
    "5 polyadic": ("polyadic",),
    "7 duplicates": ("duplicate_nm",),
    "8 confidence": ("min_confidence",),
    "9 sizes last": ("min_piece_nm3", "min_side_nm3", "min_synapse_nm3"),
    "adapting": ("adapt",),
}
DEFAULTS = {name: p.default for name, p in signature(decode_synapses).parameters.items()}


class Decoder(NamedTuple):
    """Settings of `decode_synapses`, and what else it is given or followed by."""

    settings: dict[str, Any]
    sees_neurons: bool = False
    drops_one_sided: bool = False


class Volume(NamedTuple):
    """What a decoder reads, and what it should find.

    Attributes:
        probabilities: (3, Z, Y, X).
        truth: (Z, Y, X) polarity labels.
        resolution: nm per voxel (z, y, x).
        neurons: (Z, Y, X) ids; None where they are not known.
    """

    probabilities: np.ndarray
    truth: np.ndarray
    resolution: tuple[float, float, float]
    neurons: np.ndarray | None = None


def main() -> None:
    """Print one table."""
    options = _options()
    logging.disable(logging.WARNING)
    if options.probabilities:
        decoders = dict(decoders_of("points", neurons=bool(options.neurons)))
        print_table({"your volumes": measure(volumes_of(options), decoders)})
        return
    decoders = dict(decoders_of(options.part))
    scenes = {"points": SCENES, "settings": SETTINGS, "sizes": SCENES | SETTINGS}[options.part]
    columns = {}
    for name, scene in scenes.items():
        if options.part == "sizes":
            decoders = dict(by_size(small_label_nm3(scene, min(options.seeds) - 1)))
        columns[name] = measure(simulated(scene, options.seeds, options.shape), decoders)
    if options.part != "points":  # few decoders, many scenes: lay the table on its side
        columns = {row: {name: columns[name][row] for name in columns} for row in decoders}
    print_table(columns)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the points of the synapses decoder.")
    parser.add_argument("--part", choices=("points", "settings", "sizes"), default="points")
    parser.add_argument("--seeds", type=int, nargs="+", default=[41, 42, 43, 44])
    parser.add_argument("--shape", type=int, nargs=3, help="of every phantom, in voxels")
    files = parser.add_argument_group("on your own volumes, in the same order each")
    files.add_argument("--probabilities", nargs="+", metavar="FILE", help="(3, Z, Y, X)")
    files.add_argument("--truth", nargs="+", metavar="FILE", help="polarity labels")
    files.add_argument("--neurons", nargs="+", metavar="FILE", help="neuron ids, if there are any")
    files.add_argument("--resolution", type=float, nargs=3, help="nm (z y x), if no file says it")
    options = parser.parse_args()
    for name in ("probabilities", "truth", "neurons"):
        setattr(options, name, _expanded(getattr(options, name) or [], parser))
    if len(options.truth) != len(options.probabilities):
        parser.error("give as many files of --truth as of --probabilities")
    if options.neurons and len(options.neurons) != len(options.truth):
        parser.error("give as many files of --neurons as of --truth")
    return options


def _expanded(names: list[str], parser: argparse.ArgumentParser) -> list[str]:
    """The files that fit patterns such as `*.h5::label`, which a shell does not expand."""
    found = []
    for name in names:
        file, *dataset = name.split("::", 1)
        path = Path(file)
        files = [path]
        if "*" in file:
            files = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        if not files:
            parser.error(f"no file fits {file}")
        found += ["::".join([str(path), *dataset]) for path in files]
    return found


def decoders_of(part: str, *, neurons: bool = True) -> Iterator[tuple[str, Decoder]]:
    """Name each decoder of a table; without `neurons` those that need them are left out."""
    large = BASELINE | {"min_piece_nm3": 400 * 30.0 * 8.0 * 8.0}
    yield "baseline", Decoder(BASELINE)
    yield "baseline, 400 voxels, paired", Decoder(large, drops_one_sided=True)
    if part == "points":
        for name, point in POINTS.items():
            on = BASELINE | {key: DEFAULTS[key] for key in point}
            if name != "7 duplicates":
                yield f"+ {name}", Decoder(on)
            elif neurons:
                polyadic = {"polyadic": DEFAULTS["polyadic"]}
                yield "+ 5 polyadic, 6 neurons", Decoder(BASELINE | polyadic, sees_neurons=True)
                yield f"+ {name}, 6 neurons", Decoder(on, sees_neurons=True)
    yield "all", Decoder({})
    if neurons:
        yield "all, with neurons", Decoder({}, sees_neurons=True)
    if part == "points":
        for name, point in POINTS.items():
            off = {key: BASELINE[key] for key in point}
            if name != "7 duplicates":
                yield f"all but {name}", Decoder(off)
            elif neurons:
                yield f"all but {name}, with neurons", Decoder(off, sees_neurons=True)


def small_label_nm3(scene: Scene, seed: int) -> float:
    """The size of a small synapse in the labels of another phantom, as `--init` has it."""
    phantom = phantom_of(seed, **scene.phantom)
    z, y, x = (size / scene.shrunk for size in phantom.resolution)
    volume = MemoryVolume("phantom", phantom.label, VoxelGrid((z, y, x)))
    return small_synapse([inspect_labels(LabelledVolume("", volume, volume))], None, in_nm3=True)


def by_size(small_nm3: float) -> Iterator[tuple[str, Decoder]]:
    """Decoders that drop what has less than a share of a small labelled synapse."""
    yield "all", Decoder({})
    for name, share in (("a third", 1 / 3), ("half", 1 / 2), ("two thirds", 2 / 3)):
        least = max(DEFAULTS["min_synapse_nm3"], share * small_nm3)
        yield f"all, {name} of a small one", Decoder({"min_synapse_nm3": least})


def volumes_of(options: argparse.Namespace) -> Iterator[Volume]:
    """Read the files of the command line, one volume at a time."""
    neurons = options.neurons or [None] * len(options.truth)
    for names in zip(options.probabilities, options.truth, neurons, strict=True):
        print(" and ".join(filter(None, names)), file=sys.stderr)
        with open_volume(names[0], resolution=options.resolution) as volume:
            if volume.resolution is None:
                sys.exit(f"{names[0]} does not say its voxel size: give --resolution Z Y X.")
            neuron = read_volume(names[2]) if names[2] else None
            yield Volume(volume.read(), read_volume(names[1]), volume.resolution, neuron)


def simulated(scene: Scene, seeds: list[int], shape: list[int] | None = None) -> Iterator[Volume]:
    """Make the phantoms of a scene, and draw what a network says of them."""
    changed = {"shape": tuple(shape)} if shape else {}
    for seed in seeds:
        phantom = phantom_of(seed, **(scene.phantom | changed))
        probabilities = simulate_network(phantom, seed, **scene.output)
        z, y, x = (size / scene.shrunk for size in phantom.resolution)
        yield Volume(probabilities, phantom.label, (z, y, x), phantom.neurons)


@cache
def phantom_of(seed: int, **settings: Any) -> Phantom:
    """A phantom; scenes that differ in the network's output share it."""
    return make_phantom(seed=seed, damage=False, **settings)


def measure(
    volumes: Iterable[Volume], decoders: dict[str, Decoder]
) -> dict[str, list[PolarityScores]]:
    """The scores of every decoder at each of `THRESHOLDS`, pooled over some volumes."""
    found: dict[str, list[PolarityScores]] = {}
    for volume in volumes:
        for name, decoder in decoders.items():
            labels = decode_synapses(
                volume.probabilities,
                resolution=volume.resolution,
                neurons=volume.neurons if decoder.sees_neurons else None,
                **decoder.settings,
            ).labels
            if decoder.drops_one_sided:
                labels = drop_one_sided(labels)
            tables = polarity_tables(
                Pair(
                    volume.truth, labels, truth_encoding="polarity", prediction_encoding="polarity"
                )
            )
            scores = [score_polarity(tables, threshold) for threshold in THRESHOLDS]
            before = found.get(name)
            found[name] = [a + b for a, b in zip(before, scores, strict=True)] if before else scores
    return found


def print_table(columns: dict[str, dict[str, list[PolarityScores]]]) -> None:
    """Print F1_pol at both thresholds as Markdown."""
    rows = list(next(iter(columns.values())))
    head = "F1_pol at IoU .3 / .5"
    width = max(map(len, [*rows, head]))
    widths = [max(len(name), 11) for name in columns]
    names = [f"{name:>{n}}" for name, n in zip(columns, widths, strict=True)]
    print(f"| {head:{width}} | {' | '.join(names)} |")
    print(f"|{'-' * (width + 2)}|" + "".join(f"{'-' * (n + 1)}:|" for n in widths))
    for row in rows:
        cells = [
            f"{' / '.join(f'{s.f1_pol:.2f}' for s in column[row]):>{n}}"
            for column, n in zip(columns.values(), widths, strict=True)
        ]
        print(f"| {row:{width}} | {' | '.join(cells)} |")


if __name__ == "__main__":
    try:
        main()
    except DataError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
