"""Lets tests import the command line, `from main import main`, without a process of its own."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectomics.process.signals import STOPPING

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))


@pytest.fixture(autouse=True)
def heeded_signals() -> Iterator[None]:
    """Signals that whoever started the tests had ignored (`nohup`, `&`) are heeded in them."""
    usual = dict.fromkeys(STOPPING, signal.SIG_DFL) | {signal.SIGINT: signal.default_int_handler}
    ignored = [number for number in usual if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, usual[number])
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
