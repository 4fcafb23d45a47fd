"""Downloads that go on where they broke off. The cache is pooch's; going on is ours.

Beside a file that is not whole yet, `NAME.part`, lies what the server said of it, `NAME.part.json`:
the rest is asked for only if it still is the same file.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from connectomics.blocks.lock import working_on
from connectomics.errors import ConfigError, DataError
from connectomics.exchange.records import ANOTHER_FOLDER, Bounds, RemoteFile
from connectomics.exchange.unpack import size_text
from connectomics.files import writing_to
from connectomics.process.progress import BytesProgress
from connectomics.process.signals import Stopped

CHUNK = 2**14
TRIES = 4
"""How often in a row nothing may come before it is given up."""

PAUSE = 1.0
"""Seconds before the second try; each later one waits twice as long."""

TIMEOUT = (20, 60)
"""Seconds until a server has answered, and between two pieces of a file."""

INSTALL = 'Run: pip install "pooch>=1.8"'
GOES_ON = "The same command goes on where it stands."
BY_HAND = "Or download it by hand, and use --from FILE."


def download(remote: RemoteFile, folder: Path, bounds: Bounds) -> Path:
    """Get a file, or go on getting it; one that is there already is left as it is.

    Args:
        remote: The file.
        folder: Where it goes. It is made.
        bounds: How large it may be.

    Raises:
        ConfigError: pooch is not installed.
        DataError: The server does not have it or cannot be reached, it breaks off too often, or it
            is too large.
        MachineError: Another command is downloading it.
        Stopped: A signal came; what is here of it stays.
    """
    retrieve = _pooch()
    target = folder / remote.name
    if target.exists():
        print(f"download: {target} is there already")
        return target
    print(f"download: {remote.url}", flush=True)
    part = target.with_name(f"{target.name}.part")
    fetch = partial(_fetch, part=part, most=bounds.file)
    try:
        with working_on(folder), writing_to(target, ANOTHER_FOLDER):
            retrieve(remote.url, None, remote.name, folder, downloader=fetch)
    except Stopped as stopped:
        stopped.note = GOES_ON
        raise
    print(f"download: {size_text(target.stat().st_size)} → {target}", flush=True)
    return target


def _pooch() -> Any:
    try:
        import pooch
    except ImportError as error:
        raise ConfigError("download", "needs pooch, which is not installed.", INSTALL) from error
    pooch.get_logger().setLevel(logging.ERROR)
    return pooch.retrieve


@dataclass
class _State:
    """What is here of a file, and what the server said of it.

    Attributes:
        part: The file.
        mark: By which the server knows this version of it; empty where it names none.
        total: Bytes of the whole, or None where the server does not say.
        told: From which byte on it was last said to go on.
    """

    part: Path
    mark: str = ""
    total: int | None = None
    told: int = 0

    @property
    def beside(self) -> Path:
        return self.part.with_name(f"{self.part.name}.json")

    @property
    def have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    @classmethod
    def read(cls, part: Path, url: str) -> _State:
        """What an earlier command left, if it is of this address."""
        state = cls(part)
        try:
            said = json.loads(state.beside.read_text("utf-8"))
            if said["url"] == url:
                return cls(part, str(said["mark"]), said["total"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        state.forget()
        return state

    def begin(self, url: str, response: Any) -> None:
        """Start from the first byte."""
        etag = response.headers.get("ETag", "")
        weak = not etag or etag.startswith("W/")
        self.mark = response.headers.get("Last-Modified", "") if weak else etag
        length = response.headers.get("Content-Length", "")
        self.total = int(length) if length.isdigit() else None
        self.part.write_bytes(b"")
        said = {"url": url, "mark": self.mark, "total": self.total}
        self.beside.write_text(json.dumps(said), "utf-8")

    def forget(self) -> None:
        """Remove what is here."""
        self.part.unlink(missing_ok=True)
        self.beside.unlink(missing_ok=True)


def _fetch(url: str, output_file: str, _: Any, *, part: Path, most: int) -> None:
    """Download to a file, as pooch wants it done."""
    from requests.exceptions import ChunkedEncodingError, ConnectionError, Timeout

    state = _State.read(part, url)
    fruitless = 0
    while True:
        before = state.have
        try:
            with _speaking_of(url):
                whole = _transfer(url, state, most)
            problem = f"broke off at {state.have:,} of {state.total or 0:,} bytes"
        except (ConnectionError, ChunkedEncodingError, Timeout) as error:
            whole = False
            problem = _reason(error) + (f"; {state.have:,} bytes are here" if state.have else "")
        if whole:
            break
        fruitless = 0 if state.have > before else fruitless + 1
        if fruitless >= TRIES:
            raise DataError(url, f"{problem}.", f"{GOES_ON} {BY_HAND}")
        if fruitless:
            time.sleep(PAUSE * 2 ** (fruitless - 1))
    Path(output_file).unlink(missing_ok=True)
    part.replace(output_file)
    state.forget()


def _transfer(url: str, state: _State, most: int) -> bool:
    """Ask for what is missing, and write it.

    Returns:
        Whether all of it is here.
    """
    import requests

    have = state.have
    headers = {"Accept-Encoding": "identity"}
    if have and have == state.total:
        return True
    if not state.mark or have > (state.total or have):  # nobody can tell whether it is that file
        have = 0
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": state.mark}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            state.forget()
            return False
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            _refuse(url, response)
        if not _continues(response, have, state.total):
            if have:
                print("download: the server sends it from the beginning", flush=True)
            state.begin(url, response)
        elif have and have != state.told:
            print(f"download: going on at {size_text(have)}", flush=True)
            state.told = have
        _write(response, url, state, most)
    return state.total is None or state.have >= state.total


def _continues(response: Any, have: int, total: int | None) -> bool:
    """Whether what comes is the rest of what is here."""
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        return False
    said = response.headers.get("Content-Range", "")
    return said.startswith(f"bytes {have}-") and said.endswith(f"/{total}")


def _write(response: Any, url: str, state: _State, most: int) -> None:
    progress = BytesProgress("download", state.total, done=state.have)
    too_large = state.total is not None and state.total > most
    with progress, state.part.open("ab") as file:
        for piece in () if too_large else response.iter_content(CHUNK):
            file.write(piece)
            progress.add(len(piece))
            if file.tell() > (most if state.total is None else state.total):
                too_large = True
                break
    if too_large:
        size = f"{state.total:,} bytes" if state.total else "more and more"
        state.forget()
        problem = f"the server sends {size}, and this dataset has no file of over {most:,}."
        raise DataError(url, problem, "It is another file. Download it by hand, and use --from.")


def _refuse(url: str, response: Any) -> None:
    reason = f"{response.status_code} {response.reason}".strip()
    remedy = "Download it by hand where its owners offer it now, and use --from FILE."
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        remedy = f"Try again later. {GOES_ON}"
    raise DataError(url, f"the server answers {reason}.", remedy)


@contextmanager
def _speaking_of(url: str) -> Iterator[None]:
    """Say which address a request was wrong for."""
    import requests
    from requests.exceptions import ChunkedEncodingError, ConnectionError, Timeout

    try:
        yield
    except (ConnectionError, ChunkedEncodingError, Timeout):
        raise
    except requests.RequestException as error:
        problem = f"cannot be downloaded: {_reason(error)}."
        raise DataError(url, problem, "Download it by hand, and use --from FILE.") from error


def _reason(error: Exception) -> str:
    text = str(error)
    if "NameResolution" in text or "getaddrinfo" in text:
        return "the server's name is not known, as without a network"
    if "refused" in text:
        return "the server refuses the connection"
    if "redirects" in text:
        return "the server sends from one address to the next without end"
    if "timed out" in text.lower():
        return "the server does not answer"
    return "the connection broke off"
