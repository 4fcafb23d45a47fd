from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label as components

from connectomics.data.holding_back import divide, hold_back
from connectomics.data.volumes import LabelledVolume, MemoryVolume
from connectomics.errors import DataError


def numbered(shape: tuple[int, int, int], **parts: MemoryVolume) -> LabelledVolume:
    return LabelledVolume(
        "em", MemoryVolume("em", np.arange(np.prod(shape)).reshape(shape)), **parts
    )


@pytest.mark.parametrize(
    ("shape", "patch", "train", "val"),
    [
        ((100, 64, 64), (8, 32, 32), (77, 64, 64), (15, 64, 64)),  # the last sections
        ((20, 512, 512), (8, 64, 64), (20, 371, 512), (20, 77, 512)),  # fewer rows than sections
        ((8, 60, 200), (8, 32, 32), (8, 60, 136), (8, 60, 32)),  # only columns are left
        ((20, 90, 90), (8, 32, 32), (20, 32, 90), (20, 32, 90)),  # no room for a whole gap
        ((11, 100, 100), (4, 32, 32), (11, 36, 100), (11, 32, 100)),  # room for one in y
    ],
    ids=["z", "y", "x", "a narrow gap", "a gap elsewhere"],
)
def test_what_is_held_back(shape, patch, train, val):
    learn, look = hold_back(numbered(shape), patch, 0.15)
    assert (learn.shape, look.shape) == (train, val)
    assert learn.image.read()[0, 0, 0] == 0
    assert look.image.read()[-1, -1, -1] == np.prod(shape) - 1


@pytest.mark.parametrize(
    ("shape", "patch", "gap", "train", "val"),
    [
        ((48, 160, 160), (16, 128, 128), None, (16, 160, 160), (16, 160, 160)),
        ((48, 160, 160), (16, 128, 128), (3, 9, 9), (29, 160, 160), (16, 160, 160)),
        ((48, 160, 160), (16, 64, 64), (3, 9, 9), (29, 160, 160), (16, 160, 160)),  # z: 29/48
        ((48, 160, 160), (16, 64, 64), (9, 9, 4), (48, 160, 92), (48, 160, 64)),  # x: 92/160
        ((20, 80, 90), (16, 40, 40), (3, 30, 30), (20, 80, 40), (20, 80, 40)),  # only 10 in x
    ],
)
def test_a_gap_that_is_given(shape, patch, gap, train, val):
    learn, look = hold_back(numbered(shape), patch, 0.15, gap)
    assert (learn.shape, look.shape) == (train, val)


def test_a_smaller_gap_leaves_more_synapses_to_learn_from():
    """Twelve layers of two synapses, each in the second and third section of four."""
    label = np.zeros((48, 40, 40), np.uint8)
    for z in range(1, 48, 4):
        label[z : z + 2, 5:9, 5:9], label[z : z + 2, 25:29, 25:29] = 1, 2

    def counted(gap):
        volume = numbered(label.shape, label=MemoryVolume("label", label))
        parts = hold_back(volume, (16, 32, 32), 0.15, gap)
        return [components(part.label.read())[1] for part in parts]

    assert counted(None) == [8, 8]  # 16 sections each, and 16 between them
    assert counted((3, 9, 9)) == [14, 8]  # sections 0-28 and 32-47: none is in both


@given(
    st.tuples(*[st.integers(1, 12)] * 3), st.tuples(*[st.integers(1, 5)] * 3), st.floats(0.01, 0.99)
)
@settings(max_examples=100, deadline=None)
def test_the_parts_hold_a_patch_each_and_keep_a_patch_between_them(shape, patch, fraction):
    shape = tuple(max(pair) for pair in zip(shape, patch, strict=True))
    volume = numbered(shape)
    room = any(
        length - max(p, np.ceil(fraction * length)) >= p
        for length, p in zip(shape, patch, strict=True)
    )
    if not room:
        with pytest.raises(DataError, match="leaves no room"):
            hold_back(volume, patch, fraction)
        return
    learned, held, axis = divide("em", volume.shape, patch, fraction)
    parts = hold_back(volume, patch, fraction)
    assert [part.shape for part in parts] == [learned.shape, held.shape]
    assert all(p <= n for part in parts for p, n in zip(patch, part.shape, strict=True))
    others = [a for a in range(3) if a != axis]
    assert all(learned.shape[a] == held.shape[a] == shape[a] for a in others)
    assert held.stop[axis] == shape[axis]
    between = held.start[axis] - learned.stop[axis]
    assert between == patch[axis] or (0 <= between < patch[axis] == learned.shape[axis])
    sizes = [max(p, int(np.ceil(fraction * n))) for p, n in zip(patch, shape, strict=True)]
    if any(n - held - p >= p for p, n, held in zip(patch, shape, sizes, strict=True)):
        assert between == patch[axis]
