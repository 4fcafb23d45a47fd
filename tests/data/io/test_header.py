from __future__ import annotations

import numpy as np
import pytest

from connectomics.data.io.header import check_array
from connectomics.errors import DataError

UINT8 = np.dtype(np.uint8)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "uint64", "float16", "float64"])
@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 2, 3, 4)])
def test_volumes_of_numbers_are_accepted(dtype: str, shape: tuple[int, ...]) -> None:
    check_array("a.h5", shape, np.dtype(dtype))


@pytest.mark.parametrize("dtype", ["complex64", "S5", "U3", "O", "M8[s]", "V3", "longdouble"])
def test_other_types_are_refused(dtype: str) -> None:
    with pytest.raises(DataError, match=r"a\.h5: holds .*no grey value"):
        check_array("a.h5", (2, 3, 4), np.dtype(dtype))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((30, 40), "one 2-D image of 30 x 40"),
        ((30,), "has 1 axes"),
        ((), "has 0 axes"),
        ((1, 1, 2, 3, 4), r"has 5 axes \(1 x 1 x 2 x 3 x 4\)"),
        ((2, 0, 4), "is empty"),
    ],
)
def test_other_shapes_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_array("a.h5", shape, UINT8)
