from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from connectomics.naming import RESERVED, folder_names, safe_name

NAMES = st.lists(st.sampled_from(["raw", "Raw", "raw_2", "raw_3", "RAW_2", "..", "", "a/b", "a_b"]))


def test_names_that_would_lie_elsewhere_or_on_something_else():
    for name in ("..", ".", "", "/", " ", "a/../b", "C:\\x", "x\0y", ".new_x", "nul", "n" * 300):
        made = safe_name(name)
        assert (Path("here") / made).resolve().parent == Path("here").resolve()
        assert made
        assert not made.startswith(".")
        assert len(made.encode()) < 100
    for name in RESERVED:
        assert safe_name(name.upper()).casefold() not in RESERVED
    assert safe_name("n" * 300) != safe_name("n" * 301)


@given(NAMES, st.sets(st.sampled_from(["raw", "RAW_2", "raw_4"])))
def test_no_two_are_the_same_on_any_disk(names, taken):
    made = folder_names(names, taken)
    folded = [name.casefold() for name in made]
    assert len({*folded} | {name.casefold() for name in taken}) == len(folded) + len(
        {name.casefold() for name in taken}
    )


def test_a_name_of_its_own_is_kept_whatever_stands_before_it():
    assert folder_names(["raw", "raw", "raw_2"]) == ["raw", "raw_3", "raw_2"]
    assert folder_names(["raw_2", "raw", "raw"]) == ["raw_2", "raw", "raw_3"]
