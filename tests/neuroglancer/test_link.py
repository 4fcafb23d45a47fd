from __future__ import annotations

import pytest

from connectomics.config.schema import ScoringSection
from connectomics.evaluation.build import check_evaluation
from connectomics.neuroglancer.link import VIEWER, link, position_at


@pytest.mark.parametrize(
    ("viewer", "said"),
    [
        ("h.org", "is no address of a viewer"),
        (f"{VIEWER}#!nonsense", "is no view of Neuroglancer"),
        (f"{VIEWER}#![1]", "is no view of Neuroglancer"),
        (link(VIEWER, {"dimensions": {"x": [1, "s"]}}), "is measured in 1 's', not in metres"),
        (link(VIEWER, {"dimensions": {"x": [0, "m"]}}), "is measured in 0 'm'"),
        (link(VIEWER, {"dimensions": 3}), "is no view of Neuroglancer"),
        (link(VIEWER, {"position": [1]}), "is no view of Neuroglancer"),
    ],
)
def test_a_viewer_that_shows_nothing(viewer: str, said: str) -> None:
    (fault,) = check_evaluation(ScoringSection(viewer=viewer))
    assert fault.where == "evaluation.viewer"
    assert said in fault.problem


@pytest.mark.parametrize("viewer", ["", VIEWER, link(VIEWER, {"layers": []})])
def test_a_viewer_in_order(viewer: str) -> None:
    assert check_evaluation(ScoringSection(viewer=viewer)) == []


def test_other_axes_stay_where_they_were() -> None:
    dimensions = {"t": [1, "s"], "z": [3e-8, "m"], "x": [8e-9, "m"], "y": [8e-9, "m"]}
    view = link(VIEWER, {"dimensions": dimensions, "position": [7, 0, 0, 0]})
    assert position_at(view, (60, 16, 8)) == [7, 2.5, 1.5, 2.5]
