"""Where results lie, what they were made from, and what becomes of those before them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from connectomics.data.io import open_volume, save_volume
from connectomics.results import replacing, state_of

IMAGE = np.zeros((3, 4, 5), np.uint8)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def touch(path: str) -> None:
    """Say that a file was written later, as the clock may be too coarse to."""
    later = Path(path).stat().st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))


def test_the_state_of_a_file():
    save_volume("a.h5", IMAGE)
    before = state_of(open_volume("a.h5"))
    assert state_of(open_volume("a.h5")) == before
    assert state_of(open_volume("a.h5", resolution=(30, 8, 8))) != before
    save_volume("a.h5", IMAGE, offset_nm=(1, 2, 3), overwrite=True)
    touch("a.h5")
    assert state_of(open_volume("a.h5")) != before


@pytest.mark.parametrize("source", ["stack", "stack/*.png"])
def test_the_state_of_a_folder_of_sections(source):
    Path("stack").mkdir()
    for z in range(3):
        Image.fromarray(IMAGE[0]).save(f"stack/{z}.png")
    before = state_of(open_volume(source))
    assert state_of(open_volume(source)) == before
    touch("stack/1.png")
    assert state_of(open_volume(source)) != before


def test_the_state_of_a_zarr_array():
    def write(name: str) -> None:
        group = zarr.open_group("store.zarr", mode="a")
        group.create_array(name, shape=(3, 4, 5), dtype="uint8", chunks=(3, 4, 5), overwrite=True)

    write("one")
    before = state_of(open_volume("store.zarr::one"))
    write("two")
    assert state_of(open_volume("store.zarr::one")) == before
    write("one")
    touch("store.zarr/one/zarr.json")
    assert state_of(open_volume("store.zarr::one")) != before


def test_the_first_of_new_results_takes_its_name_last(monkeypatch):
    """It carries the digest by which the others count as made."""
    names, rename = [], Path.rename

    def noted(path: Path, target: Path) -> Path:
        names.append(Path(target).name)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", noted)
    with replacing(Path("labels.h5"), Path("synapses.csv")) as new:
        for path in new:
            path.touch()
    assert names == ["synapses.csv", "labels.h5"]


def test_a_run_that_is_killed_leaves_what_was_there_and_is_spoken_of(capsys):
    Path("labels.h5").write_text("before")
    code = (
        "from pathlib import Path\n"
        "from connectomics.results import replacing\n"
        "with replacing(Path('labels.h5')) as (new,):\n"
        "    new.write_text('half')\n"
        "    print('writing', flush=True)\n"
        "    input()\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "writing\n"
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert Path("labels.h5").read_text() == "before"
    (left,) = Path().glob(".new_*")
    with replacing(Path("labels.h5")) as (new,):
        new.write_text("after")
    assert Path("labels.h5").read_text() == "after"
    out = capsys.readouterr().out
    assert f"  {left} is what a run that was killed left; if none is going on, delete it" in out
    assert [path.read_text() for path in Path("earlier").glob("*/labels.h5")] == ["before"]
