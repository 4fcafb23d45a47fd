"""The coarser levels that a store has of a volume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectomics.data.io.location import SEPARATOR, format_of, parse_location
from connectomics.data.io.volume import LazyVolume, open_volume
from connectomics.errors import DataError
from connectomics.geometry import Box, Triple


def coarser_levels(volume: LazyVolume) -> list[tuple[Triple, LazyVolume]]:
    """Open the coarser levels of an OME-Zarr image, finest first; none of any other volume.

    Args:
        volume: A level of the image, or a part of it.

    Returns:
        Of each level how many voxels (z, y, x) of the volume lie in one of its voxels, and the
        level, or the part of it. One whose voxels are not made of whole ones is left out.
    """
    location = parse_location(volume.source)
    if format_of(location) != "zarr":
        return []
    from connectomics.data.io.zarr_store import levels_beside

    found = levels_beside(location, volume.dataset)
    own = next((level.scale for level in found if level.path == volume.dataset), ())
    return [
        opened
        for level in found
        if level.names[-3:] == ("z", "y", "x")
        and (factors := _whole_factors(own, level.scale)) is not None
        for opened in _opened(volume, factors, f"{location.url or location.path}", level.path)
    ]


def _whole_factors(finer: Sequence[float], coarser: Sequence[float]) -> Triple | None:
    """How many times coarser a level is along z, y and x; None where it is not, or in parts."""
    if not finer or not coarser:
        return None
    ratios = [b / a for a, b in zip(finer, coarser, strict=True)][-3:]
    z, y, x = map(round, ratios)
    near = all(abs(n - ratio) < 1e-3 * ratio for n, ratio in zip((z, y, x), ratios, strict=True))
    return (z, y, x) if near and min(z, y, x) >= 1 and max(z, y, x) > 1 else None


def _opened(
    volume: LazyVolume, factors: Triple, store: str, path: str
) -> Iterator[tuple[Triple, LazyVolume]]:
    """The part of a level that a volume is, where it begins at a voxel of that."""
    try:
        level = open_volume(f"{store}{SEPARATOR}{path}")
    except DataError:
        return  # of a store that is not whole, the finest level is what there is
    origin, shape = volume.origin, volume.shape[-3:]
    start = [a // f for a, f in zip(origin, factors, strict=True)]
    ends = zip(origin, shape, factors, level.shape[-3:], strict=True)
    stop = [min(-(-(a + n) // f), there) for a, n, f, there in ends]
    aligned = all(a % f == 0 for a, f in zip(origin, factors, strict=True))
    alike = (level.dtype, level.shape[:-3]) == (volume.dtype, volume.shape[:-3])
    if aligned and alike and all(b > a for a, b in zip(start, stop, strict=True)):
        yield factors, level.crop(Box(tuple(start), tuple(stop)))  # pyright: ignore
