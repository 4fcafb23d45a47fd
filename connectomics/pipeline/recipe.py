"""Which network and patches suit a machine, a voxel size and the room that volumes have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from connectomics.data.holding_back import SPARED, divide
from connectomics.errors import DataError
from connectomics.geometry import Triple

Machine = Literal["cpu", "small_gpu", "gpu"]
Resolution = tuple[float, float, float]

LARGE_GPU_GIB = 20
PATCHES: dict[Machine, Triple] = {
    "cpu": (16, 96, 96),
    "small_gpu": (18, 192, 192),
    "gpu": (18, 256, 256),
}
"""The patches of the presets, for sections about three times as thick as pixels are wide."""

CUBES: dict[Machine, int] = {"cpu": 64, "small_gpu": 96, "gpu": 112}
"""Edges of patches of about as many voxels, for voxels that are as deep as wide."""

VIEW_NM = 768
"""What a patch on a CPU shows in the plane: a synapse of 100 to 900 nm.

As many voxels in more and smaller patches teach sides sooner.
"""

LEVELS: dict[Machine, int] = {"cpu": 2, "small_gpu": 3, "gpu": 4}
"""How often the networks of the presets pool."""

CUBIC = 1.8
"""Sections less than so many times as thick as pixels are wide: all three axes are pooled."""

STEP, LEAST = 32, 64
CUBE_STEP, LEAST_CUBE = 16, 32
COARSE_NM = 10
"""With wider pixels, a network that works at half the resolution inside loses the cleft."""


@dataclass(frozen=True)
class Recipe:
    """What to train with.

    Attributes:
        machine: The preset.
        why_machine: What was found.
        patch_size: (z, y, x) voxels.
        why_patch: What it follows from.
        val_gap: (z, y, x) voxels to leave out beside what is held back for validation; None for a
            patch.
        window_size: Of the sliding window.
        network: Settings of `model.rsunet` that differ from the preset's.
        why_network: What they follow from.
    """

    machine: Machine
    why_machine: str
    patch_size: Triple
    why_patch: str
    val_gap: Triple | None
    window_size: Triple
    network: dict[str, object]
    why_network: str = ""


def find_machine() -> tuple[Machine, str]:
    """The preset for this machine, and why."""
    import torch

    if not torch.cuda.is_available():
        return "cpu", "no GPU was found"
    gib = max(
        torch.cuda.get_device_properties(number).total_memory / 2**30
        for number in range(torch.cuda.device_count())
    )
    machine: Machine = "gpu" if gib >= LARGE_GPU_GIB else "small_gpu"
    return machine, f"a GPU of {gib:.0f} GiB was found"


def choose_recipe(
    machine: tuple[Machine, str],
    resolution: Resolution,
    shapes: Sequence[Triple],
    *,
    val_fraction: float | None,
    span: Triple,
) -> Recipe:
    """Choose the network and the patches.

    Args:
        machine: From `find_machine`, or as the user says.
        resolution: nm per voxel (z, y, x).
        shapes: Of what is learned from, (Z, Y, X) each.
        val_fraction: How much is held back from each to validate on; None where nothing is.
        span: (z, y, x) voxels of a large synapse.

    Raises:
        DataError: A volume has no room for a patch.
    """
    name, why = machine
    pixel = max(resolution[1:])
    cubic = resolution[0] < CUBIC * pixel
    wanted = _wanted(name, resolution, cubic=cubic)
    patch = _fitting(wanted, shapes, val_fraction)
    view = " x ".join(f"{n * size:,.0f}" for n, size in zip(patch, resolution, strict=True))
    why_patch = f"A patch shows {view} nm"
    if patch != wanted:
        z, y, x = wanted
        why_patch += f"; {z} x {y} x {x} would leave no room to hold back for validation"
    window = patch
    if name == "cpu" and not cubic:
        window = (patch[0], max(320, patch[1]), max(320, patch[2]))
    network, why_network = _network(name, pixel, cubic=cubic)
    gap = None if val_fraction is None else _gap(patch, shapes, val_fraction, span)
    return Recipe(name, why, patch, why_patch, gap, window, network, why_network)


def _wanted(machine: Machine, resolution: Resolution, *, cubic: bool) -> Triple:
    if cubic:
        return CUBES[machine], CUBES[machine], CUBES[machine]
    depth, side, _ = PATCHES[machine]
    if machine != "cpu":
        return depth, side, side
    voxels = depth * side * side
    side = int(min(256, max(96, STEP * round(VIEW_NM / max(resolution[1:]) / STEP))))
    return min(depth, max(8, voxels // side**2)), side, side


def _fitting(wanted: Triple, shapes: Sequence[Triple], val_fraction: float | None) -> Triple:
    """The largest patch, up to the one wanted, that leaves room to hold back a patch and a gap."""
    narrow: Triple | None = None
    for patch in _smaller(wanted, min(shape[0] for shape in shapes)):
        room = [_room(shape, patch, val_fraction) for shape in shapes]
        if all(r == "ample" for r in room):
            return patch
        if narrow is None and all(room):
            narrow = patch
    if narrow is None:
        listed = ", ".join(str(shape) for shape in shapes)
        problem = (
            f"{listed} voxels have no room for a patch of {LEAST} x {LEAST} and one beside it."
        )
        raise DataError("--init", problem, "Name larger volumes.")
    return narrow


def _smaller(wanted: Triple, depth: int) -> Iterator[Triple]:
    """Patches to try, the one wanted first; a cube stays one if it can, as all axes are pooled."""
    if wanted[0] == wanted[1]:
        for edge in range(wanted[0], LEAST_CUBE - 1, -CUBE_STEP):
            yield edge, edge, edge
    deep = min(wanted[0], depth)
    while deep:
        for side in range(wanted[1], min(LEAST, wanted[1]) - 1, -STEP):
            yield deep, side, side
        deep //= 2


def _room(
    shape: Triple, patch: Triple, val_fraction: float | None
) -> Literal["ample", "narrow", ""]:
    if any(n < p for n, p in zip(shape, patch, strict=True)):
        return ""
    if val_fraction is None:
        return "ample"
    try:
        division = divide("", shape, patch, val_fraction)
    except DataError:
        return ""
    return "ample" if division.gap >= patch[division.axis] else "narrow"


def _gap(
    patch: Triple, shapes: Sequence[Triple], val_fraction: float, span: Triple
) -> Triple | None:
    """What a large synapse spans, and no more than can be spared, where a patch is too much."""
    divisions = [divide("", shape, patch, val_fraction) for shape in shapes]
    if all(one.gap == patch[one.axis] and one.gap * SPARED <= one.length for one in divisions):
        return None
    spared = np.min(shapes, axis=0) // SPARED
    z, y, x = np.maximum(1, np.min([span, patch, spared], axis=0)).tolist()
    return z, y, x


def _network(machine: Machine, pixel: float, *, cubic: bool) -> tuple[dict[str, object], str]:
    if cubic:
        pooled = {"down_factors": [[2, 2, 2]] * LEVELS[machine], "depth_2d": 0}
        stem = {"stem": "none"} if machine == "cpu" else {}
        return {**pooled, **stem}, "Voxels are about as deep as wide: all axes alike."
    if machine == "cpu" and pixel > COARSE_NM:
        return {"stem": "none"}, "Pixels are too coarse to work at half the resolution inside."
    return {}, ""
