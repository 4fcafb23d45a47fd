from __future__ import annotations

import numpy as np
import pytest

from connectomics.decoding import foreground_doubt

SHAPE = (4, 10, 10)
SMALL, LARGE = (30.0, 8.0, 8.0), (1000.0, 200.0, 200.0)
ORDERS = {True: "(background, pre, post)", False: "(pre, post, union)"}


def constant(*p: float, dtype: type = np.float32) -> np.ndarray:
    return np.stack([np.full(SHAPE, one, dtype) for one in p])


@pytest.mark.parametrize(
    ("volume", "exclusive"),
    [
        (constant(0.97, 0.97, 0.97), False),
        (constant(0.5, 0.5, 0.5), False),
        (constant(0, 0, 255, dtype=np.uint8), False),
        (constant(0, 1, 1, dtype=np.float16), False),
        (constant(1 / 3, 1 / 3, 1 / 3), True),
        (constant(0.1, 0.8, 0.1), True),
    ],
)
def test_yes_everywhere_is_told_with_the_order_of_the_channels(volume, exclusive):
    doubt = foreground_doubt(volume, exclusive=exclusive, resolution=SMALL)
    assert doubt is not None
    assert "100% of the volume" in doubt[0]
    assert ORDERS[exclusive] in doubt[1]


def test_one_channel_has_no_order():
    for volume in (constant(0.9), constant(0.9)[0]):
        doubt = foreground_doubt(volume, exclusive=False)
        assert doubt is not None
        assert "order" not in doubt[1]


@pytest.mark.parametrize(
    ("share", "resolution", "told"),
    [
        (0.01, LARGE, False),
        (0.2, LARGE, False),
        (0.21, LARGE, True),
        (0.21, SMALL, False),
        (0.5, SMALL, False),
        (0.51, SMALL, True),
        (0.51, None, True),
        (0.21, None, False),
    ],
)
def test_a_crop_may_be_half_synapse_and_a_volume_a_fifth(share, resolution, told):
    filled = np.zeros(SHAPE, np.float32)
    filled.flat[: round(share * filled.size)] = 0.9
    nothing = np.zeros_like(filled)
    sigmoid, softmax = [filled, nothing, filled], [1 - filled, filled, nothing]
    for channels, exclusive in ((sigmoid, False), (softmax, True)):
        doubt = foreground_doubt(np.stack(channels), exclusive=exclusive, resolution=resolution)
        assert (doubt is not None) == told
