"""Reading stores at web addresses: `s3://`, `gs://`, `https://`."""

from __future__ import annotations

from typing import Any

from connectomics.data.io.header import Header, Opener
from connectomics.data.io.location import (
    N5_MARKER,
    N5_SUFFIX,
    PRECOMPUTED_MARKER,
    ZARR_MARKERS,
    ZARR_SUFFIX,
    Location,
)
from connectomics.data.io.objects import objects_of
from connectomics.data.io.web_faults import reaching
from connectomics.errors import DataError


def inspect(location: Location) -> tuple[Header, Opener]:
    """Read the header of an array, of whichever format the store turns out to be.

    Raises:
        DataError: There is no store of a format that is read over a network; it cannot be reached,
            or may not be read; or what the format's own reader finds wrong.
    """
    with reaching(location.source):
        return _reader(location).inspect(location)


def _reader(location: Location) -> Any:
    # Imported here: each format's library takes its time.
    objects = objects_of(location)

    def there(name: str) -> bool:
        content = objects.get(name)  # its answer says more than that to `has`
        if content is not None and content.lstrip().startswith(b"<"):
            problem = "the server answers with a web page, not with a volume."
            raise DataError(
                location.source, problem, "Open the address in a browser: it may need a login."
            )
        return content is not None

    suffix = location.path.suffix.lower()
    if suffix != N5_SUFFIX and any(map(there, ZARR_MARKERS)):
        from connectomics.data.io import zarr_store

        return zarr_store
    if suffix == N5_SUFFIX or there(N5_MARKER):
        from connectomics.data.io import n5

        return n5
    if suffix != ZARR_SUFFIX and there(PRECOMPUTED_MARKER):
        from connectomics.data.io import precomputed

        return precomputed
    looked = ", ".join((*ZARR_MARKERS, N5_MARKER, PRECOMPUTED_MARKER))
    raise DataError(
        location.source,
        f"there is no Zarr, N5 or precomputed volume: it has none of {looked}.",
        "Check the address; a file of another format has to be downloaded first.",
    )
