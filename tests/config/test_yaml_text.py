"""YAML that is wrong, and YAML that reads back equal."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
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
        ("a: \x01\n", "is not YAML: unacceptable character #x0001: special characters are not "
         "allowed."),
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
    with pytest.raises(ConfigError, match=r"my.yaml: is not text"):
        read_yaml(file, "my.yaml")


def test_a_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(ConfigError, match=r"my.yaml: cannot be read: No such file or directory"):
        read_yaml(tmp_path / "nothing.yaml", "my.yaml")


def test_keys_become_text(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text("2: a\non: [{2.5: b}]\n")
    assert read_yaml(file, "my.yaml") == {"2": "a", "True": [{"2.5": "b"}]}
