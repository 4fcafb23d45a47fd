"""Commands to type next are in the words in which the program was called."""

from __future__ import annotations

import sys

import pytest

from connectomics.config.inheritance import tutorial_path
from connectomics.process.called import to_type


@pytest.mark.parametrize(
    ("called", "mode", "expected"),
    [
        ("/opt/bin/connectomics", "train", "connectomics train --config my.yaml 'a=[1,2]'"),
        ("/opt/bin/connectomics", "check", "connectomics check --config my.yaml 'a=[1,2]'"),
        ("up/scripts/main.py", "train", "python up/scripts/main.py --config my.yaml 'a=[1,2]'"),
        ("scripts/main.py", "check", "python scripts/main.py --config my.yaml --check 'a=[1,2]'"),
        ("pytest", "tune", "python scripts/main.py --config my.yaml --mode tune 'a=[1,2]'"),
    ],
)
def test_the_next_command_is_typed_as_the_last(monkeypatch, called, mode, expected) -> None:
    monkeypatch.setattr(sys, "argv", [called])
    assert to_type(mode, "my.yaml", "a=[1,2]") == expected


def test_a_tutorial_lies_in_the_checkout_or_in_the_package(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["scripts/main.py"])
    assert tutorial_path("demo").as_posix() == "tutorials/demo.yaml"
    monkeypatch.setattr(sys, "argv", ["/opt/bin/connectomics"])
    assert tutorial_path("demo").is_absolute()
    assert tutorial_path("demo").is_file()
