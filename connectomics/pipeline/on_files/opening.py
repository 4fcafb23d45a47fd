"""Files that a command line names without a config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from connectomics.config.schema.files import DecodeFiles, EvaluateFiles
from connectomics.data.checks import open_on_one_grid
from connectomics.data.io import LazyVolume
from connectomics.errors import DataError, Fault


def open_files(
    section: EvaluateFiles | DecodeFiles, names: Sequence[str], faults: Sequence[Fault] = ()
) -> dict[str, LazyVolume]:
    """Open the volumes that are given.

    Args:
        section: What was given.
        names: Its keys that are volumes.
        faults: What is wrong with files of other kinds.

    Raises:
        DataError: Every fault of every file, `faults` too, at once; or the output is a file.
    """
    files = {name: getattr(section, name) for name in names if getattr(section, name)}
    integers = [name for name in files if name not in ("mask", "image")]
    volumes, found = open_on_one_grid(files, resolution=section.resolution, integers=integers)
    found += faults
    if section.output and Path(section.output).is_file():
        problem = "is a file, and what is written needs a folder."
        found.append(Fault(f"output={section.output}", problem, "Choose another name."))
    if found:
        raise DataError.of(found)
    return volumes
