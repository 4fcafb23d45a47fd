"""A server of files that can break off, forget, and lie."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from connectomics.exchange import download


@dataclass
class Served:
    """One file on the server, and how it is served.

    Attributes:
        content: Its bytes.
        etag: Its version.
        ranges: Whether the server sends parts of files.
        breaks: After how many bytes each of the next answers breaks off.
        status: Of every answer, where it is not 200.
        length: What the server says of its length; its own where None.
    """

    content: bytes
    etag: str = '"1"'
    ranges: bool = True
    breaks: list[int] = field(default_factory=list)
    status: int = 200
    length: int | None = None
    asked: list[str | None] = field(default_factory=list)


class Server:
    """Files by name; `url` is where they lie."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        files = self.files

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                _serve(self, files.get(self.path.lstrip("/")))

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def add(self, name: str, content: bytes, **how: object) -> Served:
        self.files[name] = Served(content, **how)  # type: ignore[arg-type]
        return self.files[name]


def _serve(request: BaseHTTPRequestHandler, file: Served | None) -> None:
    if file is None or file.status != 200:
        request.send_error(404 if file is None else file.status)
        return
    wanted = request.headers.get("Range")
    file.asked.append(wanted)
    start = 0
    if wanted and file.ranges and request.headers.get("If-Range") == file.etag:
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        request.send_response(206)
        last, total = len(file.content) - 1, len(file.content)
        request.send_header("Content-Range", f"bytes {start}-{last}/{total}")
    else:
        request.send_response(200)
    rest = file.content[start:]
    request.send_header("Content-Length", str(len(rest) if file.length is None else file.length))
    if file.etag:
        request.send_header("ETag", file.etag)
    request.end_headers()
    with suppress(ConnectionError):  # whoever asked may have seen enough
        request.wfile.write(rest[: file.breaks.pop(0)] if file.breaks else rest)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "PAUSE", 0.01)
    monkeypatch.setattr(download, "CHUNK", 2_000)
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
