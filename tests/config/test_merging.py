"""Merging, and taking apart so that merging gives back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connectomics.config.merging import common, difference, merge

leaf = st.none() | st.booleans() | st.integers(0, 3) | st.floats(0, 1) | st.sampled_from(["a", "b"])
value = st.recursive(
    leaf,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
    ),
    max_leaves=8,
)
split = st.dictionaries(st.sampled_from(["image", "label", "phantom", "z_range"]), leaf)
data = st.dictionaries(st.sampled_from(["train", "val", "test", "other"]), split | leaf)
tree = st.fixed_dictionaries(
    {}, optional={"data": data, "a": value, "b": value, "c": value, "d": value}
)


@given(tree, tree)
def test_shared_part_and_rest_merge_to_the_whole(one: dict[str, Any], other: dict[str, Any]):
    shared = common(one, other)
    for whole in (one, other):
        rest = difference(whole, shared)
        assert repr(_sorted(merge(shared, rest))) == repr(_sorted(whole))


def _sorted(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _sorted(tree[key]) for key in sorted(tree)}
    return tree


@given(tree, tree)
def test_merge_changes_neither_and_shares_nothing(base: dict[str, Any], over: dict[str, Any]):
    before = repr((base, over))
    merged = merge(base, over)
    _spoil(merged)
    assert repr((base, over)) == before


def _spoil(tree: Any) -> None:
    for inner in list(tree.values() if isinstance(tree, dict) else tree):
        if isinstance(inner, dict | list):
            _spoil(inner)
    if isinstance(tree, dict):
        tree["spoilt"] = True
    else:
        tree.append("spoilt")


@given(tree)
def test_empty_on_either_side_changes_nothing(one: dict[str, Any]):
    assert merge(one, {}) == merge({}, one) == one
    assert difference(one, common(one, one)) == {}


def test_equal_numbers_of_other_types_are_not_shared():
    assert common({"a": 1, "b": 1, "c": [1]}, {"a": True, "b": 1.0, "c": [1]}) == {"c": [1]}


def test_a_split_that_names_no_volume_is_merged():
    theirs = {"data": {"train": {"image": "a.h5", "z_range": [0, 5]}}}
    merged = merge(theirs, {"data": {"train": {"z_range": [0, 9]}}})
    assert merged == {"data": {"train": {"image": "a.h5", "z_range": [0, 9]}}}


def test_a_phantom_takes_the_place_of_files():
    theirs = {"data": {"train": {"image": "a.h5", "z_range": [0, 5]}}}
    merged = merge(theirs, {"data": {"train": {"phantom": {"seed": 3}}}})
    assert merged == {"data": {"train": {"phantom": {"seed": 3}}}}
