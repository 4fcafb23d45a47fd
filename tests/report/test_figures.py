from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from connectomics.geometry import Box
from connectomics.report import busiest_view, comparison_figure, side_overlay
from connectomics.report.figures import LARGEST_SIDE, POST, PRE


def test_sides_are_drawn_in_their_colours_and_the_rest_stays_grey():
    section = np.tile(np.arange(8, dtype=np.uint8) * 30, (8, 1))
    labels = np.zeros((8, 8), dtype=np.uint16)
    labels[2, 2] = 3  # pre
    labels[5, 5] = 4  # post
    picture = side_overlay(section, labels)
    np.testing.assert_allclose(picture[2, 2], PRE, atol=1e-6)
    np.testing.assert_allclose(picture[5, 5], POST, atol=1e-6)
    grey = picture[labels == 0]
    np.testing.assert_array_equal(grey[:, 0], grey[:, 2])


def test_the_inside_of_an_object_shows_the_em_through():
    labels = np.zeros((9, 9), dtype=np.uint8)
    labels[2:7, 2:7] = 1
    picture = side_overlay(np.zeros((9, 9)), labels, opacity=0.35)
    np.testing.assert_allclose(picture[4, 4], 0.35 * np.array(PRE), atol=1e-6)
    np.testing.assert_allclose(picture[2, 4], PRE, atol=1e-6)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="differ in shape"):
        side_overlay(np.zeros((3, 3)), np.zeros((3, 4), dtype=int))


def test_the_busiest_section_counts_all_labels():
    truth, prediction = np.zeros((2, 2, 4, 4), int)
    truth[0, 0, :3] = 1
    prediction[1, 1] = 1
    assert busiest_view(truth, prediction) == Box((1, 0, 0), (2, 4, 4))
    assert busiest_view(truth) == Box((0, 0, 0), (1, 4, 4))


def test_the_busiest_part_of_a_large_section_is_shown():
    labelled = np.zeros((1, LARGEST_SIDE + 400, 50), dtype=bool)
    labelled[0, 1200:1300, 10:20] = True
    box = busiest_view(labelled)
    assert box.start[1] <= 1200
    assert box.stop[1] >= 1300
    assert box.shape == (1, LARGEST_SIDE, 50)


@pytest.mark.parametrize("names", [["truth", "prediction"], ["prediction"]])
def test_the_picture_is_written_as_png(tmp_path, names):
    section = np.random.default_rng(0).integers(0, 255, (40, 60), dtype=np.uint8)
    labels = np.zeros((40, 60), dtype=np.uint16)
    labels[10:20, 10:30] = 1
    panels = dict.fromkeys(names, labels)
    path = comparison_figure(tmp_path / "a" / "c.png", panels, section, nm_per_pixel=8.0)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width == 600 * (1 + len(names))
    assert [p.name for p in path.parent.iterdir()] == ["c.png"]
