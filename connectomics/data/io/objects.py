"""What a store keeps under its keys: files of a folder, or objects behind a web address.

Object stores are read with obstore. It works in threads of its own, which a forked process does not
have: there a read is refused, as it would wait for ever.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from connectomics.data.io.location import Location
from connectomics.errors import ConnectomicsError, DataError

INSTALL = 'Run: pip install "obstore>=0.6"'
S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
S3_KEYS += ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",)
GS_KEYS = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY")
GS_KEYS += ("GOOGLE_SERVICE_ACCOUNT_PATH",)

NO_BUCKET = "NoSuchBucket"
CONNECT = timedelta(seconds=10)
GIVE_UP = timedelta(seconds=30)
TRIES = 3

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
    """

    url: str
    source: str

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """See `Objects`.

        Raises:
            DataError: The store cannot be reached, or does not let anybody read that.
        """
        with reaching(self.source):
            store = open_web(self.url, self.source)
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
                open_web(self.url, self.source).head(key)
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


_STORES: dict[tuple[int, str, tuple[tuple[str, str], ...]], Any] = {}


def open_web(url: str, source: str) -> Any:
    """A store of obstore's, for reading. Credentials and endpoints come from the environment."""
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
    key = (os.getpid(), url, _environment())
    if key not in _STORES:
        scheme = url.partition("://")[0]
        settings: dict[str, Any] = {
            "client_options": {"connect_timeout": CONNECT, "timeout": GIVE_UP, "allow_http": True},
            "retry_config": {"max_retries": TRIES, "retry_timeout": GIVE_UP},
        }
        # Without credentials a store looks for those of the machine in a cloud, and waits.
        if scheme == "s3" and not any(map(os.environ.get, S3_KEYS)):
            settings["skip_signature"] = True
        if scheme == "gs" and not any(map(os.environ.get, GS_KEYS)):
            settings["skip_signature"] = True
        _STORES[key] = stores.from_url(url, **settings)
    return _STORES[key]


def _environment() -> tuple[tuple[str, str], ...]:
    """What says who reads from where."""
    return tuple(sorted(i for i in os.environ.items() if i[0].startswith(("AWS_", "GOOGLE_"))))


@contextmanager
def reaching(source: str) -> Iterator[None]:
    """Say of what goes wrong on the way to an object store what it is, and what helps.

    Raises:
        DataError: Anything that is a fault of the way or the store. Errors of another kind pass.
    """
    try:
        yield
    except ConnectomicsError:
        raise
    except Exception as error:
        fault = _fault(source, error)
        if fault is None:
            raise
        raise DataError(source, *fault) from error


def _fault(source: str, error: BaseException) -> tuple[str, str] | None:
    text = f"{error}"
    cause = error.__cause__ or error.__context__
    # It raises errors of its own and Python's, with what it calls the source of either.
    if type(error).__module__.partition(".")[0] != "obstore" and "Debug source" not in text:
        return _fault(source, cause) if cause is not None else None
    scheme = source.partition("://")[0] if "://" in source else ""
    name = type(error).__name__
    for sign, (problem, remedy) in _SIGNS.items():
        if sign in text or sign == name:
            return problem, remedy
    if isinstance(error, PermissionError) or name in (
        "PermissionDeniedError",
        "UnauthenticatedError",
    ):
        return _denied(scheme)
    if isinstance(error, FileNotFoundError):
        return "there is nothing.", "Check the address."
    brief = " ".join(text.split("\n\nDebug source")[0].split())[:200].rstrip(".")
    return f"cannot be read over the network: {brief}.", "Check the address, and try again."


_SIGNS: Mapping[str, tuple[str, str]] = {
    NO_BUCKET: ("there is no such bucket.", "Check the name of the bucket, and AWS_REGION."),
    "PermanentRedirect": (
        "the bucket is in another region.",
        "Set AWS_REGION to the region of the bucket, such as us-east-1.",
    ),
    "InvalidAccessKeyId": (
        "the store does not know the access key.",
        "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    ),
    "SignatureDoesNotMatch": (
        "the secret key is not the one of the access key.",
        "Check AWS_SECRET_ACCESS_KEY.",
    ),
    "ExpiredToken": ("the credentials have expired.", "Renew them, AWS_SESSION_TOKEN included."),
    "error sending request": (
        "the server cannot be reached.",
        "Check the address and the network; AWS_ENDPOINT_URL names another server for s3://.",
    ),
}


def _denied(scheme: str) -> tuple[str, str]:
    keys = {
        "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION",
        "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    }.get(scheme)
    given = any(map(os.environ.get, (*S3_KEYS, *GS_KEYS)))
    if keys is None:
        return "the server does not let this be read.", "Check the address; it may need a login."
    if given:
        remedy = f"Check that {keys} are those of somebody who may read it."
        return "the store denies access with these credentials.", remedy
    remedy = f"Set {keys} in the environment; files of credentials are not read."
    return "the store denies access without credentials.", remedy


@dataclass(frozen=True)
class Reaching:
    """An array whose reads say what goes wrong on the way."""

    array: Any
    source: str

    def __getitem__(self, index: tuple[slice, ...]) -> Any:
        with reaching(self.source):
            return self.array[index]


def objects_of(location: Location) -> FolderObjects | WebObjects:
    """The contents of the store at a location."""
    if location.url:
        return WebObjects(location.url, location.source)
    return FolderObjects(location.path)
