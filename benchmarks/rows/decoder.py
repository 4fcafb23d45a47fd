"""Probabilities to labels, against the published rule in plain numpy and cc3d."""

from __future__ import annotations

from collections.abc import Iterator

from baselines import plain_decoder
from decoding import synapse_probabilities
from timing import Row, versus

from connectomics.decoding import polarity2instance


def rows(small: bool) -> Iterator[Row]:
    """Measure the baseline decoder."""
    shape = (16, 256, 256) if small else (64, 1024, 1024)
    volume = synapse_probabilities(shape, "default")
    yield versus(
        "polarity2instance",
        f"3 x {' x '.join(map(str, shape))} uint8",
        lambda: polarity2instance(volume),
        ("numpy and cc3d, step by step", lambda: plain_decoder.polarity2instance(volume)),
    )
