"""Compiled loops, imported when the first of them is used.

numba takes longer to import than `connectomics.decoding` may take as a whole. The modules that
call compiled code therefore write `kernels.runs.join_block(...)`, and pay at the first call.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectomics.decoding.kernels import bits, boxes, centres, runs, voxels

__all__ = ["bits", "boxes", "centres", "runs", "voxels"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
