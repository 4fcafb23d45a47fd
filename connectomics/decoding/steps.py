"""The decoders a config may name, and what becomes of `decoding.steps`.

A new decoder is a function of `volume` and settings, and its line in `DECODERS`,
`INPUT_CHANNELS` and `OUTPUT_ENCODINGS`. Its settings are the keyword arguments it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from connectomics.decoding.components import binary2instance
from connectomics.decoding.polarity import polarity2instance
from connectomics.decoding.settings import setting_faults
from connectomics.errors import ConfigError, Fault, did_you_mean

Encoding = Literal["polarity", "semantic", "instance"]

DECODERS: dict[str, Callable[..., np.ndarray]] = {
    "binary2instance": binary2instance,
    "polarity2instance": polarity2instance,
}
"""Functions from a probability volume and settings to labels, by their name in a config."""

INPUT_CHANNELS: dict[str, int] = {"binary2instance": 1, "polarity2instance": 3}
"""How many channels the probability volume of a decoder has."""

OUTPUT_ENCODINGS: dict[str, Encoding] = {
    "binary2instance": "instance",
    "polarity2instance": "polarity",
}
"""What the labels of a decoder mean, unless its settings say otherwise (`output_encoding`)."""


class Step(Protocol):
    """One entry of `decoding.steps`: the name of a decoder and its settings."""

    @property
    def name(self) -> str:
        """A key of `DECODERS`."""
        ...

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """Its settings by name."""
        ...


def check_decoding(steps: Sequence[Step], *, channels: int | None = None) -> list[Fault]:
    """Find what is wrong with `decoding.steps` before anything is decoded.

    Args:
        steps: The steps in order. None at all is legal: nothing is decoded.
        channels: Channels of the probability volume, where they are known.

    Returns:
        One fault for each unknown name or setting, each value that is out of range, each step
        past the first, and a decoder that reads another number of channels.
    """
    faults = []
    for i, step in enumerate(steps):
        where = f"decoding.steps[{i}]"
        if step.name not in DECODERS:
            hint = did_you_mean(step.name, DECODERS)
            faults.append(Fault(f"{where}.name", f"there is no decoder {step.name!r}.", hint))
            continue
        faults += _setting_faults(f"{where}.kwargs", step)
        wanted = INPUT_CHANNELS[step.name]
        if i > 0:
            faults.append(
                Fault(
                    f"{where}.name",
                    f"{step.name} reads probabilities, but step 0 has already made labels of them.",
                    "Keep one step.",
                )
            )
        elif channels not in (None, wanted):
            others = [name for name, reads in INPUT_CHANNELS.items() if reads == channels]
            faults.append(
                Fault(
                    f"{where}.name",
                    f"{step.name} reads {wanted} channels, but the probabilities have {channels}.",
                    f"Decoders of {channels} channels: {', '.join(others) or 'none'}.",
                )
            )
    return faults


def decode(probabilities: np.ndarray, steps: Sequence[Step]) -> np.ndarray:
    """Decode a probability volume as `decoding.steps` says.

    Args:
        probabilities: (C, Z, Y, X) as the decoder reads it.
        steps: One decoder with its settings.

    Returns:
        (Z, Y, X) labels; `output_encoding` says what they mean.

    Raises:
        ConfigError: There is no step, or `check_decoding` finds a fault.
        DataError: The decoder refuses the volume.
    """
    if not steps:
        raise ConfigError(
            "decoding.steps",
            "there is no step, so nothing turns probabilities into labels.",
            "Add one, such as: decoding: {steps: [{name: polarity2instance}]}",
        )
    faults = check_decoding(steps)
    if faults:
        raise ConfigError.of(faults)
    (step,) = steps
    return DECODERS[step.name](probabilities, **step.kwargs)


def output_encoding(step: Step) -> Encoding:
    """What the labels of a step mean.

    Returns:
        "polarity": 2n - 1 for the pre and 2n for the post side of synapse n. "semantic": 1 for
        pre, 2 for post. "instance": n.
    """
    if step.name == "polarity2instance" and step.kwargs.get("semantic", False):
        return "semantic"
    return OUTPUT_ENCODINGS[step.name]


def _setting_faults(where: str, step: Step) -> list[Fault]:
    """Unknown names and wrong types first; a value is only looked at when those are right."""
    from connectomics.config.signatures import check_kwargs

    faults = check_kwargs(where, DECODERS[step.name], step.kwargs, skip=("volume",))
    return faults or setting_faults(where, **step.kwargs)
