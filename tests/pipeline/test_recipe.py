"""Patches and networks by machine, voxel size and room."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import yaml

from connectomics import config
from connectomics.errors import DataError
from connectomics.pipeline.recipe import LEVELS, PATCHES, Machine, choose_recipe

PRESETS = Path(config.__file__).parent / "presets" / "machine"
MACHINES = get_args(Machine)
ROOMY = [(200, 2000, 2000)]
SPAN = (6, 60, 40)


@pytest.mark.parametrize(
    ("machine", "resolution", "patch"),
    [
        ("cpu", (30, 8, 8), (16, 96, 96)),
        ("cpu", (50, 4.6, 4.6), (8, 160, 160)),
        ("cpu", (40, 4, 4), (8, 192, 192)),
        ("small_gpu", (30, 8, 8), (18, 192, 192)),
        ("gpu", (40, 4, 4), (18, 256, 256)),
        ("cpu", (8, 8, 8), (64, 64, 64)),
    ],
)
def test_patches(machine: Machine, resolution, patch) -> None:
    recipe = choose_recipe((machine, "asked"), resolution, ROOMY, val_fraction=0.15, span=SPAN)
    assert recipe.patch_size == patch


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_known_of_presets_is_theirs(machine: Machine) -> None:
    preset = yaml.safe_load((PRESETS / f"{machine}.yaml").read_text())
    assert preset["data"]["dataloader"]["patch_size"] == list(PATCHES[machine])
    assert len(preset["model"]["rsunet"]["down_factors"]) == LEVELS[machine]


def test_patches_leave_room_to_hold_back() -> None:
    recipe = choose_recipe(("cpu", ""), (30, 8, 8), [(20, 200, 200)], val_fraction=0.15, span=SPAN)
    assert recipe.patch_size == (16, 64, 64)
    assert "16 x 96 x 96 would leave no room" in recipe.why_patch
    alone = choose_recipe(("cpu", ""), (30, 8, 8), [(20, 200, 200)], val_fraction=None, span=SPAN)
    assert alone.patch_size == (16, 96, 96)


@pytest.mark.parametrize(
    ("shapes", "patch", "gap"),
    [
        (ROOMY, (16, 96, 96), None),  # 96 of 2000 rows can be spared
        ([(20, 300, 300)], (16, 96, 96), (3, 50, 40)),  # a sixth of 20 and of 300, and the span
        ([(200, 2000, 2000), (90, 350, 400)], (16, 96, 96), (6, 58, 40)),  # for the smaller one
    ],
)
def test_a_patch_is_left_out_where_it_can_be_spared(shapes, patch, gap) -> None:
    recipe = choose_recipe(("cpu", ""), (30, 8, 8), shapes, val_fraction=0.15, span=SPAN)
    assert (recipe.patch_size, recipe.val_gap) == (patch, gap)
    alone = choose_recipe(("cpu", ""), (30, 8, 8), shapes, val_fraction=None, span=SPAN)
    assert alone.val_gap is None


def test_cubes_stay_cubes() -> None:
    recipe = choose_recipe(
        ("cpu", ""), (10, 10, 10), [(69, 150, 140)], val_fraction=0.15, span=SPAN
    )
    assert recipe.patch_size == recipe.window_size == (48, 48, 48)
    assert "64 x 64 x 64 would leave no room" in recipe.why_patch
    thin = choose_recipe(("cpu", ""), (10, 10, 10), [(24, 300, 300)], val_fraction=0.15, span=SPAN)
    assert thin.patch_size == (24, 64, 64)


def test_networks_follow_from_voxels() -> None:
    cubic = choose_recipe(("gpu", ""), (8, 8, 8), ROOMY, val_fraction=0.15, span=SPAN)
    assert cubic.network == {"down_factors": [[2, 2, 2]] * 4, "depth_2d": 0}
    coarse = choose_recipe(("cpu", ""), (50, 16, 16), ROOMY, val_fraction=0.15, span=SPAN)
    assert coarse.network == {"stem": "none"}
    assert choose_recipe(("cpu", ""), (30, 8, 8), ROOMY, val_fraction=0.15, span=SPAN).network == {}


def test_too_little_room_is_said() -> None:
    with pytest.raises(DataError, match="have no room"):
        choose_recipe(("cpu", ""), (30, 8, 8), [(20, 30, 30)], val_fraction=0.15, span=SPAN)
