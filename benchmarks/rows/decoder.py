"""Probabilities to labels, against the published rule in plain numpy, SciPy and cc3d."""

from __future__ import annotations

from collections.abc import Iterator

from decoding import ORACLE, synapse_probabilities
from timing import Row, versus

from connectomics.decoding import polarity2instance


def rows(small: bool) -> Iterator[Row]:
    """Measure the baseline decoder."""
    shape = (16, 256, 256) if small else (64, 1024, 1024)
    volume = synapse_probabilities(shape, "default")
    plain = ORACLE["plain_polarity2instance"]
    yield versus(
        "polarity2instance",
        f"3 x {' x '.join(map(str, shape))} uint8",
        lambda: polarity2instance(volume),
        ("numpy, SciPy and cc3d, step by step", lambda: plain(volume)),
    )
