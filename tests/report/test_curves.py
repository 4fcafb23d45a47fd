"""The picture of precision and recall: that it is there and shows what it should."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from connectomics.evaluation import PrecisionRecallCurve
from connectomics.report import precision_recall_figure


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *args: (figures.append(self), save(self, *args))[1]
    )
    return figures


def curve(threshold, confidence, is_tp, n_truth):
    return PrecisionRecallCurve(threshold, np.array(confidence, float), np.array(is_tp), n_truth)


def test_a_line_a_dot_and_a_legend_for_each_threshold(tmp_path, drawn):
    curves = [
        curve(0.3, [0.9, 0.8, 0.5], [True, True, False], 2),
        curve(0.5, [0.9, 0.8, 0.5], [True, False, False], 2),
        curve(0.75, [0.9, 0.8, 0.5], [False, False, False], 2),
    ]
    path = precision_recall_figure(tmp_path / "curve.png", curves, title="polarity, a")
    with Image.open(path) as image:
        assert image.width > 500
    (axes,) = drawn[0].axes
    assert axes.get_title() == "polarity, a"
    (legend,) = [axes.get_legend()]
    assert [text.get_text() for text in legend.get_texts()] == [
        "IoU ≥ 0.3: AP 1.00; best F1 1.00 at confidence ≥ 0.80",
        "IoU ≥ 0.5: AP 0.50; best F1 0.67 at confidence ≥ 0.90",
        "IoU ≥ 0.75: AP 0.00",
    ]
    lines = [line for line in axes.lines if line.get_label().startswith("IoU")]
    assert lines[0].get_xdata().tolist() == [0, 0.5, 1, 1]
    assert lines[0].get_ydata().tolist() == [1, 1, 1, pytest.approx(2 / 3)]


def test_a_curve_of_many_has_as_many_points_as_show(tmp_path, drawn):
    random = np.random.default_rng(0)
    many = curve(0.5, random.random(5000), random.random(5000) < 0.9, 5000)
    precision_recall_figure(tmp_path / "curve.png", [many])
    (line,) = [line for line in drawn[0].axes[0].lines if line.get_label().startswith("IoU")]
    _, precision, recall = many.points()
    assert len(line.get_xdata()) < 1000
    assert (line.get_xdata()[-1], line.get_ydata()[-1]) == (recall[-1], precision[-1])
    between = np.interp(recall, line.get_xdata(), line.get_ydata())
    assert np.abs(between - precision)[recall > 0.02].max() < 0.01


def test_nothing_found_and_nothing_there(tmp_path, drawn):
    empty = curve(0.5, [], np.zeros(0, bool), 0)
    missed = curve(0.5, [0.5], [False], 0)
    precision_recall_figure(tmp_path / "curve.png", [empty, missed])
    labels = [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()]
    assert labels == ["IoU ≥ 0.5: AP -", "IoU ≥ 0.5: AP 0.00"]
