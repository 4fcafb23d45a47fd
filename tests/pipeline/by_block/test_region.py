"""A region of a large store is worked on by block as if it were all that there is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from main import main

from connectomics.data.io import open_volume, read_volume, save_volume
from connectomics.geometry import Box, block_boxes

NM = (30, 8, 8)
CHUNKS = (5, 10, 10)
REGION = Box((2, 10, 7), (12, 46, 40))
RANGES = [
    f"data.test.{axis}_range=[{first},{stop}]"
    for axis, first, stop in zip("zyx", REGION.start, REGION.stop, strict=True)
]


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Any:
    """Runs a mode by block, gives what was said; beside the region there is nothing to read."""
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    for name in ("vol", "syn"):
        voxels = read_volume(f"{name}.h5")
        array = zarr.create_array(f"{name}.zarr", data=voxels, chunks=CHUNKS)
        array.attrs.update({"resolution": NM, "offset": (60, 0, 8)})
        save_volume(f"{name}_part.h5", voxels[REGION.slices], resolution=NM)
        damaged = 0
        for box in block_boxes(voxels.shape, CHUNKS):
            if not box.shared_with(REGION).size:
                place = [a // n for a, n in zip(box.start, CHUNKS, strict=True)]
                chunk = Path(f"{name}.zarr", "c", *map(str, place))
                if chunk.exists():  # else it is 0
                    chunk.write_bytes(b"nothing")
                    damaged += 1
        assert damaged > 5
    (folder,) = Path("outputs/tiny").iterdir()

    def of(mode: str, kind: str, *overrides: str) -> str:
        capsys.readouterr()
        files = [f"data.test.image=vol{kind}", f"data.test.label=syn{kind}"]
        given = ["--config", "my.yaml", "--mode", mode, "--checkpoint", str(folder)]
        assert main([*given, "system.block_size=[8,20,16]", *files, *overrides]) == 0
        out, err = capsys.readouterr()
        return out + err

    return of


def test_a_region_gives_what_a_file_of_it_gives(run):
    run("test", "_part.h5")
    (results,) = Path("outputs/tiny").glob("*/results")
    shutil.move(results, "alone")
    run("test", ".zarr", *RANGES)
    for name in ("probabilities.zarr", "labels.zarr"):
        with open_volume(results / "vol" / name) as made:
            assert made.offset_nm == (60 + 2 * 30, 10 * 8, 8 + 7 * 8)
            np.testing.assert_array_equal(made.read(), read_volume(f"alone/vol_part/{name}"))
    assert made.shape == REGION.shape
    scores = [
        json.loads((folder / "scores.json").read_text())["pooled"]["polarity"]
        for folder in (Path("alone"), results)
    ]
    assert scores[0] == scores[1]


def test_what_would_be_done_of_a_region_is_said(run):
    said = run("test", ".zarr", *RANGES, "--plan")
    assert "vol.zarr" in said
    assert "12 blocks" in said  # 2 x 2 x 3, where the whole volume has 18
    said = run("test", ".zarr", *RANGES, "--check")
    assert "vol.zarr, from voxel 2, 10, 7: 10 x 36 x 33 voxels" in said
