"""Lets tests import the command line, `from main import main`, without a process of its own."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
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


@pytest.fixture
def serve() -> Iterator[Callable[[Path, type[SimpleHTTPRequestHandler]], str]]:
    """Starts web servers for folders, by a class that answers, and gives their addresses."""
    started = []

    def start(folder: Path, handler: type[SimpleHTTPRequestHandler]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        started.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in started:
        server.shutdown()
        server.server_close()
        thread.join()
