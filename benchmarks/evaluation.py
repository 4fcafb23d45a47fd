"""How fast and how lean scoring is against plain numpy and a dense assignment.

    python benchmarks/evaluation.py
    python benchmarks/evaluation.py --shape 32 512 512 --objects 2000
    python benchmarks/evaluation.py --by-block 128x1024x1024 256x2048x2048

Three tables in one run, each with the ratio to the plain way and whether both agree: counting
the voxels that objects share (against `np.unique` of the pairs of labels in the foreground),
matching objects one-to-one (against SciPy's `linear_sum_assignment` on one matrix of all objects by
all objects, as `stardist.matching` does it), and the distances of CREMI clefts (against two
distance transforms, on a tenth of the volume). Both ways of matching start from the same
contingency table. Memory is how much the process grew beyond the input. Runs on Linux; the full
size needs 3 GiB.

With --by-block: two files of each size are evaluated whole and by block, in a process of their own
each, with the seconds, the most memory that the process held, and whether the scores are the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from baselines.plain_scores import count_pairs, dense_matching
from scipy.ndimage import distance_transform_edt

from connectomics.config.schema import EvaluationSection
from connectomics.data.io import open_volume
from connectomics.data.volumes import LabelledVolume
from connectomics.evaluation import (
    contingency_table,
    cremi_clefts,
    evaluate_volumes,
    match_objects,
    polarity_sweep,
)
from connectomics.geometry import VoxelGrid
from connectomics.scoring import labels as label_volumes
from connectomics.scoring.pairs import read_pair

RESOLUTION = (30.0, 8.0, 8.0)

Row = tuple[float, float, float, float, bool]
"""Plain and our seconds, plain and our MiB, agreement."""


def main() -> None:
    """Measure all three and print them."""
    parser = argparse.ArgumentParser(description="Time scoring against plain ways.")
    parser.add_argument("--shape", type=int, nargs=3, default=(128, 1024, 1024), metavar="N")
    parser.add_argument("--synapses", type=int, default=250, help="each has two sides")
    parser.add_argument("--objects", type=int, default=5000, help="of the matching")
    parser.add_argument("--repeats", type=int, default=5, help="of ours; the best counts")
    parser.add_argument("--by-block", nargs="+", metavar="ZxYxX", help="sizes to read by block")
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "BYTES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(score_files(Path(options.one[0]), float(options.one[1]))))
        return
    if options.by_block:
        by_block([tuple(map(int, size.split("x"))) for size in options.by_block])
        return

    small = synapses((8, 64, 64), 3, seed=0)
    polarity_sweep(small, small)  # compiles
    print("what         plain s   ours s  ratio  plain MiB  ours MiB  agree")
    truth = synapses(tuple(options.shape), options.synapses, seed=0)
    prediction = np.roll(truth, (2, 1), (1, 2))
    report("contingency", counting(truth, prediction, options.repeats))
    report("matching", matching(options.objects, options.repeats))
    part = slice(max(len(truth) // 10, 2))
    report("cremi clefts", distances(truth[part], prediction[part], options.repeats))
    seconds, _, sweep = best(lambda: polarity_sweep(truth, prediction), options.repeats)
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in sweep.at(0.5).numbers().items())
    print(f"\nall polarity scores at 11 thresholds: {seconds:.3f} s ({numbers})")


def by_block(shapes: list[tuple[int, ...]]) -> None:
    """Evaluate files of each shape whole and by block, and print both."""
    print("voxels         whole s  by block s  ratio  whole MiB  by block MiB  same", flush=True)
    for shape in shapes:
        with tempfile.TemporaryDirectory() as folder:
            synapse_files(Path(folder), shape)
            whole, blocks = (
                json.loads(
                    subprocess.run(
                        [sys.executable, __file__, "--one", folder, most],
                        check=True,
                        capture_output=True,
                        text=True,
                    ).stdout
                )
                for most in ("inf", "0")
            )
        print(
            f"{'x'.join(map(str, shape)):14} {whole['seconds']:7.1f} {blocks['seconds']:11.1f}"
            f" {blocks['seconds'] / whole['seconds']:6.2f} {whole['mib']:10.0f}"
            f" {blocks['mib']:13.0f}  {'yes' if blocks['scores'] == whole['scores'] else 'NO'}",
            flush=True,
        )


def synapse_files(folder: Path, shape: tuple[int, ...]) -> None:
    """Write `truth.h5` and `found.h5`, with two synapses in each million voxels, slab by slab."""
    depth = 32
    rng = np.random.default_rng(0)
    count = int(2e-6 * depth * shape[1] * shape[2])
    writing = {"chunks": (16, 128, 128), "compression": "gzip", "compression_opts": 1}
    with h5py.File(folder / "truth.h5", "w") as truth, h5py.File(folder / "found.h5", "w") as found:
        files = [f.create_dataset("main", shape, np.uint32, **writing) for f in (truth, found)]
        for n, z in enumerate(range(0, shape[0], depth)):
            slab = synapses((min(depth, shape[0] - z), *shape[1:]), count, seed=n).astype(np.uint32)
            slab[slab > 0] += 2 * n * count
            moved = np.roll(slab, rng.integers(0, 4, 2), (1, 2))
            for file, labels in zip(files, (slab, moved), strict=True):
                file[z : z + depth] = labels


def score_files(folder: Path, most_bytes: float) -> dict[str, Any]:
    """Score the files of a folder; those of more bytes are read by block."""
    label_volumes.IN_MEMORY = most_bytes
    names = ("polarity", "jaccard", "cremi_clefts")
    section = EvaluationSection.model_validate({"metrics": [{"name": name} for name in names]})
    start = time.perf_counter()
    with open_volume(folder / "truth.h5") as truth, open_volume(folder / "found.h5") as found:
        volume = LabelledVolume("v", image=truth.with_grid(VoxelGrid(RESOLUTION)), label=truth)
        pair = read_pair(volume, found, section, encoding="polarity")
        report = evaluate_volumes([pair], section)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "mib": peak_mib(), "scores": report.as_dict()}


def report(name: str, row: Row) -> None:
    """Print one line of the table."""
    plain, ours, plain_mib, ours_mib, agree = row
    print(
        f"{name:12} {plain:7.3f} {ours:8.4f} {plain / ours:6.0f} {plain_mib:10.0f} {ours_mib:9.1f}"
        f"  {'yes' if agree else 'NO'}",
        flush=True,
    )


def synapses(shape: tuple[int, ...], count: int, seed: int) -> np.ndarray:
    """Boxes of two sides of the size that synapses have in EM-R50."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint16)
    size = np.minimum((9, 50, 18), np.array(shape) // 2)
    for n in range(1, count + 1):
        z, y, x = (rng.integers(0, s - d) for s, d in zip(shape, size, strict=True))
        depth, length, width = size
        labels[z : z + depth, y : y + length, x : x + width // 2] = 2 * n - 1
        labels[z : z + depth, y : y + length, x + width // 2 : x + width] = 2 * n
    return labels


def counting(truth: np.ndarray, prediction: np.ndarray, repeats: int) -> Row:
    """The contingency table against `np.unique`."""
    ours, our_memory, table = best(lambda: contingency_table(truth, prediction), repeats)
    seconds, memory, (codes, counts) = best(lambda: count_pairs(truth, prediction), repeats)
    both = np.logical_and(codes >> 16, codes & 0xFFFF)
    pairs = table.truth.ids[table.truth_index] << np.uint64(16)
    pairs |= table.prediction.ids[table.prediction_index]
    agree = np.array_equal(codes[both], pairs) and np.array_equal(counts[both], table.counts)
    return seconds, ours, memory, our_memory, agree


def matching(objects: int, repeats: int) -> Row:
    """One-to-one matching at IoU 0.1 against a dense matrix, on a crowded row of objects.

    Nine in ten overlaps compete with another, far more than in tissue: the hardest case there is.
    """
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(objects), rng.integers(20, 60, objects)) + 1
    prediction = np.sort(rng.integers(1, objects + 1, truth.size))
    table = contingency_table(truth, prediction)
    ours, our_memory, found = best(lambda: match_objects(table, 0.1), repeats)
    seconds, memory, dense = best(lambda: dense_matching(table, 0.1), 1)
    agree = len(found) == dense.size and np.isclose(found.iou.sum(), dense.sum())
    return seconds, ours, memory, our_memory, bool(agree)


def distances(truth: np.ndarray, prediction: np.ndarray, repeats: int) -> Row:
    """CREMI's distances against distance transforms."""

    def plain() -> tuple[float, float]:
        to_truth = np.asarray(distance_transform_edt(truth == 0, sampling=RESOLUTION))
        to_prediction = np.asarray(distance_transform_edt(prediction == 0, sampling=RESOLUTION))
        return float(to_truth[prediction > 0].mean()), float(to_prediction[truth > 0].mean())

    ours, our_memory, clefts = best(
        lambda: cremi_clefts(truth, prediction, resolution=RESOLUTION), repeats
    )
    seconds, memory, means = best(plain, 1)
    return seconds, ours, memory, our_memory, np.allclose(means, (clefts.adgt, clefts.adf))


def best(function: Callable[[], Any], repeats: int) -> tuple[float, float, Any]:
    """Seconds of the fastest run, MiB by which the process grew at most, and the result."""
    seconds = []
    forget_peak()
    before = peak_mib()
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return min(seconds), peak_mib() - before, result


def forget_peak() -> None:
    """Let the peak be what the process holds now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """The most memory this process has held since `forget_peak` (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
