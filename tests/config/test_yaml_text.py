"""YAML that is wrong, and YAML that reads back equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from connectomics.config.yaml_text import read_yaml, write_yaml
from connectomics.errors import ConfigError

text = st.text(max_size=6) | st.sampled_from(["1e-3", "0-1", "yes", "null", "1:30", "~", "", "0x1"])
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text
tree = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        plain,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    min_size=1,
)


@given(tree)
@example({"a": "\x85", "b": ["x\u2028y", {"x": "\u2029 z\n"}]})
def test_what_is_written_reads_back_equal(content: dict[str, Any]):
    assert yaml.safe_load(write_yaml(content)) == content


@pytest.mark.parametrize("value", ["1e-3", "1e5", "1.5e3", "0-1", "1_000", "on", "12:30:45", "nan"])
def test_text_that_looks_like_a_number_stays_text_for_hydra(value: str):
    assert OmegaConf.create(write_yaml({"key": value})).key == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1\nb:\n\t- c\n", "line 3: found character '\\t' that cannot start any token.\n  - c\n"
         "  Indent with spaces; YAML allows no tabs."),
        ("model:\n  a: 1\nmodel:\n  b: 2\n", "line 3: found duplicate key model.\n  model:\n"
         "  Keep one of the two."),
        ("a: b: c\n", "line 1: mapping values are not allowed here.\n  a: b: c\n"
         "  Check the indentation, and put text that holds ': ' in quotes."),
        ("a: [1\nb: 2\n", "line 2: expected ',' or ']', but got ':'.\n  b: 2\n"
         "  Close the bracket of this list or map."),
        ("a: 1\nb\n", "line 2: could not find expected ':'.\n  b\n"
         "  Write 'key: value', with a space after the colon."),
        ("a:\n  b: 1\n c: 2\n", "line 3: expected <block end>, but found '<block mapping start>'.\n"
         "  c: 2\n  Check the indentation of this line and the one above."),
        ("a: [1", "line 1: expected ',' or ']', but got '<stream end>'.\n  a: [1\n"
         "  Close the bracket of this list or map."),
        ("a: \x01\n", "is not YAML: line 1 holds a character that cannot be seen, U+0001.\n"
         "  Type the line anew."),
        ("- 1\n", "holds a list.\n  A config is a map: 'section: ...' lines."),
    ],
)  # fmt: skip
def test_faults(tmp_path, content: str, message: str):
    file = tmp_path / "my.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        read_yaml(file, "my.yaml")
    assert str(caught.value) == f"ConfigError: my.yaml: {message}"


def test_a_file_that_is_no_text(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_bytes(b"\x89HDF\r\n\xff\xfe")
    with pytest.raises(
        ConfigError, match=r"my.yaml: is not text in UTF-8: line 1 holds the byte 0x89"
    ):
        read_yaml(file, "my.yaml")


def test_a_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(ConfigError, match=r"my.yaml: cannot be read: No such file or directory"):
        read_yaml(tmp_path / "nothing.yaml", "my.yaml")


def faults_of(tmp_path: Path, content: str | bytes) -> str:
    file = tmp_path / "my.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        read_yaml(file, "my.yaml")
    return str(caught.value).replace("ConfigError: my.yaml: ", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("2: a", "2 stands where a key should.\n  Keys are words."),
        ("on: a", "True stands where a key should.\n  Keys are words."),
        ("a: [{2.5: b}]", "a[0]: 2.5 stands where a key should.\n  Keys are words."),
        ("a: {steps: 20,000}", "a: 0 stands where a key should.\n"
         "  Is it part of a number? Numbers have no commas: 20000."),
        ("a: {steps: 20,500}", "a: 500 stands where a key should.\n"
         "  Is it part of a number? Numbers have no commas: 20000."),
        ("a: {max_steps=6}", "a: 'max_steps=6' is no key.\n  Write 'max_steps: 6'."),
        ("a: {image: ${HOME}/x.h5}", "line 1: expected ',' or '}', but got '{'.\n"
         "  a: {image: ${HOME}/x.h5}\n  ${...} names a key of the config, not a variable; "
         "write the value, or quote it."),
        ("model.loss: 1", "'model.loss' is no key.\n"
         "  Write 'model: {loss: ...}', one level at a time."),
        ("model:\n  channels:3: 1", "model: 'channels:3' is no key.\n"
         "  Write 'channels: 3...', with a space after the colon."),
        ("model/rsunet: demo", "'model/rsunet' is no key.\n"
         "  A preset is picked in the defaults list:\n"
         "    defaults: [..., model/rsunet: ..., _self_]"),
        ("a: [\"${\"]", "a[0]: '${' is no interpolation that can be read.\n"
         "  Write ${section.key}, or a value."),
        ("hello", "holds 'hello' alone.\n  A config is a map: 'section: ...' lines."),
        ('a: "C:\\data"', "line 1: found unknown escape character 'd'.\n  a: \"C:\\data\"\n"
         "  In double quotes a backslash begins a special character; use single quotes, or /."),
        ("a: 1\n---\nb: 2\n", "line 2: but found another document.\n  ---\n"
         "  A file is one config: take the line out."),
        ("a: 1\n".encode("utf-16"), "is UTF-16 text.\n"
         "  A config is a YAML file in UTF-8. Save it as such."),
        ("a: 1\nb: ü\n".encode("latin-1"), "is not text in UTF-8: line 2 holds the byte 0xfc.\n"
         "  A config is a YAML file in UTF-8."),
        (b"a: 1\n" * 60_000, "has 300,000 bytes, and a config is a page of text.\n"
         "  It may have 262,144. Is it the right file?"),
    ],
)  # fmt: skip
def test_likely_slips_are_named(tmp_path: Path, content: str | bytes, message: str):
    assert faults_of(tmp_path, content) == message


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_text_of_any_editor(tmp_path: Path, ending: bytes, mark: bytes):
    file = tmp_path / "my.yaml"
    file.write_bytes(mark + ending.join([b"a: 1", b"b: {c: 1_000}", b""]))
    assert read_yaml(file, "my.yaml") == {"a": 1, "b": {"c": 1000}}
