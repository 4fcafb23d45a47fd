"""Lets these tests import the volumes that lie one folder up."""

import logging
import sys
from pathlib import Path

import pytest

from connectomics.decoding import sections

sys.path.insert(0, str(Path(__file__).parents[1]))


@pytest.fixture(autouse=True)
def _quick_and_quiet(caplog, monkeypatch):
    """Without threads, as blocks are small here; how many there are changes nothing."""
    monkeypatch.setattr(sections, "available_cpus", lambda: 1)
    caplog.set_level(logging.ERROR)
