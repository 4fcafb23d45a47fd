"""Lets these tests import what lies beside them and one folder up."""

import logging
import sys
from pathlib import Path

import pytest

from connectomics.process import sections

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]


@pytest.fixture(autouse=True)
def _quick_and_quiet(caplog, monkeypatch):
    """Without threads, as blocks are small here; how many there are changes nothing."""
    monkeypatch.setattr(sections, "available_cpus", lambda: 1)
    caplog.set_level(logging.ERROR)
