"""What a store keeps under its keys: files of a folder, or objects behind a web address.

Object stores are read with obstore. It works in threads of its own, which a forked process does not
have: there a read is refused, as it would wait for ever.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from connectomics.data.io.location import Location
from connectomics.data.io.web_faults import GS_KEYS, NO_BUCKET, S3_KEYS, S3_SECRETS, reaching
from connectomics.errors import DataError

INSTALL = 'Run: pip install "obstore>=0.6"'
S3_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")

CONNECT = timedelta(seconds=10)
GIVE_UP = timedelta(seconds=30)
TRIES = 3
"""How often a store is asked again that nobody knows yet: a wrong address is said soon."""

STEADY_GIVE_UP = timedelta(seconds=120)
"""How long an answer may take of one whose header has been read."""

DOWN = timedelta(seconds=60)
"""How long such a one is asked again: it may be down for a moment."""

BACKOFF = {
    "init_backoff": timedelta(seconds=0.2),
    "max_backoff": timedelta(seconds=5),
    "base": 3,  # a wait is drawn from up to so many times the last; by 2, they would not grow
}

_used_by: int | None = None
"""The process that has read from the web, if any."""


class Objects(Protocol):
    """The contents of a store by key, such as "s0/0/0/0"."""

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """The bytes under a key, or a part of them; None where there are none."""
        ...

    def has(self, key: str) -> bool:
        """Whether there is anything under a key."""
        ...


@dataclass(frozen=True)
class FolderObjects:
    """Files of a folder."""

    root: Path

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """See `Objects`."""
        try:
            with (self.root / key).open("rb") as file:
                file.seek(start)
                return file.read(-1 if stop is None else stop - start)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def has(self, key: str) -> bool:
        """See `Objects`."""
        return (self.root / key).is_file()


@dataclass(frozen=True)
class WebObjects:
    """Objects behind a web address.

    Attributes:
        url: Of the store.
        source: As the user wrote it, for messages.
        steady: See `open_web`.
    """

    url: str
    source: str
    steady: bool = False

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """See `Objects`.

        Raises:
            DataError: The store cannot be reached, or does not let anybody read that.
        """
        with reaching(self.source):
            store = open_web(self.url, self.source, steady=self.steady)
            try:
                if stop is not None:
                    return bytes(store.get_range(key, start=start, end=stop))
                return bytes(store.get(key).bytes())[start:]
            except FileNotFoundError as error:
                if NO_BUCKET in str(error):
                    raise
                return None

    def has(self, key: str) -> bool:
        """See `Objects`."""
        with reaching(self.source):
            try:
                open_web(self.url, self.source, steady=self.steady).head(key)
            except FileNotFoundError:
                return False
        return True

    def states(self) -> list[tuple[str, int, str]]:
        """Key, size and tag of everything in the store; none where it cannot be listed."""
        with reaching(self.source):
            if not self.url.startswith(("s3://", "gs://")):
                return []
            pages = open_web(self.url, self.source).list()
            return sorted(
                (o["path"], o["size"], str(o["e_tag"] or o["last_modified"]))
                for page in pages
                for o in page
            )


_STORES: dict[tuple[int, str, bool, tuple[tuple[str, str], ...]], Any] = {}


def open_web(url: str, source: str, *, steady: bool = False) -> Any:
    """A store of obstore's, for reading. Credentials and endpoints come from the environment.

    Args:
        url: Of the store.
        source: What messages call it.
        steady: Whether it has been read from, and is worth waiting for.
    """
    global _used_by
    try:
        import obstore.store as stores
    except ImportError as error:
        raise DataError(
            source, "reading from the web needs obstore, which is not installed.", f"{INSTALL}."
        ) from error
    if _used_by not in (None, os.getpid()):
        raise DataError(
            source,
            "cannot be read in a process that was forked from one that has read from the web.",
            "Set data.dataloader.num_workers=0, or copy the volume to a disk.",
        )
    _used_by = os.getpid()
    key = (os.getpid(), url, steady, _environment())
    if key not in _STORES:
        scheme = url.partition("://")[0]
        if scheme == "s3":
            _check_s3(source)
        patience = STEADY_GIVE_UP if steady else GIVE_UP
        again = {"max_retries": TRIES, "retry_timeout": patience}
        if steady:
            again = {"max_retries": 1000, "retry_timeout": DOWN, "backoff": BACKOFF}
        settings: dict[str, Any] = {
            "client_options": {"connect_timeout": CONNECT, "timeout": patience, "allow_http": True},
            "retry_config": again,
        }
        # Without credentials a store looks for those of the machine in a cloud, and waits.
        if scheme == "s3" and not any(map(os.environ.get, S3_KEYS)):
            settings["skip_signature"] = True
        if scheme == "gs" and not any(map(os.environ.get, GS_KEYS)):
            settings["skip_signature"] = True
        _STORES[key] = stores.from_url(url, **settings)
    return _STORES[key]


def _check_s3(source: str) -> None:
    """Say what obstore would panic over."""
    for name in S3_ENDPOINTS:
        endpoint = os.environ.get(name)
        if endpoint is not None and not _is_server(endpoint):
            problem = f"{name}={endpoint!r} is no address of a server."
            raise DataError(source, problem, "Write http://HOST:PORT or https://HOST; or unset it.")
    for name in S3_SECRETS:
        if not os.environ.get(name, "").isprintable():
            problem = f"{name} holds a line break, or another character that no key has."
            raise DataError(source, problem, "Set it anew, without it.")


def _is_server(address: str) -> bool:
    try:
        parts = urlsplit(address)
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # the port is no number, or too large
        return False
    return bool(named) and not any(one.isspace() for one in address)


def _environment() -> tuple[tuple[str, str], ...]:
    """What says who reads from where."""
    return tuple(sorted(i for i in os.environ.items() if i[0].startswith(("AWS_", "GOOGLE_"))))


@dataclass(frozen=True)
class Reaching:
    """An array whose reads say what goes wrong on the way."""

    array: Any
    source: str

    def __getitem__(self, index: tuple[slice, ...]) -> Any:
        with reaching(self.source):
            return self.array[index]


def objects_of(location: Location, *, steady: bool = False) -> FolderObjects | WebObjects:
    """The contents of the store at a location; `steady` as of `open_web`."""
    if location.url:
        return WebObjects(location.url, location.source, steady)
    return FolderObjects(location.path)
