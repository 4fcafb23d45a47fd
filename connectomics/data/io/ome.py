"""OME-Zarr `multiscales` metadata, versions 0.1 to 0.5: https://ngff.openmicroscopy.org."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectomics.data.io.axes import axis_words
from connectomics.data.io.header import Header, Resolution
from connectomics.data.io.pyramid import ONE_LEVEL, RULES, Pyramid
from connectomics.data.io.spacing import in_nm
from connectomics.errors import DataError
from connectomics.geometry import VoxelGrid

OME_KEYS = ("ome", "multiscales", "omero", "_creator", "labels", "image-label", "plate", "well")


@dataclass(frozen=True)
class Scale:
    """One resolution level of an image pyramid.

    Attributes:
        path: The array's name inside the group.
        names: Lower-case name of each axis.
        units: Unit of each axis, None where there is none.
        scale: Size of a voxel along each axis, in its unit; empty where none is stated.
        translation: Position of the first voxel along each axis, in its unit; empty where none is
            stated.
    """

    path: str
    names: tuple[str, ...]
    units: tuple[str | None, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]

    def resolution_nm(self, source: str) -> Resolution | None:
        """Voxel size (z, y, x) in nm; None where an axis or its unit is not stated."""
        return self._in_nm(source, self.scale) if self.scale else None

    def offset_nm(self, source: str) -> Resolution | None:
        """Position of the first voxel (z, y, x) in nm; None where it or a unit is not stated."""
        return self._in_nm(source, self.translation) if self.translation else None

    def _in_nm(self, source: str, values: Sequence[float]) -> Resolution | None:
        if not {"z", "y", "x"} <= set(self.names):
            return None
        axes = [self.names.index(name) for name in "zyx"]
        return in_nm(source, [values[a] for a in axes], [self.units[a] for a in axes])


def scales(source: str, attributes: Mapping[str, Any]) -> list[Scale]:
    """Read the resolution levels a group describes, finest first; none where it is no image.

    Of several images, those of the first come first.

    Args:
        source: For messages.
        attributes: Of the group: version 0.5 keeps them under "ome", earlier ones at the top.

    Raises:
        DataError: The metadata is there and cannot be understood.
    """
    try:
        images = attributes.get("ome", attributes).get("multiscales") or []
        found = [
            sorted((_scale(image, d) for d in image["datasets"]), key=lambda s: math.prod(s.scale))
            for image in images
        ]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(
            source,
            f"its OME-Zarr metadata cannot be understood ({type(error).__name__}: {error}).",
            "Name the array itself, such as STORE.zarr::0, or write the metadata again.",
        ) from error
    return [level for levels in found for level in levels]


def _scale(image: Mapping[str, Any], dataset: Mapping[str, Any]) -> Scale:
    own = dataset.get("coordinateTransformations") or []
    shared = image.get("coordinateTransformations") or []
    names, units = _axes(image)
    scale, translation = [1.0] * len(names), [0.0] * len(names)
    stated = {step["type"] for step in (*own, *shared)}
    # The level's own transformations come first, the image's are applied to their result.
    for step in [*own, *shared]:
        match step["type"]:
            case "scale":
                factors = [float(factor) for factor in step["scale"]]
                scale = [s * f for s, f in zip(scale, factors, strict=True)]
                translation = [t * f for t, f in zip(translation, factors, strict=True)]
            case "translation":
                moves = [float(move) for move in step["translation"]]
                translation = [t + d for t, d in zip(translation, moves, strict=True)]
            case "identity":
                pass
            case other:
                raise ValueError(f"a transformation {other!r}")
    return Scale(
        str(dataset["path"]),
        names,
        units,
        tuple(scale) if "scale" in stated else (),
        tuple(translation) if "translation" in stated else (),
    )


def _axes(image: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    # Up to 0.2 the axes were always t, c, z, y, x; 0.3 names them; from 0.4 they have units.
    axes = [{"name": a} if isinstance(a, str) else a for a in image.get("axes") or "tczyx"]
    names = axis_words(axes)
    if names is None:
        raise ValueError(f"axes {axes!r}")
    return names, tuple(a.get("unit") and str(a["unit"]) for a in axes)


def describe(name: str, header: Header, pyramid: Pyramid = ONE_LEVEL) -> dict[str, Any]:
    """Write version 0.5 metadata for an image whose levels are the arrays "0", "1", ...

    Args:
        name: Of the image.
        header: Of the volume. Without a voxel size the axes get no unit, and scales are in voxels
            of the finest level.
        pyramid: Its coarser levels.
    """
    unit = {"unit": "nanometer"} if header.resolution else {}
    channels = len(header.shape) - 3
    axes: list[dict[str, str]] = [{"name": "c", "type": "channel"}] * channels
    axes += [{"name": axis, "type": "space", **unit} for axis in "zyx"]
    grid = header.grid if header.resolution else VoxelGrid((1.0, 1.0, 1.0))
    datasets = [
        {"path": str(i), "coordinateTransformations": _placing(level, channels)}
        for i, level in enumerate(pyramid.grids(grid))
    ]
    image: dict[str, Any] = {"name": name, "axes": axes, "datasets": datasets}
    if pyramid.rule:
        image["type"] = pyramid.rule
    return {"version": "0.5", "multiscales": [image]}


def _placing(grid: VoxelGrid, channels: int) -> list[dict[str, Any]]:
    assert grid.resolution is not None
    scale = [*[1.0] * channels, *grid.resolution]
    steps: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if any(grid.offset_nm):
        translation = [*[0.0] * channels, *grid.offset_nm]
        steps.append({"type": "translation", "translation": translation})
    return steps


def pyramid_of(attributes: Mapping[str, Any]) -> Pyramid:
    """The coarser levels that `describe` was given; of an image of others, none."""
    (image,) = attributes["ome"]["multiscales"]
    levels = scales("", attributes)
    if image.get("type") not in RULES or len(levels) < 2:
        return ONE_LEVEL
    finest = levels[0].scale[-3:]
    factors = [
        [round(b / a) for a, b in zip(finest, level.scale[-3:], strict=True)]
        for level in levels[1:]
    ]
    return Pyramid(image["type"], tuple((z, y, x) for z, y, x in factors))
