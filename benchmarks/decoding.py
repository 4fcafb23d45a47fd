"""How fast and how lean the decoder is against plain numpy and cc3d.

    python benchmarks/decoding.py
    python benchmarks/decoding.py --shape 64 512 512 --dtypes uint8

For each dtype and mode it decodes one volume of synapse-like probabilities with both, in one
process, and prints the best seconds of each, their ratio, the time a copy of the input takes,
the memory beyond the input (the result included), and whether the results agree up to the order
of ids. The plain decoder (`baselines/plain_decoder.py`) is written with the fastest whole-volume
functions there are for its steps. Its memory is how much the process grew; the decoder's is that or
what numpy allocated, whichever is more, as pages that nobody wrote to do not count in a process.

The memory depends on what is in the volume: these have 0.6 synapses per cubic micrometre. Pure
noise of which nothing is dropped takes 11 bytes per voxel, 4 of them for the labels.

Runs on Linux with the `dev` extra; the full size needs 8 GiB of memory.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import runpy
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from baselines import plain_decoder

from connectomics.decoding import polarity2instance
from connectomics.process.sections import available_cpus

ORACLE = runpy.run_path(
    str(Path(__file__).parents[1] / "tests" / "decoding" / "decoding_oracle.py")
)
MODES: dict[str, dict[str, Any]] = {
    "default": {},
    "exclusive": {"exclusive": True},
    "semantic": {"semantic": True},
}
DENSITY = 0.6
"""Synapses per cubic micrometre, as in EM-R50."""
VOXEL_UM3 = 30 * 8 * 8 / 1e9


def main() -> None:
    """Measure every dtype and mode asked for, and print a row for each."""
    parser = argparse.ArgumentParser(description="Time the decoder against a plain one.")
    parser.add_argument("--shape", type=int, nargs=3, default=(128, 1024, 1024), metavar="N")
    parser.add_argument("--dtypes", nargs="+", default=["uint8", "float16", "float32"])
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--repeats", type=int, default=3, help="of each; the best counts")
    options = parser.parse_args()
    logging.disable(logging.WARNING)

    print(f"(3, {', '.join(map(str, options.shape))}) on {available_cpus()} CPUs")
    print(
        "dtype    mode        plain s  decoder s  ratio  copy s  plain B/voxel  decoder B/voxel  "
        "agree"
    )
    for dtype in options.dtypes:
        for mode in options.modes:
            volume = as_dtype(synapse_probabilities(tuple(options.shape), mode), np.dtype(dtype))
            print(f"{dtype:8} {mode:10}", measure(volume, MODES[mode], options.repeats), flush=True)


def measure(volume: np.ndarray, settings: dict[str, Any], repeats: int) -> str:
    """Decode with both and say how they compare."""

    def decode() -> np.ndarray:
        return polarity2instance(volume, **settings)

    def decode_plainly() -> np.ndarray:
        return plain_decoder.polarity2instance(volume, **settings)

    polarity2instance(volume[:, :1, :64], **settings)  # compile or load the compiled code
    seconds, grown, labels = best(decode, repeats)
    memory = max(grown, allocated(decode))
    copying = best(volume.copy, repeats)[0]
    plain_seconds, plain_memory, expected = best(decode_plainly, repeats)
    agree = ORACLE["same_synapses"](labels, expected)
    voxels = volume[0].size
    return (
        f"{plain_seconds:9.2f} {seconds:10.3f} {plain_seconds / seconds:6.1f} {copying:7.3f} "
        f"{plain_memory / voxels:14.1f} {memory / voxels:16.2f}  {'yes' if agree else 'NO'}"
    )


def best(call: Callable[[], np.ndarray], repeats: int) -> tuple[float, int, np.ndarray]:
    """Seconds of the fastest call, bytes by which the process grew at most, and a result."""
    seconds, grown, result = [], 0, np.empty(0)
    for _ in range(repeats):
        del result  # else the next call is charged for it
        forget_peak()
        before = peak_bytes()
        begin = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - begin)
        grown = max(grown, peak_bytes() - before)
    return min(seconds), grown, result


def forget_peak() -> None:
    """Give freed memory back, and let the peak be what the process holds now (Linux)."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """The most memory that this process has held since `forget_peak` (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def allocated(call: Callable[[], np.ndarray]) -> int:
    """The most bytes that Python and numpy had allocated at once during a call."""
    tracemalloc.start()
    call()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def synapse_probabilities(
    shape: tuple[int, int, int], mode: str, density: float = DENSITY
) -> np.ndarray:
    """uint8 probabilities (3, Z, Y, X): faint noise, and synapses as a network sees them.

    Sizes and density follow EM-R50 (30 x 8 x 8 nm): two slabs side by side, smooth at their
    borders, with noise on top. Channels are pre, post, union, or for "exclusive" background,
    pre, post.
    """
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 26, (7, *shape[1:]), dtype=np.uint8)
    volume = np.empty((3, *shape), np.uint8)
    for z in range(shape[0]):
        for c in range(3):
            volume[c, z] = noise[(3 * z + c) % 7]
    for box, pre, post in random_synapses(shape, rng, density):
        for c, side in enumerate((pre, post, np.maximum(pre, post))):
            patch = volume[(c, *box)]
            np.maximum(patch, side, out=patch)
    if mode == "exclusive":
        for z in range(shape[0]):
            pre, post, _ = volume[:, z].copy()
            volume[:, z] = 255 - np.maximum(pre, post), pre, post
    return volume


def random_synapses(
    shape: tuple[int, int, int], rng: np.random.Generator, density: float
) -> Iterator[tuple[tuple[slice, ...], np.ndarray, np.ndarray]]:
    """Boxes of the volume with the pre and post probabilities (uint8) of a synapse in them."""
    for _ in range(max(1, round(density * VOXEL_UM3 * np.prod(shape)))):
        reach = np.array([rng.uniform(2, 8), *rng.uniform(18, 45, 2)])
        centre = rng.uniform(0, shape)
        box = tuple(
            slice(max(0, int(c - r)), min(n, int(c + r) + 1))
            for c, r, n in zip(centre, reach, shape, strict=True)
        )
        z, y, x = np.ogrid[box]
        angle = rng.uniform(0, 2 * np.pi)
        along = (y - centre[1]) * np.cos(angle) + (x - centre[2]) * np.sin(angle)
        across = (x - centre[2]) * np.cos(angle) - (y - centre[1]) * np.sin(angle)
        disc = 1 - ((z - centre[0]) / reach[0]) ** 2 - (along / 25) ** 2
        sides = []
        for offset in (-5.5, 5.5):
            evidence = 4 * disc + 1.5 * (5 - np.abs(across - offset))
            evidence += rng.normal(0, 0.7, evidence.shape)
            sides.append((255 / (1 + np.exp(-np.minimum(evidence, 8 * disc)))).astype(np.uint8))
        yield box, sides[0], sides[1]


def as_dtype(volume: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The same probabilities in another type."""
    if dtype == np.uint8:
        return volume
    converted = np.empty(volume.shape, dtype)
    table = (np.arange(256) / 255).astype(dtype)
    for channel, sections in enumerate(volume):
        np.take(table, sections, out=converted[channel], mode="clip")
    return converted


if __name__ == "__main__":
    main()
