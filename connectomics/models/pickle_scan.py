"""What a pickle would make, told from its opcodes before any of it is made.

PyTorch's reader runs nothing, but a few bytes are enough to make it fill the memory or work for
ever: a `bytearray` of any size, or tuples of tuples that double with each step.
"""

from __future__ import annotations

import math
import pickletools
from typing import Any

GROWING = "bytearray"
"""The one thing PyTorch accepts that may be larger than what it is made of."""

MOST_GROWTH = 2_000_000
"""How many times over tuples may stand in one another, as there is so much to hash where the
outermost is a key. The settings that hundreds of parameter groups share make a few hundred."""

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
    uses: list[int] = []  # of each tuple that may be used again
    kept: dict[Any, int] = {}  # which of them lies at a place of the memo by now
    previous = ""
    for opcode, argument, _ in pickletools.genops(pickled):
        name = opcode.name
        if name == "GLOBAL" and str(argument).split(" ")[-1] == GROWING:
            return f"a {GROWING}"
        if name in _PUTS and previous in _TUPLES:
            kept[argument] = len(uses)
            uses.append(1)
        elif name in _GETS and argument in kept:
            uses[kept[argument]] += 1
        previous = name
    return "tuples within tuples" if math.prod(uses) > MOST_GROWTH else None
