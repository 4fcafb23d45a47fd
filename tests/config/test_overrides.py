"""`key=value` in Hydra's grammar."""

from __future__ import annotations

import copy
import shlex
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from connectomics.config.dotted import format_path, parse_path
from connectomics.config.overrides import apply_override, parse_overrides
from connectomics.errors import ConfigError


def changed(tree: dict[str, Any], *texts: str) -> dict[str, Any]:
    for assignment in parse_overrides(texts).assignments:
        tree = apply_override(tree, assignment)
    return tree


STEPS = {"decoding": {"steps": [{"name": "a", "kwargs": {"thres": 0.5, "exclusive": False}}]}}


@pytest.mark.parametrize(
    "text",
    [
        "decoding.steps[0].kwargs.thres=0.4",
        "decoding.steps.0.kwargs.thres=0.4",
        "+decoding.steps[0].kwargs.thres=0.4",
        "++decoding.steps.0.kwargs.thres=0.4",
        "decoding.steps[0].kwargs={thres: 0.4}",
    ],
)
def test_an_item_of_a_list(text: str):
    kwargs = {"thres": 0.4, "exclusive": False}
    assert changed(STEPS, text) == {"decoding": {"steps": [{"name": "a", "kwargs": kwargs}]}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1", 1),
        ("a=1e-3", 0.001),
        ("a=true", True),
        ("a=null", None),
        ("a=", ""),
        ("a=[1,[2,3]]", [1, [2, 3]]),
        ("a={x: 1, y: [2]}", {"x": 1, "y": [2]}),
        ("a='b=c, d'", "b=c, d"),
        ("a=../data/vnc stack.h5::raw", "../data/vnc stack.h5::raw"),
        ("a=${b.c}", "${b.c}"),
    ],
)
def test_values(text: str, value: Any):
    assert changed({}, text) == {"a": value}


def test_dicts_merge_and_lists_are_replaced():
    tree = {"a": {"x": 1, "y": [1, 2]}}
    assert changed(tree, "a={y: [3], z: 4}") == {"a": {"x": 1, "y": [3], "z": 4}}


def test_what_is_missing_on_the_way_is_made():
    assert changed({"a": None}, "a.b.c=1") == {"a": {"b": {"c": 1}}}


def test_the_last_one_wins():
    assert changed({}, "a=1", "a=2") == {"a": 2}


def test_taking_out():
    assert changed({"a": 1, "b": {"c": 2, "d": 3}}, "~a", "~b.c=2") == {"b": {"d": 3}}
    assert changed({"a": [1, 2, 3]}, "~a[1]") == {"a": [1, 3]}


def test_appending():
    assert changed({"a": [{"x": 1}]}, "+a[1]={x: 2}") == {"a": [{"x": 1}, {"x": 2}]}


def test_levels_presets_and_values_are_told_apart():
    parsed = parse_overrides(["model/rsunet=small", "train.a.b=1", "data.train.x=3"])
    assert parsed.choices == ("model/rsunet=small",)
    assert [(a.level, a.path) for a in parsed.assignments] == [
        ("train", ("a", "b")),
        ("", ("data", "train", "x")),
    ]


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("trained", "is no override.", "Write key=value, or ~key to take a key out."),
        ("train", "is no override.", "Did you mean --mode train?"),
        ("my.yaml", "is no override.", "Did you mean --config my.yaml? It takes one."),
        ("last.ckpt", "is no override.", "Did you mean --checkpoint last.ckpt?"),
        ("a.b: 3", "is no override.", "Write it with =: a.b=3"),
        ("a=20,000", "asks for several runs.", "Numbers have no commas: a=20000"),
        ("a=8,64,64", "asks for several runs.", "For a list write 'a=[8,64,64]'."),
        ("model/rsunet=demo,small", "asks for several runs.",
         "For a list write 'model/rsunet=[demo,small]'."),
        ("a=0,001", "asks for several runs.", "Write a point: a=0.001. For a list: 'a=[0,001]'"),
        ("a =3", "is not in Hydra's grammar (token recognition error at: ' ').",
         "Write it without spaces around =: a=3"),
        ("a=(1,2)", "is not in Hydra's grammar (extraneous input '(').",
         "A list stands in brackets: 'a=[1,2]'"),
        ("a=b=c", "is not in Hydra's grammar (mismatched input '=' expecting <EOF>).",
         "Put the value in quotes: 'a=\"b=c\"'"),
        ("a==5", "is not in Hydra's grammar (extraneous input '=').", "Write one =: a=5"),
        ("a=x{1}.h5", "is not in Hydra's grammar (mismatched input '{' expecting <EOF>).",
         "Put the value in quotes: 'a=\"x{1}.h5\"'"),
        ("a[-1].b=c", "is not in Hydra's grammar (token recognition error at: '[').",
         "Items count from 0, from the front."),
        ("a b=c", "is not in Hydra's grammar (token recognition error at: ' ').",
         "See https://hydra.cc/docs/advanced/override_grammar/basic."),
        ("a=1,2", "asks for several runs.", "Write a point: a=1.2. For a list: 'a=[1,2]'"),
        ("a=range(1,3)", "asks for several runs.", "For a list write key=[a,b]."),
        ("=3", "names no key.", "Write section.key=value."),
        ("train=3", "names no key.", "Write section.key=value."),
    ],
)  # fmt: skip
def test_faults_of_grammar(text: str, problem: str, remedy: str):
    with pytest.raises(ConfigError) as caught:
        parse_overrides(["x=1", text])
    assert str(caught.value) == f"ConfigError: command line: {text}: {problem}\n  {remedy}"


def test_faults_of_grammar_come_together():
    with pytest.raises(ConfigError) as caught:
        parse_overrides(["train", "a=1", "b=1,2"])
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a[2]=3", "a has 2 items, so there is no [2].\n  Items count from 0; +a[2]=... appends."),
        ("+a[3]=3", "a has 2 items, so there is no [3].\n  Items count from 0; +a[2]=... appends."),
        ("a[0].b=3", "a[0] is 'one' and has no 'b'.\n  Write the item out with its kwargs."),
        ("a.b=3", "a is ['one', 'two'] and has no 'b'."),
        ("b[0]=3", "b is no list that the config writes out.\n  Give all of it: 'b=[...]'."),
        ("c[0]=3", "c is no list that the config writes out.\n  Give all of it: 'c=[...]'."),
        ("b.c=3", "b is 5 and has no 'c'."),
        ("~c", "there is no such key to take out.\n"
         "  The config does not write it; its default holds."),
        ("~c.d", "there is no such key to take out.\n"
         "  The config does not write it; its default holds."),
        ("~b=6", "the value is 5, so it stays."),
    ],
)  # fmt: skip
def test_faults_of_place(text: str, message: str):
    with pytest.raises(ConfigError) as caught:
        changed({"a": ["one", "two"], "b": 5}, text)
    assert str(caught.value) == f"ConfigError: command line: {text}: {message}"


key = st.sampled_from(["alpha", "beta", "gamma"])
tree = st.recursive(
    st.integers() | st.text("abc"),
    lambda inner: st.dictionaries(key, inner, min_size=1, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=8,
).filter(lambda tree: isinstance(tree, dict))


def _paths(tree: Any, path: tuple = ()) -> list[tuple]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    inner = [(k, v) for k, v in items]
    found = [(*path, k) for k, _ in inner]
    for k, v in inner:
        if isinstance(v, dict | list):
            found += _paths(v, (*path, k))
    return found


@given(tree, st.data(), st.integers(-5, 5))
def test_like_omegaconf(tree: dict[str, Any], data: st.DataObject, value: int):
    """Setting what is there gives what OmegaConf.update gives, and changes nothing else."""
    path = data.draw(st.sampled_from(_paths(tree)))
    before = copy.deepcopy(tree)
    expected = OmegaConf.create(copy.deepcopy(tree))
    OmegaConf.update(expected, ".".join(map(str, path)), value, merge=True)
    assert changed(tree, f"{format_path(path)}={value}") == OmegaConf.to_container(expected)
    assert tree == before


@given(tree, st.data())
def test_paths_survive_their_text(tree: dict[str, Any], data: st.DataObject):
    path = data.draw(st.sampled_from(_paths(tree)))
    assert parse_path(format_path(path)) == path


@pytest.mark.parametrize(
    "text", ["decoding=tuned", "model/rsunet=small", "~decoding=tuned", "+tune=mine"]
)
def test_a_section_and_a_name_pick_a_preset(text: str):
    assert parse_overrides([text]).choices == (text,)


@pytest.mark.parametrize(
    "text",
    [
        "decoding={steps: [a]}",
        "~decoding",
        "experiment_name=tuned",
        "decoding.steps=[a]",
        "tune=null",
    ],
)
def test_everything_else_changes_a_value(text: str):
    parsed = parse_overrides([text])
    assert parsed.choices == ()
    assert parsed.assignments[0].text == text


def test_a_long_override_is_not_repeated_in_full():
    with pytest.raises(ConfigError) as caught:
        parse_overrides(['experiment_name="' + "x" * 5000])
    assert "is not in Hydra's grammar" in str(caught.value)
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a." * 50 + "b=1", "names no key."),
        ("a" + "[0]" * 50 + "=1", "names no key."),
        ("a=" + "[" * 5000, "more than 40 deep"),
        ("a=" + "{b:" * 900 + "1" + "}" * 900, "more than 40 deep"),
        ("a=" + "x" * 100_000, "has 100,002 characters"),
        ("a=\udce9", "holds bytes that are not text in UTF-8"),
        ("a=[4,32", "Brackets come in pairs; put all of it in quotes: 'a=[1,2]'"),
        ("a=4,32]", "Brackets come in pairs"),
        ("a=it's", 'Put the value in quotes: "a=\\"it\'s\\""'),
    ],
)
def test_what_hydra_would_read_without_end_or_cannot_say(text, said):
    began = time.perf_counter()
    with pytest.raises(ConfigError) as raised:
        parse_overrides([text])
    assert time.perf_counter() - began < 5
    assert said in str(raised.value)
    assert len(str(raised.value)) < 500


def test_the_remedy_for_a_quote_is_one():
    (text,) = shlex.split('"a=\\"it\'s\\""')
    assert parse_overrides([text]).assignments[0].value == "it's"
