"""The compiled loops are imported when the first of them is used."""

from __future__ import annotations

import pytest

from connectomics.decoding import kernels


@pytest.mark.parametrize("name", kernels.__all__)
def test_a_kernel_is_imported_by_its_name(name):
    assert getattr(kernels, name).__name__ == f"connectomics.decoding.kernels.{name}"


def test_there_are_no_other_kernels():
    with pytest.raises(AttributeError, match="has no attribute 'loops'"):
        _ = kernels.loops
