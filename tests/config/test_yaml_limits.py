"""YAML that says more than a config can: refused at its line, at once."""

from __future__ import annotations

import time

import pytest

from connectomics.config.yaml_limits import limit_fault


def nested_aliases(levels: int, start: str) -> str:
    """Each line holds the one before twice."""
    lines = [f"a0: &a0 {start}"]
    lines += [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, levels)]
    return "\n".join(lines)


def nested_merges(levels: int) -> str:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a\n  b: *a", "line 2: *a stands within what it stands for, without end."),
        ("a: &a [*a]", "line 1: *a stands within what it stands for, without end."),
        ("a: &a {<<: *a}", "line 1: *a stands within what it stands for, without end."),
        (nested_aliases(30, "[x]"), "line 12: holds more than 10,000 keys and values up to here."),
        (nested_aliases(2000, "{x: 1}"), "line 12: holds more than 10,000"),
        (nested_merges(30), "line 11: holds more than 10,000 keys and values up to here."),
        ("a: " + "[" * 10_000, "line 1: maps and lists lie more than 40 deep in one another."),
        ("a: " + "{a: " * 10_000, "line 1: maps and lists lie more than 40 deep"),
        ("\n".join(" " * i + "a:" for i in range(400)), "line 41: maps and lists lie more than 40"),
        ("".join(f"k{i}: 1\n" for i in range(20_000)), "line 5000: holds more than 10,000"),
        ("a: !!binary aGVsbG8=", "line 1: !!binary is a type that a config does not have."),
        ("a: !!python/object:os.system ls", "line 1: !!python/object:os.system is a type"),
        ("a: !mine {b: 1}", "line 1: !mine is a type that a config does not have."),
        ("a: !!set {b}", "line 1: !!set is a type that a config does not have."),
        ("? [a, b]\n: 1", "line 1: a map or list stands where a key should."),
        ("a: {? {b: 1} : 1}", "line 1: a map or list stands where a key should."),
        ("~: 1", "line 1: a key is empty."),
        ("x" * 101 + ": 1", "line 1: the key xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        ('a: "b\\0c"', "line 1: the text 'b\\x00c' holds a character that cannot be seen, U+0000."),
        ("a:\n\u00a0 b: 1", "line 2: the key '\\xa0 b' holds a character that"),
        ("a: \u201cb\u201d", "line 1: \u201cb\u201d stands in typographic quotes."),
        ("a: 010", "line 1: YAML takes 010 for an octal number.\n  Write 10, or '010' if it is"),
        ("a: 1:3", "line 1: YAML takes 1:3 for a time and makes a number of it.\n  Write '1:3'."),
        ("a: " + "9" * 5000, "line 1: the number 999999999999999999999999999999"),
    ],
)  # fmt: skip
def test_beyond_a_config(text: str, message: str):
    begun = time.perf_counter()
    assert str(limit_fault(text, "my.yaml")).startswith(f"my.yaml: {message}")
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {b: 1}\nc: *a\nd: {<<: *a, e: 2}",
        "a: '0:3'\nb: 0:3\nc: 1_000\nd: 1e-3\ne: '010'\nf: 0\ng: 2001-01-01",
        "description: |\n  two lines\n  with a\ttab, a no-break\u00a0space and \u00abquotes\u00bb",
        "experiment_name: " + "x" * 200,
        "a: !!str 5",
        "a: [1\n",  # no YAML: what reads it says so
    ],
)
def test_what_a_config_may_hold(text: str):
    assert limit_fault(text, "my.yaml") is None
