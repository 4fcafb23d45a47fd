"""What a setting may be is said in its type, and holds everywhere."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pytest

from connectomics.config.signatures import check_kwargs, settings_schema
from connectomics.errors import ConfigError
from connectomics.legal import Legal, illegal_settings, number, require_legal

EVEN = Legal(lambda value: value % 2 == 0, "even", "Give 2 or 4.")


def cut(
    volume: np.ndarray,
    share: Annotated[float, number(0, 1)] = 0.5,
    edge: Annotated[int, EVEN] = 2,
    most: Annotated[int, number(1, float("inf"), whole=True)] = 9,
    name: str = "",
) -> None: ...


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("share", 1.5, "f.share: 1.5 is not a number from 0 to 1."),
        ("share", np.float32(-1), "-1.0"),
        ("share", True, "True is not"),
        ("edge", 3, "f.edge: 3 is not even.\n  Give 2 or 4."),
        ("most", 1.5, "f.most: 1.5 is not a whole number from 1 up."),
    ],
)
def test_what_is_not_legal_is_said(name, value, problem):
    (fault,) = illegal_settings(cut, {name: value}, "f")
    assert problem in str(fault)


@pytest.mark.parametrize("settings", [{"share": np.float64(1)}, {"edge": 4}, {"name": 3}, {"x": 0}])
def test_what_is_legal_or_has_no_rule_passes(settings):
    assert illegal_settings(cut, settings, "f") == []


def test_a_call_names_all_faults():
    with pytest.raises(ConfigError) as caught:
        require_legal(cut, share=2, edge=1)
    assert [fault.where for fault in caught.value.faults] == ["cut.share", "cut.edge"]


def test_the_schema_shows_the_ends_of_a_range():
    properties = settings_schema(cut, skip=("volume",))["properties"]
    assert (properties["share"]["minimum"], properties["share"]["maximum"]) == (0, 1)
    assert properties["most"]["minimum"] == 1
    assert "maximum" not in properties["most"]
    assert properties["edge"] == {"type": "integer", "default": 2}


def test_types_are_checked_as_if_there_was_no_rule():
    (fault,) = check_kwargs("kwargs", cut, {"share": "much"}, skip=("volume",))
    assert fault.where == "kwargs.share"
