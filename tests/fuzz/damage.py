"""What happens to files: bits flip, pieces go missing, and what a header says becomes nonsense.

Everything is drawn from the generator that is handed in, so that a case can be made again.
"""

from __future__ import annotations

import json
import re
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Random = np.random.Generator
Bytes = Callable[[bytearray, Random], None]

HEADER_BYTES = 512
EXTREMES = (0, 1, 2, 0x7F, 0xFF, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 10**15, 2**63, -1)


def flip_bits(data: bytearray, random: Random) -> None:
    """Flip one to eight bits anywhere."""
    for place in random.integers(0, len(data), random.integers(1, 9)):
        data[place] ^= 1 << int(random.integers(8))


def flip_header_bits(data: bytearray, random: Random) -> None:
    """Flip one to four bits where the format's own structures are likely to stand."""
    for place in random.integers(0, min(len(data), HEADER_BYTES), random.integers(1, 5)):
        data[place] ^= 1 << int(random.integers(8))


def cut_off(data: bytearray, random: Random) -> None:
    """Keep the beginning only."""
    del data[int(random.integers(0, len(data))) :]


def cut_out(data: bytearray, random: Random) -> None:
    """Lose a piece in the middle, and what follows moves up."""
    start, size = _piece(data, random)
    del data[start : start + size]


def zero(data: bytearray, random: Random) -> None:
    """Blank a piece, as a file system does that has lost a block."""
    start, size = _piece(data, random)
    data[start : start + size] = bytes(size)


def scramble(data: bytearray, random: Random) -> None:
    """Write noise over a piece."""
    start, size = _piece(data, random)
    data[start : start + size] = random.bytes(size)


def swap(data: bytearray, random: Random) -> None:
    """Exchange two pieces."""
    first, size = _piece(data, random)
    second = int(random.integers(0, len(data) - size + 1))
    a, b = bytes(data[first : first + size]), bytes(data[second : second + size])
    data[first : first + size], data[second : second + size] = b, a


def double(data: bytearray, random: Random) -> None:
    """Repeat a piece, and what follows moves down."""
    start, size = _piece(data, random)
    data[start:start] = data[start : start + size]


def write_extreme_number(data: bytearray, random: Random) -> None:
    """Put a number that nobody expects where a header may keep a size or an offset."""
    width = int(random.choice([1, 2, 4, 8]))
    reach = min(len(data), HEADER_BYTES if random.random() < 0.6 else len(data)) - width
    place = int(random.integers(0, max(1, reach)))
    order = str(random.choice(["<", ">"]))
    number = EXTREMES[random.integers(len(EXTREMES))] & (2 ** (8 * width) - 1)
    data[place : place + width] = struct.pack(f"{order}{'BHIQ'[width.bit_length() - 1]}", number)


BYTE_DAMAGES: tuple[Bytes, ...] = (
    flip_bits,
    flip_header_bits,
    cut_off,
    cut_out,
    zero,
    scramble,
    swap,
    double,
    write_extreme_number,
)


def damage_bytes(data: bytes, random: Random) -> tuple[bytes, str]:
    """Damage a copy of `data` in one way, or now and then in two; and say in which."""
    damaged, names = bytearray(data), []
    for _ in range(1 + (random.random() < 0.2)):
        chosen = BYTE_DAMAGES[random.integers(len(BYTE_DAMAGES))]
        if damaged:
            chosen(damaged, random)
            names.append(chosen.__name__)
    return bytes(damaged), " and ".join(names)


def _piece(data: bytearray, random: Random) -> tuple[int, int]:
    size = min(len(data), int(2 ** random.uniform(0, 12)))
    return int(random.integers(0, len(data) - size + 1)), size


NESTED = "nested "
"""What the text begins with that stands for a list inside a list inside a list and so on."""

ODD_JSON: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 10**15, 2**63, 10**400, 0.5, 1e300, float("nan"), float("inf")),
    *("", "x", "zyx", "\x00", "\ud800", "nm", "1e5", "µm" * 500, "../../etc"),
    *([], {}, [None], [[]], [1, 2, 3], ["z", "y", "x"], {"a": {}}, [0] * 1000),
)


def damage_json(text: str, random: Random) -> str:
    """Change a value somewhere in a JSON document, take it out, or repeat it."""
    tree = json.loads(text)
    for _ in range(int(random.integers(1, 3))):
        owner, key = _place_in(tree, random)
        action = random.random()
        if owner is None or key is None:
            break
        if action < 0.2:
            del owner[key]
        elif action < 0.3 and isinstance(owner, list):
            owner.insert(key, owner[key])
        elif action < 0.33:
            owner[key] = f"{NESTED}{int(10 ** random.uniform(0, 3.5))}"
        elif action < 0.5 and isinstance(owner[key], int | float):
            # Not 1000: all 12,000 chunks that a shape then promises are looked for, in longer
            # than a file may take.
            owner[key] = owner[key] * [-1, 2, 100, 10**12, 0.5][random.integers(5)]
        else:
            owner[key] = ODD_JSON[random.integers(len(ODD_JSON))]
    return _dump(tree)


def _place_in(tree: Any, random: Random) -> tuple[Any, Any]:
    """A container inside the tree and one of its keys, every place being equally likely."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            places.append((node, key))
            if isinstance(value, dict | list):
                walk(value)

    if isinstance(tree, dict | list):
        walk(tree)
    return places[random.integers(len(places))] if places else (None, None)


def _dump(tree: Any) -> str:
    """As JSON, with lists put in that are nested deeper than Python could write them."""

    def lists(found: re.Match[str]) -> str:
        depth = int(found[1])
        return "[" * depth + "]" * depth

    return re.sub(f'"{NESTED}([0-9]+)"', lists, json.dumps(tree))


ATTRIBUTES = (
    *("resolution", "offset", "voxel_size", "element_size_um", "units", "unit", "encoding"),
    *("axistags", "axis_names", "axes", "_ARRAY_DIMENSIONS", "DIMENSION_LABELS", "DIMENSION_LIST"),
    *("config_hash", "channels", "synthetic", "decoder", "spacing", "name\x7f"),
)

VLEN_TEXT = h5py.string_dtype()
ODD_ATTRIBUTES: tuple[Any, ...] = (
    *("", "x", "4 4 40", b"\xff\xfe", "json:{", "json:" + "[" * 5000, "json:NaN", "nm", "zyx"),
    *(0, -1, 2**64 - 1, 1e300, float("nan"), float("inf"), 1 + 2j, True, np.float16(4)),
    *([], [4], [4, 4], [40, 4, 4, 1], [0, 0, 0], [-40, 4, 4], [float("nan")] * 3, [1e300] * 3),
    *(np.zeros((3, 3)), np.arange(5000), np.ones((0, 3)), np.zeros(3, bool), h5py.Empty("f4")),
    np.zeros(2, [("a", "i4"), ("b", "f8", 3)]),
    np.array(["z", "y", "x"], VLEN_TEXT),
    np.array([b"z", b"y", b"x"]),
    np.array(["40", "4", "4"], VLEN_TEXT),
    np.void(b"opaque"),
    np.array([1, 0, 1], h5py.enum_dtype({"A": 0, "B": 1})),
    np.array([None, None, None], h5py.ref_dtype),
    [10**15, 10**15, 10**15],
    [1e-300, 4, 4],
)


def odd_attributes(file: Path, random: Random) -> str:
    """Give a dataset of an HDF5 file, or its group, an attribute of an odd type or size."""
    with h5py.File(file, "r+") as opened:
        objects: list[Any] = [opened]
        opened.visititems(lambda _, item: objects.append(item))
        item = objects[-1 if random.random() < 0.8 else random.integers(len(objects))]
        known = [*item.attrs, *ATTRIBUTES]
        name = known[random.integers(len(known))]
        value = ODD_ATTRIBUTES[random.integers(len(ODD_ATTRIBUTES))]
        item.attrs[name] = value
    return f"attribute {name} of {item.name if item else 'it'} is {str(value)[:60]!r}"


ODD_TYPES: tuple[Any, ...] = (
    *("f2", "f8", ">u2", "i8", "c8", "S5", "?", "V7", VLEN_TEXT, h5py.ref_dtype),
    np.dtype([("a", "i4"), ("b", "f8", 3)]),
    h5py.vlen_dtype("i4"),
    h5py.enum_dtype({"A": 0, "B": 1}),
)
ODD_SHAPES: tuple[Any, ...] = ((), (0,), (5,), (4, 0, 4), (2, 3, 4, 5, 6), (1, 1, 1), (2, 2))
HUGE_SHAPES = ((100_000, 100_000, 100_000), (1, 2**40, 2**20), (2**31, 8, 8), (3, 2**20, 2**20))


def odd_dataset(file: Path, name: str, random: Random) -> str:
    """Put another dataset, or a link that leads nowhere or in a circle, in the place of one."""
    choices = (_odd_array, _huge_array, _links, _virtual, _elsewhere, _many_datasets)
    chosen = choices[random.integers(len(choices))]
    with warnings.catch_warnings(), h5py.File(file, "r+") as opened:
        warnings.simplefilter("ignore")
        attributes = dict(opened[name].attrs)
        del opened[name]
        chosen(opened, name, random)
        if chosen is not _links and name in opened and random.random() < 0.7:
            for key, value in attributes.items():
                opened[name].attrs[key] = value
    return chosen.__name__


def _odd_array(file: h5py.File, name: str, random: Random) -> None:
    shape = ODD_SHAPES[random.integers(len(ODD_SHAPES))] if random.random() < 0.6 else (6, 24, 32)
    dtype = ODD_TYPES[random.integers(len(ODD_TYPES))] if random.random() < 0.7 else "u2"
    file.create_dataset(name, shape=shape, dtype=dtype)


def _huge_array(file: h5py.File, name: str, random: Random) -> None:
    shape = HUGE_SHAPES[random.integers(len(HUGE_SHAPES))]
    dataset = file.create_dataset(name, shape=shape, dtype="u2", chunks=(1, 8, 8))
    if random.random() < 0.8:  # else it is one that was never written
        dataset[0, :8, :8] = 1


def _links(file: h5py.File, name: str, random: Random) -> None:
    targets: tuple[Any, ...] = (
        h5py.SoftLink("/nowhere"),
        h5py.SoftLink("/" + name),
        h5py.ExternalLink("missing.h5", "/main"),
        h5py.ExternalLink(file.filename, "/" + name),
        h5py.ExternalLink("/dev/null", "/main"),
        np.dtype("f4"),
    )
    file[name] = targets[random.integers(len(targets))]


def _virtual(file: h5py.File, name: str, random: Random) -> None:
    layout = h5py.VirtualLayout((6, 24, 32), "u2")
    for z in range(6):
        if random.random() < 0.8:
            layout[z] = h5py.VirtualSource("missing.h5", "x", (24, 32))
    file.create_virtual_dataset(name, layout, fillvalue=int(random.integers(2)))


def _elsewhere(file: h5py.File, name: str, random: Random) -> None:
    size = 6 * 24 * 32 * 2
    external = [("/etc/hostname", 0, size)] if random.random() < 0.5 else [("gone.raw", 0, size)]
    file.create_dataset(name, (6, 24, 32), "u2", external=external)


def _many_datasets(file: h5py.File, name: str, random: Random) -> None:
    group = file.require_group(name)
    for number in range(int(random.integers(1, 40))):
        group[f"part {number}\n" if random.random() < 0.1 else f"{number}"] = np.zeros(
            (2,) * int(random.integers(0, 5)), "u1"
        )
    group["loop"] = group
