"""What a run folder holds that can be looked at, volume by volume."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from connectomics.data.cache_key import key_of
from connectomics.data.identity import Identity
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.location import parse_location
from connectomics.errors import DataError, did_you_mean
from connectomics.geometry import Box, VoxelGrid

RESULTS = "results"
SUFFIXES = (".h5", ".zarr")
UNKNOWN = (1.0, 1.0, 1.0)


def shown_grid(volume: LazyVolume) -> VoxelGrid:
    """Where the viewer shows the voxels of a volume; the format knows none without a size."""
    return VoxelGrid(volume.resolution or UNKNOWN, volume.offset_nm)


@dataclass(frozen=True)
class Shown:
    """A volume of a run, as it is served.

    Attributes:
        name: Of its folder in the results.
        volumes: "em", "probabilities" and "labels", those that are there.
        table: Of its synapses, or None.
        notes: What is not shown, and why.
    """

    name: str
    volumes: dict[str, LazyVolume]
    table: Path | None
    notes: list[str] = field(default_factory=list)

    @property
    def place(self) -> LazyVolume:
        """The volume whose voxels are those of the view."""
        return next(iter(self.volumes.values()))

    @property
    def layers(self) -> list[str]:
        """What is served: the volumes, and what follows from labels that have a table."""
        sides = self.table is not None and "labels" in self.volumes
        volumes = [*self.volumes]
        if sides:
            volumes.insert(volumes.index("labels"), "sides")
        return [*volumes, *(["synapses"] if self.table is not None else [])]


def find_volumes(run: Path, name: str | None = None) -> list[Shown]:
    """Find what a run folder holds of its volumes.

    Args:
        run: The folder.
        name: Of one volume; all unless given.

    Raises:
        DataError: It is no run folder, it holds no results, or none of that name.
    """
    if not run.is_dir():
        raise DataError(
            str(run), "no such folder.", "Name a run, such as outputs/mine/<timestamp>."
        )
    results = run if (run / "labels.h5").exists() else run / RESULTS
    folders = {
        folder.name: folder
        for folder in ([run] if results == run else sorted(results.glob("*/")))
        if any(_result(folder, kind) for kind in ("labels", "probabilities"))
    }
    if not folders:
        remedy = "Make them with --mode test --checkpoint RUN_FOLDER."
        raise DataError(str(run), "holds no probabilities or labels to look at.", remedy)
    if name is None:
        return [_shown(folder) for folder in folders.values()]
    if name not in folders:
        raise DataError(
            f"volume={name}", "the run has no such volume.", did_you_mean(name, folders)
        )
    return [_shown(folders[name])]


def _result(folder: Path, name: str) -> Path | None:
    paths = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((path for path in paths if path.exists()), None)


def _shown(folder: Path) -> Shown:
    volumes, notes = {}, []
    made = {
        name: path
        for name in ("probabilities", "labels")
        if (path := _result(folder, name)) is not None
    }
    results = {name: open_volume(path) for name, path in made.items()}
    key = key_of(next(iter(made.values())))
    if key is None or key.image is None:
        notes.append("the results do not say which EM they are of")
    else:
        try:
            volumes["em"] = _source(key.image, next(iter(results.values())))
        except DataError as error:
            notes.append(f"the EM is not shown: {error.faults[0]}")
    volumes |= results
    if "probabilities" not in results:
        notes.append("no probabilities are shown: none were kept")
    table = folder / "synapses.csv"
    return Shown(folder.name, volumes, table if table.is_file() else None, notes)


def _source(image: Identity, result: LazyVolume) -> LazyVolume:
    """The EM that a result was made from, or the part of it, with the voxel size it was given."""
    place = f"{image.path}::{image.dataset}" if image.dataset else image.path
    if parse_location(image.source).url:
        place = image.source
    same = tuple(result.shape[-3:]) == tuple(image.shape[-3:])  # else labels were resized
    volume = open_volume(place, resolution=result.resolution if same else None)
    begin = tuple(int(n) for n in image.origin)
    stop = tuple(a + n for a, n in zip(begin, image.shape[-3:], strict=True))
    return volume.crop(Box(begin, stop))  # pyright: ignore
