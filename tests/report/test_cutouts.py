"""Pictures of synapses: the right pixels, the right outlines."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from connectomics.data.volumes import MemoryVolume
from connectomics.geometry import Box
from connectomics.report.cutouts import View, cut_out
from connectomics.report.figures import POST, PRE


def decoded(text: str, mode: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert(mode))


def test_sections_side_by_side_and_black_outside():
    image = np.zeros((3, 40, 40), np.uint8)
    image[1, :, :20] = 250
    image[2, :, 20:] = 250
    view = View((1, 2), Box((1, -8, 0), (3, 32, 40)))
    (picture,) = cut_out(MemoryVolume("em", image), [view], [])
    strip = decoded(picture.em, "L")
    assert strip.shape == (40, 80)
    assert picture.sections == (1, 2)
    assert strip[20, [5, 35, 45, 75]].tolist() == [255, 0, 0, 255]
    assert strip[:6].max() < 20


def test_own_outline_is_firm_and_the_neighbours_faint():
    labels = np.zeros((1, 12, 24), np.uint8)
    labels[0, 2:9, 2:6], labels[0, 2:9, 6:10] = 1, 2
    labels[0, 2:9, 14:20] = 3
    view = View((0,), Box((0, 0, 0), (1, 12, 24)))
    image = MemoryVolume("em", np.zeros(labels.shape, np.uint8))
    (picture,) = cut_out(image, [view], [("truth", labels, True, np.array([1]))])
    drawn = decoded(picture.layers["truth"], "RGBA")
    pre, post = (tuple(round(255 * part) for part in colour) for colour in (PRE, POST))
    assert tuple(drawn[2, 2]) == (*pre, 255)
    assert tuple(drawn[2, 9]) == (*post, 255)
    assert drawn[5, 3, 3] == 0  # inside
    assert tuple(drawn[2, 14]) == (*pre, 70)  # another synapse
    assert drawn[0, 0, 3] == 0


def test_a_prediction_is_a_tint_beside_a_truth_and_outlined_alone():
    labels = np.zeros((1, 12, 24), np.uint8)
    labels[0, 2:9, 2:20] = 1
    view = View((0,), Box((0, 0, 0), (1, 12, 24)))
    image = MemoryVolume("em", np.zeros(labels.shape, np.uint8))
    layers = [(name, labels, True, np.array([1])) for name in ("truth", "prediction")]
    (picture,) = cut_out(image, [view], layers)
    row = {name: decoded(text, "RGBA")[5, 1:5, 3] for name, text in picture.layers.items()}
    assert row["truth"].tolist() == [0, 255, 0, 0]
    assert row["prediction"].tolist() == [0, 90, 90, 90]
    (picture,) = cut_out(image, [view], layers[1:])
    assert decoded(picture.layers["prediction"], "RGBA")[5, 1:5, 3].tolist() == [0, 255, 0, 0]


def test_each_section_is_shown_from_black_to_white():
    dark, bright = np.arange(256).reshape(16, 16) // 8, 128 + np.arange(256).reshape(16, 16) // 2
    image = MemoryVolume("em", np.stack([dark, bright]).astype(np.uint8))
    (picture,) = cut_out(image, [View((0, 1), Box((0, 0, 0), (2, 16, 16)))], [])
    shown = decoded(picture.em, "L").astype(int)
    assert np.abs(shown[:, :16] - shown[:, 16:]).mean() < 12  # the same ramp but for WebP
    assert shown[:, 16:].min() < 20


def test_an_image_is_read_slab_by_slab():
    class Stored(MemoryVolume):
        chunks = (4, 16, 16)

        def read(self, box=None):
            seen.append((box.start[0], box.stop[0]))
            return super().read(box)

    seen: list[tuple[int, int]] = []
    image = Stored("em", np.zeros((12, 16, 16), np.uint8))
    views = [View((z,), Box((z, 0, 0), (z + 1, 16, 16))) for z in (1, 3, 9)]
    assert len(cut_out(image, views, [])) == 3
    assert seen == [(1, 4), (9, 10)]
