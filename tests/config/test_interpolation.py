"""`${section.key}`."""

from __future__ import annotations

import os

import pytest

from connectomics.config.interpolation import resolve


def test_values_lists_and_sections_are_copied():
    tree = {
        "size": [1, 2],
        "a": "${size}",
        "b": {"c": "${size[1]}", "d": "x${size.0}y"},
        "e": "${b}",
        "list": ["${e.c}"],
    }
    resolved, faults = resolve(tree)
    assert faults == []
    assert resolved == {
        "size": [1, 2],
        "a": [1, 2],
        "b": {"c": 2, "d": "x1y"},
        "e": {"c": 2, "d": "x1y"},
        "list": [2],
    }


def test_nothing_to_do_gives_the_tree_itself():
    tree = {"a": {"b": [1]}}
    assert resolve(tree)[0] is tree


def test_null_is_a_value():
    assert resolve({"a": None, "b": "${a}"})[0] == {"a": None, "b": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${nope.x}", "'${nope.x}' names a key that is not written.\n"
         "  Keys are named from the top: ${data.dataloader.patch_size}."),
        ("${a.b}", "'${a.b}' leads nowhere.\n  Does it lead back to itself?"),
        ("${unfinished", "'${unfinished' is never closed.\n"
         "  Write the value, or name a key: ${section.key}."),
        ("???", "has no value yet.\n  Give it here or as key=value."),
        ("${oc.env:HOME}", "'${oc.env:HOME}' calls a function, which a config cannot do.\n"
         "  Write the value, or name a key: ${section.key}."),
    ],
)  # fmt: skip
def test_faults(text: str, message: str):
    resolved, (fault,) = resolve({"a": {"b": text, "c": 1}, "l": [1]})
    assert str(fault) == f"a.b: {message}"
    assert resolved == {"a": {"c": 1}, "l": [1]}


def test_every_fault_is_found_and_lists_keep_their_length():
    resolved, faults = resolve({"a": ["${x}", 1, "${y}", "${b}"], "b": 2})
    assert [fault.where for fault in faults] == ["a[0]", "a[2]"]
    assert resolved == {"a": [None, 1, None, 2], "b": 2}


@pytest.mark.parametrize(
    "way", ["${b}", "x${b}", "${c}", "${oc.${k}:SECRET}", "${${r}:SECRET}", "${k.${oc.env:SECRET}}"]
)
def test_no_way_round_to_a_function(way: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SECRET", "told")
    tree = {"a": way, "b": "${ oc.env:SECRET}", "c": "${b}", "k": "env", "r": "oc.env"}
    resolved, faults = resolve(tree)
    assert {"a", "b", "c"} == {fault.where for fault in faults}
    assert "told" not in str(resolved) + str(faults)
    assert os.environ["SECRET"] == "told"
