"""What holds whole volumes says so beforehand; what does not reads a block at a time."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from main import main

from connectomics.data.io import LazyVolume, read_volume, save_volume
from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.errors import MachineError
from connectomics.pipeline import validating
from connectomics.pipeline.by_block import choosing
from connectomics.pipeline.on_files import decoding
from connectomics.process.fitting import Memory


def machine(total: int) -> Memory:
    return Memory("this machine", 0, total, total)


def test_tuning_says_what_it_holds_and_refuses_what_can_never_fit(monkeypatch, capsys):
    array = np.zeros((4, 100, 100), np.uint16)
    held = [LabelledVolume("v", MemoryVolume("v", array), label=MemoryVolume("l", array))]
    config = cast(Any, SimpleNamespace(data=SimpleNamespace(val=None)))
    config.model = SimpleNamespace(out_channels=3)
    config.inference = SimpleNamespace(save_dtype="float16")
    for total, error in ((0.7e6, ""), (0.4e6, "may run out"), (0.3e6, "refused")):
        monkeypatch.setattr(validating, "memory_of_machine", lambda t=total: machine(int(t)))
        if error == "refused":  # 8 bytes of each voxel are held
            with pytest.raises(MachineError, match=r"tuning takes at least.*\n.*data.val_fraction"):
                validating.require_room_to_tune(held, config)
            continue
        validating.require_room_to_tune(held, config)
        out, err = capsys.readouterr()
        assert out.startswith("tune: the search's memory: ")
        assert error in err


def test_labels_that_memory_cannot_hold_are_refused(tmp_path, monkeypatch, capsys):
    save_volume(tmp_path / "labels.h5", np.ones((4, 50, 50), np.uint16), resolution=(30, 8, 8))
    monkeypatch.setattr(decoding, "memory_of_machine", lambda: machine(19_999))
    given = [f"labels={tmp_path / 'labels.h5'}", f"output={tmp_path / 'out'}", "encoding=polarity"]
    assert main(["--mode", "decode", *given]) == 2
    assert "Cut it, and list the synapses of each part" in capsys.readouterr().err


def test_large_probabilities_that_are_there_are_decoded_by_block(trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    shape = (32, 256, 256)
    rng = np.random.default_rng(0)
    volume = rng.random((3, *shape), np.float32) * 0.3
    for z, y, x in [(2, 10, 20), (14, 120, 126), (20, 200, 60)]:
        volume[::2, z : z + 6, y : y + 12, x : x + 20] += 0.6
        volume[1:, z : z + 6, y + 12 : y + 20, x : x + 20] += 0.6
    (run,) = Path().glob("outputs/tiny/*")
    results = run / "results" / "big"
    save_volume("big.h5", (volume[0] * 200).astype(np.uint8), resolution=(30, 8, 8))
    save_volume(results / "probabilities.h5", volume.astype(np.float16), resolution=(30, 8, 8))
    steps = "decoding.steps=[{name: synapses, kwargs: {min_confidence: 0}}]"
    names = ["data.test.image=big.h5", "data.test.label=null", steps]
    command = ["--config", "my.yaml", "--mode", "decode", "--checkpoint", str(run), *names]
    assert main(command) == 0
    expected = read_volume(results / "labels.h5")
    assert expected.max() == 6
    (results / "labels.h5").unlink()
    # A voxel of a block takes 16 bytes.
    monkeypatch.setattr(choosing, "available_memory", lambda: volume.size)
    sizes, read = [], LazyVolume.read

    def reads(self, box=None):
        sizes.append(None if box is None else box.size)
        return read(self, box)

    monkeypatch.setattr(LazyVolume, "read", reads)
    assert main(command) == 0
    assert max(size or expected.size for size in sizes) < expected.size / 3
    monkeypatch.setattr(LazyVolume, "read", read)
    assert np.array_equal(read_volume(results / "labels.zarr"), expected)
