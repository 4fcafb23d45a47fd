"""Lets tests import the command line, `from main import main`, without a process of its own."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from numba.core import event

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))


class _Unmeasured(event.Listener):
    """Takes coverage's trace away while numba compiles, which is three times as slow under it."""

    def __init__(self) -> None:
        self._thread = threading.local()

    def on_start(self, _: event.Event) -> None:
        kept = self._thread.__dict__.setdefault("kept", [])
        kept.append(sys.gettrace())
        sys.settrace(None)

    def on_end(self, _: event.Event) -> None:
        sys.settrace(self._thread.kept.pop())


event.register("numba:compile", _Unmeasured())
