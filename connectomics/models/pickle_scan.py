"""What a pickle would make, told from its opcodes before any of it is made.

PyTorch's reader runs nothing, but a few bytes are enough to make it fill the memory or work for
ever: a `bytearray` of any size, or tuples of tuples that double with each step.
"""

from __future__ import annotations

import pickletools
from typing import Any

GROWING = "bytearray"
"""The one thing PyTorch accepts that may be larger than what it is made of."""

MOST_SHARED = 40
"""How often tuples that are there already may stand in others; training writes one or two.

Each time at most triples what there is to hash where the outermost is a key.
"""

_TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")


def outgrown(pickled: bytes) -> str | None:
    """What in a pickle may take more memory or time than its size lets expect, if anything.

    >>> import pickle
    >>> outgrown(pickle.dumps([(1, 2), "bytearray"], protocol=2)) is None
    True
    >>> outgrown(pickle.dumps(bytearray(9), protocol=2))
    'a bytearray'

    Raises:
        ValueError: It is no pickle.
    """
    tuples: set[Any] = set()
    shared, previous = 0, ""
    for opcode, argument, _ in pickletools.genops(pickled):
        name = opcode.name
        if name == "GLOBAL" and str(argument).split(" ")[-1] == GROWING:
            return f"a {GROWING}"
        if name in _PUTS and previous in _TUPLES:
            tuples.add(argument)
        elif name in _GETS and argument in tuples:
            shared += 1
        previous = name
    return f"{shared} tuples within tuples" if shared > MOST_SHARED else None
