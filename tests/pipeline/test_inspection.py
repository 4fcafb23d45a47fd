"""What labels hold, counted by hand, and by the scores in the same words."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from main import main

from connectomics.data.io import save_volume
from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.evaluation import volumes
from connectomics.geometry import VoxelGrid
from connectomics.pipeline import inspection
from connectomics.pipeline.inspection import count_in, inspect_labels, small_synapse


def blocks(numbers=3, depth=4):
    """Synapses of two sides, one above the other, from the first section to the last but one."""
    label = np.zeros((depth, 24, 24), np.uint8)
    for n in range(numbers):
        y = 1 + 8 * n
        label[1:-1, y : y + 3, 1:5], label[1:-1, y : y + 3, 5:9] = 2 * n + 1, 2 * n + 2
    return label


def volume_of(label):
    return LabelledVolume("em", MemoryVolume("em", label), MemoryVolume("syn", label))


def test_small_pieces_count_but_do_not_say_how_large_a_synapse_is() -> None:
    label = blocks()
    assert (
        str(inspect_labels(volume_of(label)).count) == "3 synapses, none of them cut by the border"
    )
    label[0, 0, 20], label[0, 0, 21] = 7, 8
    found = inspect_labels(volume_of(label))
    assert str(found.count) == "4 synapses, 1 of them cut by the border"
    assert found.specks == 1
    assert found.sizes.tolist() == [48, 48, 48]


def test_a_part_is_counted_as_it_would_be_scored() -> None:
    label = blocks(depth=10)
    label[:5, :8] = 0  # the first begins in section 5
    whole = inspect_labels(volume_of(label))
    assert str(count_in(whole, (0, 4))) == "2 synapses, all of them cut by the border"
    assert str(count_in(whole, (4, 10))) == "3 synapses, 2 of them cut by the border"


def test_the_size_of_a_small_synapse_is_of_those_that_count() -> None:
    label = blocks(depth=10)  # three of 8 sections, of 24 voxels in each
    label[5:, 8:16] = 0  # the second has 4, with their middle in section 3
    em = MemoryVolume("em", label, VoxelGrid((30, 8, 8)))
    found = inspect_labels(LabelledVolume("em", em, MemoryVolume("syn", label)))
    assert small_synapse([found], (0, 4), in_nm3=False) == 96
    assert small_synapse([found], (4, 10), in_nm3=False) == 192
    assert small_synapse([found], None, in_nm3=False) == pytest.approx(105.6)  # 5 % of the way
    assert small_synapse([found, found], (4, 10), in_nm3=True) == 192 * 30 * 8 * 8
    assert small_synapse([found], (8, 10), in_nm3=True) == 0


@pytest.mark.parametrize("stored", ["polarity", "semantic", "binary", "instance"])
def test_scores_count_the_same(tmp_path, capsys, stored) -> None:
    label = blocks()
    label[0, 0, 20:22] = 7, 8
    label[1, 10, 20] = 5  # far from the others of its number: still one synapse
    numbers = (label + 1) // 2
    kept = {
        "polarity": label,
        "semantic": np.where(label > 0, 2 - label % 2, 0),
        "binary": label > 0,
        "instance": numbers,
    }[stored].astype(np.uint8)
    counted = str(inspect_labels(volume_of(kept), stored).count)
    alone = {"polarity": 4, "semantic": 5, "binary": 5, "instance": 4}[stored]
    assert counted == f"{alone} synapses, 1 of them cut by the border"
    save_volume(tmp_path / "a.h5", kept)
    files = [f"{name}={tmp_path / 'a.h5'}" for name in ("truth", "prediction")]
    known = [f"truth_encoding={stored}", f"prediction_encoding={stored}"]
    given = ["--mode", "evaluate", *files, *known, f"output={tmp_path / 'scores'}"]
    assert main(given) == 0
    assert f"truth holds {counted}\n" in capsys.readouterr().out
    assert f"The truth holds {counted}." in (tmp_path / "scores" / "report.html").read_text("utf-8")


@pytest.mark.parametrize("stored", ["semantic", "binary"])
def test_large_labels_are_grouped_block_by_block_with_the_same_count(monkeypatch, stored) -> None:
    label = np.zeros((64, 288, 288), np.uint8)
    label[:, :96, :96] = np.tile(blocks(depth=64), (1, 4, 4))
    label[20, 40:60, 40:60] = 0
    kept = np.where(label > 0, 2 - label % 2 if stored == "semantic" else 1, 0).astype(np.uint8)
    labels = inspect_labels(volume_of(kept), stored)
    at_once, peak_at_once = _counted(labels)
    monkeypatch.setattr(inspection, "COUNTED_AT_ONCE", 2**16)
    monkeypatch.setattr(volumes, "BLOCK_VOXELS", 2**19)
    by_block, peak = _counted(labels)
    assert by_block == at_once == labels.count
    assert by_block.number == 51  # 48, three of them cut in two
    assert peak < 2 * kept.size < 4 * kept.size < peak_at_once


def _counted(labels):
    """The synapses of all sections, and how many bytes counting them took at most."""
    tracemalloc.start()
    try:
        return count_in(labels, (0, labels.volume.shape[0])), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
