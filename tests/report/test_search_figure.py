from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from connectomics.report import search_figure
from connectomics.report.search import _positions


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures as they are saved."""
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))
    )
    return figures


def test_the_search_is_drawn(tmp_path, drawn):
    path = search_figure(
        tmp_path / "search.png",
        [0.5, 0.4, 0.9, 0.7, math.nan],
        {
            "thres": [0.5, 0.2, 0.3, 0.4, 0.9],
            "size": [128, 16, 400, 4000, 64],
            "vote": [True, False, None, True, True],
            "sections": [0, 1, 2, 1, 0],
            "pair": [[0.3, 0.5], None, None, None, None],
        },
        pruned=[False, False, True, False, True],
        log=["size"],
        score="F1_pol",
        title="F1_pol (mean over IoU 0.3, 0.5) on " + ", ".join(f"volume_{n}" for n in range(9)),
    )
    with Image.open(path) as picture:
        assert min(picture.size) > 1000  # large enough to print
    (figure,) = drawn
    history, thres, size, vote, *others = figure.axes
    assert [axis.get_xlabel() for axis in figure.axes] == [
        "trial", "thres", "size", "vote", "sections", "pair",
    ]  # fmt: skip
    assert len(others) == 2
    assert size.get_xscale() == "log"
    assert [label.get_text() for label in vote.get_xticklabels()] == ["false", "null", "true"]
    # The pruned 0.9 is not the best: the line of the best ends at 0.7, and so does the star.
    assert history.lines[0].get_ydata().tolist() == [0.5, 0.5, 0.5, 0.7, 0.7]
    np.testing.assert_allclose(history.collections[-1].get_offsets(), [[3, 0.7]])
    np.testing.assert_allclose(thres.collections[-1].get_offsets(), [[0.4, 0.7]])
    np.testing.assert_allclose(history.collections[-2].get_offsets(), [[0, 0.5]])
    np.testing.assert_allclose(thres.collections[-2].get_offsets(), [[0.5, 0.5]])  # configured
    legend = history.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "best so far", "trial", "cut short", "as configured", "best",
    ]  # fmt: skip
    assert [axis.get_ylabel() for axis in figure.axes] == ["F1_pol", "F1_pol", "", "", "F1_pol", ""]
    figure.canvas.draw()
    title = figure.texts[0].get_window_extent()
    assert title.x0 > 0
    assert title.x1 < figure.bbox.width


@pytest.mark.parametrize(
    ("settings", "shape"), [(1, (1, 2)), (4, (1, 4)), (9, (3, 3)), (5, (2, 3))]
)
def test_as_few_places_stay_empty_as_can_be(tmp_path, drawn, settings, shape):
    names = {f"s{n}": [0.5] for n in range(settings)}
    search_figure(tmp_path / "a.png", [0.0], names, pruned=[False])
    spec = drawn[0].axes[1].get_subplotspec()
    assert spec is not None
    rows, columns = spec.get_gridspec().get_geometry()
    assert (rows - 1, columns) == shape


def test_one_trial_of_one_setting(tmp_path):
    assert search_figure(tmp_path / "a.png", [0.0], {"thres": [0.5]}, pruned=[False]).is_file()


def test_zero_has_no_place_among_orders_of_magnitude(drawn):
    axis = Figure().add_subplot()
    assert _positions(axis, [0.0, 10.0], log=True).tolist() == [0.0, 10.0]
    assert axis.get_xscale() == "linear"


def test_dots_of_one_choice_lie_side_by_side():
    axis = Figure().add_subplot()
    at = _positions(axis, [True] * 5 + [False] * 5, log=False)
    assert len(set(at.round(6))) == 10
    assert (abs(at[:5] - 1) < 0.3).all()
    assert (abs(at[5:]) < 0.3).all()
