"""What goes wrong on the way to an object store, in words."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from connectomics.errors import ConnectomicsError, DataError, StoreError

S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
S3_KEYS += ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",)
GS_KEYS = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY")
GS_KEYS += ("GOOGLE_SERVICE_ACCOUNT_PATH",)
S3_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

NO_BUCKET = "NoSuchBucket"
PANIC = "PanicException"
"""What obstore raises where it is at its wits' end; it is no `Exception`."""


@contextmanager
def reaching(source: str) -> Iterator[None]:
    """Say of what goes wrong on the way to an object store what it is, and what helps.

    Raises:
        StoreError: The store fails, or the way to it.
        DataError: An object is not there, or may not be read. Errors of another kind pass.
    """
    try:
        yield
    except ConnectomicsError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != PANIC:
            raise
        fault = _fault(source, error)
        if fault is None:
            raise
        raise fault from error


def _fault(source: str, error: BaseException) -> DataError | None:
    text = f"{error}"
    cause = error.__cause__ or error.__context__
    # It raises errors of its own and Python's, with what it calls the source of either.
    if type(error).__name__ == PANIC:
        problem = f"the library that reads it gave up: {text[:200]}."
        return DataError(source, problem, "Check the address and the keys.")
    if type(error).__module__.partition(".")[0] != "obstore" and "Debug source" not in text:
        return _fault(source, cause) if cause is not None else None
    scheme = source.partition("://")[0] if "://" in source else ""
    name = type(error).__name__
    for sign, said in _SIGNS.items():
        if sign in text or sign == name:
            return (DataError if said is NO_RANGES else StoreError)(source, *said)
    if isinstance(error, PermissionError) or name in (
        "PermissionDeniedError",
        "UnauthenticatedError",
    ):
        return DataError(source, *_denied(scheme))
    if isinstance(error, FileNotFoundError):
        return DataError(source, "there is nothing.", "Check the address.")
    brief = " ".join(text.split("\n\nDebug source")[0].split())
    if refused := NOT_SUCCESS.search(brief):
        problem = f"the server answers with an error ({refused[1].strip(' :.')})."
        remedy = "Try again later; the address may also be of another server."
        return StoreError(source, problem, remedy)
    problem = f"cannot be read over the network: {brief[:200].rstrip('.')}."
    return StoreError(source, problem, "Check the address, and try again.")


NOT_SUCCESS = re.compile(r"non-2xx status code: (.{1,60})")
NO_RANGES = (
    "the server gives no parts of a file, or not its last bytes, which a Zarr with shards takes.",
    "Serve it by nginx or from a bucket, or store it without shards.",
)

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
    "Missing SecretAccessKey": (
        "AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not.",
        "Set both, or neither to read as anybody may.",
    ),
    "SlowDown": ("the store asks for fewer requests.", "Try again later, with fewer workers."),
    "Range request not supported": NO_RANGES,
    "416 Range Not Satisfiable": NO_RANGES,
    "kind: Timeout": (
        "the server does not answer in time.",
        "Check the address and the network, and try again.",
    ),
    "request or response body error": (
        "the connection broke off.",
        "Try again; what was done of a run is kept.",
    ),
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
