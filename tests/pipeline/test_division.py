"""What is trained on, and what is kept aside."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.data.processing.marks import NO_MARKS
from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.errors import DataError
from connectomics.evaluation import SynapseCount
from connectomics.pipeline.division import divide_volumes
from connectomics.pipeline.inspection import Labels


def labels(name: str, middles: list[int], *, depth: int = 40, span: int = 2) -> Labels:
    volume = MemoryVolume(name, np.zeros((depth, 4, 4), np.uint8))
    low = np.array([[z - span // 2, 0, 0] for z in middles]).reshape(-1, 3)
    sizes = np.full(len(middles), 100)
    return Labels(
        LabelledVolume(name, volume, volume),
        *("polarity", NO_MARKS, SynapseCount(len(middles), 0), sizes, low, low + span, 0),
        *(depth * 16, 10, 10),
    )


def test_sections_are_kept_aside_with_a_gap_as_long_as_a_synapse() -> None:
    division = divide_volumes([labels("em", list(range(0, 40, 2)), span=4)])
    assert division.learned
    assert division.tested
    assert division.tested == (30, 40)
    assert division.learned == (0, 26)
    assert "25% of the synapses have their middle there" in division.why


def test_the_end_that_has_synapses_is_tested() -> None:
    division = divide_volumes([labels("em", [1, 3, 5, 20, 22, 24, 26, 28])])
    assert division.tested
    assert division.tested[0] == 0


def test_names_say_what_is_tested() -> None:
    found = [labels(name, [3, 9]) for name in ("raw_test", "raw_a", "raw_val")]
    division = divide_volumes(found)
    assert (division.train, division.val, division.test) == ((1,), (2,), (0,))


def test_of_several_volumes_the_one_with_a_quarter_is_tested() -> None:
    found = [labels("a", list(range(20))), labels("b", [1, 2]), labels("c", list(range(7)))]
    division = divide_volumes(found)
    assert (division.train, division.test) == ((0, 1), (2,))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([labels("em", [])], "no voxel is labelled"),
        ([labels("em", [2], depth=4)], "4 sections, too few"),
    ],
)
def test_what_cannot_be_divided_is_said(found: list[Labels], message: str) -> None:
    with pytest.raises(DataError, match=message):
        divide_volumes(found)


def test_a_test_volume_without_depth_is_said() -> None:
    found = [labels("a", list(range(20)), span=6), labels("b", [0, 0, 0], depth=1, span=1)]
    division = divide_volumes(found)
    assert division.test == (1,)
    assert "It has 1 section, and large synapses span 6" in division.why
