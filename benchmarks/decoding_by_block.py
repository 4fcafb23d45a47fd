"""What decoding by block costs beside decoding the whole, in time and in memory.

    python benchmarks/decoding_by_block.py
    python benchmarks/decoding_by_block.py --shape 64 512 512 --block 32 128 128

The volume is that of `benchmarks/decoding.py`: synapses as a network sees them, 0.6 per cubic
micrometre unless `--density` says otherwise. For each decoder and dtype it decodes the volume
whole, then block by block in the same process, parts as .npz files in a temporary folder, and
prints the processor seconds of each, their ratio, the memory beyond the probabilities (the labels,
of the whole volume, included), the bytes of the parts on disk, those of the state between passes
for each synapse, and whether labels and tables are the same to the last bit. `--kept` prints
instead what is left for decoding where probabilities are not kept
(`inference.save_probabilities: false`): the share of voxels, and bytes per voxel as Zarr beside
those of all of them. `--levels` prints what coarser levels of probabilities and labels cost where
these are written: processor seconds and bytes, with them and without.

Runs on Linux with the `dev` extra.
"""

from __future__ import annotations

import argparse
import logging
import runpy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from connectomics.blocks import BlockGrid
from connectomics.data.io.sharded import create_sharded
from connectomics.decoding import Decoded, blockwise, decode
from connectomics.decoding.blockwise import Part, State, label_dtype, passes, tables_of
from connectomics.geometry import Box, VoxelGrid

TOOLS = runpy.run_path(str(Path(__file__).with_name("decoding.py")))
DECODERS = ("polarity2instance", "synapses")
NM = (30.0, 8.0, 8.0)


def main() -> None:
    """Measure every decoder and dtype asked for, and print a row for each."""
    parser = argparse.ArgumentParser(description="Time decoding by block against the whole.")
    parser.add_argument("--shape", type=int, nargs=3, default=(64, 1024, 1024), metavar="N")
    parser.add_argument("--block", type=int, nargs=3, default=(32, 256, 256), metavar="N")
    parser.add_argument("--density", type=float, default=TOOLS["DENSITY"], help="synapses per µm³")
    parser.add_argument("--dtypes", nargs="+", default=["uint8", "float16"])
    parser.add_argument("--decoders", nargs="+", default=list(DECODERS), choices=DECODERS)
    parser.add_argument("--repeats", type=int, default=2, help="of each; the best counts")
    parser.add_argument("--kept", action="store_true", help="measure what is put aside")
    parser.add_argument("--levels", action="store_true", help="measure coarser levels")
    options = parser.parse_args()
    logging.disable(logging.WARNING)

    print(f"(3, {', '.join(map(str, options.shape))}) in blocks of {tuple(options.block)}")
    print(
        "decoder            dtype    whole s  blocks s  ratio  whole B/voxel  blocks B/voxel  "
        "parts B/voxel  state B/synapse  same"
    )
    probabilities = TOOLS["synapse_probabilities"](tuple(options.shape), "default", options.density)
    for decoder in options.decoders:
        for dtype in options.dtypes:
            volume = TOOLS["as_dtype"](probabilities, np.dtype(dtype))
            if options.levels:
                print(f"{decoder:18} {dtype:8}", coarser_levels(volume, decoder, options.block))
                continue
            if options.kept:
                print(f"{decoder:18} {dtype:8}", put_aside(volume, decoder, options.block))
                continue
            row = measure(volume, decoder, options.block, options.repeats)
            print(f"{decoder:18} {dtype:8}", row, flush=True)


def measure(volume: np.ndarray, decoder: str, block: list[int], repeats: int) -> str:
    """Decode whole and by block, and say how they compare."""
    steps: list[Any] = [SimpleNamespace(name=decoder, kwargs={})]
    sizes: list[int] = []
    states: list[int] = []

    def whole() -> Decoded:
        return decode(volume, steps, grid=VoxelGrid(NM))

    def by_block() -> Decoded:
        with tempfile.TemporaryDirectory() as folder:
            found, state = decode_on_disk(volume, steps, block, Path(folder))
            states.append(state)
            sizes.append(sum(file.stat().st_size for file in Path(folder).iterdir()))
        return found

    whole()  # compile or load the compiled code
    by_block()
    whole_s, whole_bytes, expected = best(whole, repeats)
    block_s, block_bytes, found = best(by_block, repeats)
    same = np.array_equal(found.labels, expected.labels) and expected.table.equals(found.table)
    voxels = volume[0].size
    return (
        f"{whole_s:8.2f} {block_s:9.2f} {block_s / whole_s:6.2f} {whole_bytes / voxels:14.2f} "
        f"{block_bytes / voxels:15.2f} {sizes[-1] / voxels:14.2f} "
        f"{states[-1] / len(expected.table):16.0f}  {'yes' if same else 'NO'}"
    )


def put_aside(volume: np.ndarray, decoder: str, size: list[int]) -> str:
    """The voxels that are left of probabilities that are not kept, and their bytes on disk."""
    shape, block = volume.shape[1:], (size[0], size[1], size[2])
    needed = blockwise.needed([SimpleNamespace(name=decoder, kwargs={})], shape, NM)  # pyright: ignore
    written, left = [0, 0], 0
    with tempfile.TemporaryDirectory() as name:
        names = ("all", "left")
        stores = [
            create_sharded(Path(name) / f"{one}.zarr", volume.shape, volume.dtype, block)
            for one in names
        ]
        for one in BlockGrid(shape, block):  # pyright: ignore
            values = volume[(..., *one.box.slices)].copy()
            written[0] += stores[0].write(one.box, values).stat().st_size
            left += needed.clear_by_itself(values, one.box)
            written[1] += stores[1].write(one.box, values).stat().st_size
    voxels = volume[0].size
    return (
        f"{left / voxels:.1%} left, {written[1] / voxels:.2f} of {written[0] / voxels:.2f} B/voxel"
    )


def coarser_levels(volume: np.ndarray, decoder: str, block: list[int]) -> str:
    """Processor seconds and bytes of decoding, and of writing with coarser levels and without."""
    steps: list[Any] = [SimpleNamespace(name=decoder, kwargs={})]
    with tempfile.TemporaryDirectory() as folder:
        decode_on_disk(volume, steps, block, Path(folder))  # compile or load the compiled code
        began = time.process_time()
        labels = decode_on_disk(volume, steps, block, Path(folder))[0].labels
    said = f"decoding {time.process_time() - began:.2f} s"
    for name, values, rule in (("probabilities", volume, "mean"), ("labels", labels, "mode")):
        written = [_written(values, block, one) for one in ("", rule, "", rule)]
        seconds, sizes = zip(*written, strict=True)
        alone, levels = min(seconds[::2]), min(seconds[1::2])
        more = sizes[1] / sizes[0] - 1
        said += f"; {name} {alone:.2f} s, with levels {levels:.2f} s and {more:.0%} more bytes"
    return said


def _written(values: np.ndarray, size: list[int], rule: str) -> tuple[float, int]:
    """Write a volume by block; gives the processor seconds, and the bytes on disk."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.zarr"
        block, grid = (size[0], size[1], size[2]), VoxelGrid(NM)
        store = create_sharded(path, values.shape, values.dtype, block, grid=grid, rule=rule)
        began = time.process_time()
        for one in BlockGrid(values.shape[-3:], block):  # pyright: ignore
            store.write(one.box, values[(..., *one.box.slices)])
        seconds = time.process_time() - began
        return seconds, sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def best(call: Callable[[], Decoded], repeats: int) -> tuple[float, int, Any]:
    """Processor seconds of the best call, bytes by which the process grew at most, and a result."""
    seconds, grown, result = [], 0, None
    for _ in range(repeats):
        del result  # else the next call is charged for it
        TOOLS["forget_peak"]()
        before, begin = TOOLS["peak_bytes"](), time.process_time()
        result = call()
        seconds.append(time.process_time() - begin)
        grown = max(grown, TOOLS["peak_bytes"]() - before)
    return min(seconds), grown, result


def decode_on_disk(
    volume: np.ndarray, steps: list[Any], block: list[int], folder: Path
) -> tuple[Decoded, int]:
    """Decode by block in this process, with parts in a folder.

    Returns:
        What is found, and the bytes of the largest state between two passes.
    """

    def read(box: Box) -> np.ndarray:
        return volume[(slice(None), *box.slices)]

    def parts(step: str, task: str) -> Part:
        return np.load(folder / f"{step}.{task}.npz")

    plan = passes(steps, shape=volume.shape[1:], block_size=block, grid=VoxelGrid(NM))
    state: State = {}
    largest = 0
    for step in plan[:-1]:
        done = []
        for task in step.tasks(state):
            arrays: dict[str, Any] = dict(step.run(task, read, parts))
            np.savez(folder / f"{step.name}.{task.name}.npz", **arrays)
            done.append(task)
        state = step.combine(state, ((task, parts(step.name, task.name)) for task in done))
        largest = max(largest, sum(array.nbytes for array in state.values()))
    labels = np.zeros(volume.shape[1:], label_dtype(state))
    for task in plan[-1].tasks(state):
        assert task.box is not None
        labels[task.box.slices] = plan[-1].run(task, read, parts)["labels"]
    return Decoded(labels, *tables_of(state)), largest


if __name__ == "__main__":
    main()
