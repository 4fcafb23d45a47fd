"""What is said while a stage has a line on a terminal."""

from __future__ import annotations

import io
import logging
import sys
import warnings

from connectomics.errors import warn
from connectomics.process.outcome import reported
from connectomics.process.progress import CLEAR


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_logged_and_warned_of_gets_a_line_of_its_own(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    before = list(logging.getLogger("connectomics").handlers)
    with reported() as outcome:
        logging.getLogger("connectomics.decoding").warning("%d of %d", 2, 17)
        logging.getLogger("connectomics.decoding").info("a detail")
        warn("em.h5", "is odd.", "Look at it.")
    assert outcome.status == 0
    own = ["2 of 17", "warning: em.h5: is odd.\n  Look at it."]
    assert terminal.getvalue() == "".join(f"{CLEAR}{text}\n" for text in own)
    assert logging.getLogger("connectomics").handlers == before


def test_what_is_odd_about_data_is_said_once_however_often_it_is_found(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with reported():
            for where in ("a.h5", "b.h5", "a.h5"):
                warn(where, "is odd.", "Look at it.")
    assert capsys.readouterr().err.count("is odd.") == 2
