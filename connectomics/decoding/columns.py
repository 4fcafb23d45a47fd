"""What stands in the columns of a synapse table, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def points(table: pd.DataFrame, point: str) -> np.ndarray:
    """(N, 3) positions in nm (z, y, x)."""
    return np.stack([column(table, f"{point}_{axis}_nm") for axis in "zyx"], axis=1)


def neurons(table: pd.DataFrame, side: str) -> np.ndarray:
    """(N,) uint64 neurons of a side, 0 for none."""
    return np.asarray(table[f"{side}_neuron"].fillna(0), np.uint64)


def column(table: pd.DataFrame, name: str) -> np.ndarray:
    """(N,) values of a column."""
    return np.asarray(table[name])
