"""Whether the attributes in an HDF5 file can be read at all, tried before they are.

Text of any length lies in heaps of the file, and HDF5 walks round a damaged one for ever, in which
nothing in Python can stop it.
"""

from __future__ import annotations

from pathlib import Path

import h5py

from connectomics.errors import DataError
from connectomics.process.apart import fate_of

# What reading attributes came to, by the state of a file and the name of what has them, or of all.
_fates: dict[tuple[tuple[int, ...], str], str] = {}
ALL = "all that is in it"


def check_attributes(item: h5py.Group | h5py.Dataset, source: str) -> None:
    """Make sure that the attributes of something can be read.

    Those of any length are read in a copy of this process first, once, unless this process has
    written the file.

    Raises:
        DataError: Reading them does not end, or ends the process.
    """
    of_any_length = [name for name in item.attrs if not _is_fixed(item.attrs.get_id(name))]
    state, name = _state_of(Path(item.file.filename)), str(item.name)
    if not of_any_length or (state, ALL) in _fates:
        return
    if (state, name) not in _fates:
        _fates[state, name] = fate_of(lambda: [item.attrs[one] for one in of_any_length])
    if fate := _fates[state, name]:
        problem = f"is damaged: reading the attributes of {name} {fate}."
        raise DataError(source, problem, "Copy or download it again, or make it anew.")


def trust(path: Path) -> None:
    """Take all attributes in a file for sound, for as long as nobody changes it."""
    _fates[_state_of(path), ALL] = ""


def _state_of(path: Path) -> tuple[int, ...]:
    """What changes when a file does; a new name does not change it."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _is_fixed(attribute: h5py.h5a.AttrID) -> bool:
    kind = attribute.get_type()
    if isinstance(kind, h5py.h5t.TypeStringID):
        return not kind.is_variable_str()
    return isinstance(kind, h5py.h5t.TypeIntegerID | h5py.h5t.TypeFloatID)
