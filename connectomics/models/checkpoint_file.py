"""A file that may be a checkpoint: what it is, whether it is whole, and what it holds.

Nothing in it is executed: only tensors and plain values are accepted. Nothing in it can claim
more memory than it has bytes.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from connectomics.checkpoints import what_may_be_meant
from connectomics.errors import CheckpointError
from connectomics.models.pickle_scan import outgrown

USE_OURS = "Give a .ckpt file that training wrote, such as checkpoints/last.ckpt."
DAMAGED = "Copy it again from where it came from, or use another checkpoint of the same run."

_KINDS = (
    (rb"\s*(<!doctype html|<html|<\?xml)", "a web page", "Download the file itself."),
    (rb"version https://git-lfs", "a pointer of Git LFS", "Fetch the file: git lfs pull"),
    (rb"\x89HDF", "an HDF5 file, as volumes are", USE_OURS),
    (rb"PK", "cut off: its end is missing", DAMAGED),
    (rb"\x80[\x00-\x05]", "a bare pickle, as old versions of PyTorch wrote", USE_OURS),
    (rb"\x1f\x8b", "a gzip file", "Unpack it first."),
    (rb".{8}\{", "a safetensors file: weights without their architecture", USE_OURS),
)
"""How other files begin."""


def read_checkpoint_file(path: Path) -> dict[str, Any]:
    """Read what `torch.save` has written, after checking that every byte is as it was.

    Returns:
        What it holds; tensors lie on the CPU.

    Raises:
        CheckpointError: There is no such file, it is something else, it is damaged, or it holds
            something that would have to be run.
    """
    where = str(path)
    _require_whole(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
        tensors = list(tensors_in(content))
    except pickle.UnpicklingError as error:
        problem = f"was refused: it holds {_foreign(error)}, not only tensors and plain values."
        remedy = f"Nothing in it was run. {USE_OURS}"
        raise CheckpointError(where, problem, remedy) from error
    except Exception as error:  # PyTorch's reader ends in any of them on what it cannot read
        problem = f"is damaged, or was not written as training does ({_brief(error)})."
        raise CheckpointError(where, problem, DAMAGED) from error
    for place, tensor in tensors:
        _require_plain(where, place, tensor)
    if not isinstance(content, dict):
        problem = f"holds a {type(content).__name__}, not a checkpoint."
        raise CheckpointError(where, problem, USE_OURS)
    return content


def tensors_in(content: Any) -> Iterator[tuple[str, Tensor]]:
    """All tensors in nested dicts and lists, each with its place; every container once.

    >>> [place for place, _ in tensors_in({"a": [1, torch.zeros(2)]})]
    ['a.1']
    """
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", content)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, Tensor):
            yield place, value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            waiting += [(f"{place}.{key}" if place else str(key), inner) for key, inner in items]


def _require_whole(path: Path) -> None:
    """Check that a file is an archive of PyTorch's, and the sum of each part of it."""
    where = str(path)
    _require_file(path)
    try:
        size = path.stat().st_size
        if not zipfile.is_zipfile(path):
            raise _not_an_archive(path)
        with zipfile.ZipFile(path) as archive:
            _require_parts(where, archive, size)
    except PermissionError as error:
        raise CheckpointError(where, "may not be read.", "Check its permissions.") from error
    except CheckpointError:
        raise
    except Exception as error:  # damaged archives end in a dozen kinds of errors
        raise CheckpointError(where, f"is damaged ({_brief(error)}).", DAMAGED) from error


def _require_file(path: Path) -> None:
    where = str(path)
    if path.is_dir():
        raise CheckpointError(where, "is a folder.", USE_OURS)
    if not path.exists():
        raise CheckpointError(where, "no such file.", what_may_be_meant(path) or "Check its path.")
    if not path.is_file():  # of a pipe or a device nothing may ever come
        raise CheckpointError(where, "is no ordinary file, but a pipe or a device.", USE_OURS)


def _require_parts(where: str, archive: zipfile.ZipFile, size: int) -> None:
    """Check that what an archive of so many bytes holds is a checkpoint, whole and no trap."""
    parts = archive.infolist()
    packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if packed or sum(part.file_size for part in parts) > size:
        raise CheckpointError(where, "is a zip file, but not of PyTorch's.", USE_OURS)
    names = [part.filename for part in parts]
    if len(set(names)) < len(names):  # of two parts of one name, which is read?
        raise CheckpointError(where, "is damaged: parts of it are there twice.", DAMAGED)
    script = any(name.endswith("/constants.pkl") or "/code/" in name for name in names)
    pickles = [name for name in names if name.endswith("/data.pkl")]
    if script or not pickles:
        kind = "a network saved as TorchScript" if script else "a zip file"
        raise CheckpointError(where, f"is {kind}, not a checkpoint.", USE_OURS)
    if broken := archive.testzip():
        raise CheckpointError(where, f"is damaged: the checksum of {broken} is wrong.", DAMAGED)
    for grown in filter(None, (outgrown(archive.read(name)) for name in pickles)):
        problem = f"was refused: it holds {grown}, which may fill the memory or never end."
        raise CheckpointError(where, problem, USE_OURS)


def _not_an_archive(path: Path) -> CheckpointError:
    with path.open("rb") as file:
        head = file.read(256)
    if not head:
        return CheckpointError(str(path), "is empty, and so no checkpoint.", DAMAGED)
    for pattern, kind, remedy in _KINDS:
        if re.match(pattern, head, re.IGNORECASE | re.DOTALL):
            return CheckpointError(str(path), f"is {kind}, and so no checkpoint.", remedy)
    return CheckpointError(str(path), "is not a checkpoint.", USE_OURS)


def _foreign(error: pickle.UnpicklingError) -> str:
    """What PyTorch refused to make, such as `builtins.eval`."""
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    return found[1] if found else "something else"


def _brief(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:120] if text else type(error).__name__


def _require_plain(where: str, place: str, tensor: Tensor) -> None:
    """Check that a tensor has as many values as bytes that hold them."""
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    if plain and not tensor.is_quantized:
        held = tensor.untyped_storage().nbytes()
        if tensor.numel() * tensor.element_size() <= held and not tensor.is_nested:
            return
        problem = f"{place} claims the shape {tuple(tensor.shape)}, and has {held} bytes."
    else:
        problem = f"{place} is not a plain tensor."
    raise CheckpointError(where, problem, DAMAGED)
