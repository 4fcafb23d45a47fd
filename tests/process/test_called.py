"""Commands to type next are in the words in which the program was called."""

from __future__ import annotations

import sys

import pytest

from connectomics.config.inheritance import TUTORIALS, tutorial_path
from connectomics.process.called import to_type


@pytest.mark.parametrize(
    ("called", "mode", "expected"),
    [
        ("/opt/bin/connectomics", "train", "connectomics train --config my.yaml 'a=[1,2]'"),
        ("/opt/bin/connectomics", "check", "connectomics check --config my.yaml 'a=[1,2]'"),
        ("up/scripts/main.py", "train", "python up/scripts/main.py --config my.yaml 'a=[1,2]'"),
        ("scripts/main.py", "check", "python scripts/main.py --config my.yaml --check 'a=[1,2]'"),
        ("up/scripts/download_data.py", "train",
         "python up/scripts/main.py --config my.yaml 'a=[1,2]'"),
        ("pytest", "tune", "python scripts/main.py --config my.yaml --mode tune 'a=[1,2]'"),
    ],
)  # fmt: skip
def test_the_next_command_is_typed_as_the_last(monkeypatch, called, mode, expected) -> None:
    monkeypatch.setattr(sys, "argv", [called])
    assert to_type(mode, "my.yaml", "a=[1,2]") == expected


def test_a_tutorial_is_found_from_where_commands_are_typed(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(TUTORIALS.parent)
    assert tutorial_path("demo") == "tutorials/demo.yaml"
    monkeypatch.chdir(tmp_path)
    assert tutorial_path("demo") == str(TUTORIALS / "demo.yaml")
