"""The decoders a config may name, and what becomes of `decoding.steps`.

A new decoder is a function of a volume and settings, its record (`Decoder`) beside it, and a line
in `DECODERS`. Its settings are the keyword arguments it takes. What may follow one is the same with
a `Refiner`, in `REFINERS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from connectomics.decoding.components import BINARY2INSTANCE
from connectomics.decoding.decoder import Decoder, Encoding, Refiner
from connectomics.decoding.polarity import POLARITY2INSTANCE
from connectomics.decoding.resize import resize_nearest
from connectomics.decoding.sides import DROP_ONE_SIDED
from connectomics.decoding.synapses import SYNAPSES, SynapseResult
from connectomics.decoding.table import SynapseList, list_synapses
from connectomics.digests import digest
from connectomics.errors import ConfigError, Fault, did_you_mean
from connectomics.geometry import NOWHERE, VoxelGrid
from connectomics.legal import illegal_settings

if TYPE_CHECKING:
    import pandas as pd

    from connectomics.config.schema import DecodingSection

DECODERS: dict[str, Decoder] = {
    "binary2instance": BINARY2INSTANCE,
    "polarity2instance": POLARITY2INSTANCE,
    "synapses": SYNAPSES,
}
"""Decoders by their name in a config."""

SMALL = "small_synapse_nm3"
"""How probabilities say of what size a small synapse was among those that was learned from."""

REFINERS: dict[str, Refiner] = {"drop_one_sided": DROP_ONE_SIDED}
"""What may follow a decoder, by its name in a config."""


class Decoded(NamedTuple):
    """What decoding a volume gives.

    Attributes:
        labels: (Z, Y, X); `output_encoding` says what they mean.
        table: The synapse table; None for labels without polarity, and where the resolution is
            not known.
        partners: See `SynapseResult`; None without table or neurons.
    """

    labels: np.ndarray
    table: pd.DataFrame | None = None
    partners: pd.DataFrame | None = None


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
        if step.name in REFINERS:
            faults += _refiner_faults(where, steps, i)
            continue
        if step.name not in DECODERS:
            hint = did_you_mean(step.name, [*DECODERS, *REFINERS])
            faults.append(Fault(f"{where}.name", f"there is no decoder {step.name!r}.", hint))
            continue
        faults += _setting_faults(f"{where}.kwargs", step)
        wanted = DECODERS[step.name].channels
        if i > 0:
            faults.append(
                Fault(
                    f"{where}.name",
                    f"{step.name} reads probabilities, but step 0 has already made labels of them.",
                    f"Keep one decoder. What may follow it: {', '.join(REFINERS)}.",
                )
            )
        elif channels not in (None, wanted):
            others = [name for name, one in DECODERS.items() if one.channels == channels]
            faults.append(
                Fault(
                    f"{where}.name",
                    f"{step.name} reads {wanted} channels, but the probabilities have {channels}.",
                    f"Decoders of {_count(channels)}: {', '.join(others) or 'none'}.",
                    because=("model.out_channels",),
                )
            )
    return faults


def _count(channels: int) -> str:
    return f"{channels} channel{'s' * (channels != 1)}"


def decode(
    probabilities: np.ndarray,
    steps: Sequence[Step],
    *,
    grid: VoxelGrid = NOWHERE,
    neurons: np.ndarray | None = None,
) -> Decoded:
    """Decode a probability volume as `decoding.steps` says.

    Args:
        probabilities: (C, Z, Y, X) as the decoder reads it.
        steps: One decoder with its settings, and what follows it.
        grid: Where the voxels lie. `synapses` needs to know their size.
        neurons: (Z, Y, X) ids of a neuron segmentation, where there is one.

    Raises:
        ConfigError: There is no step, or `check_decoding` finds a fault.
        DataError: The decoder refuses the volume, or lacks its resolution.
    """
    _require_decodable(steps)
    step, *refiners = steps
    decoder = DECODERS[step.name]
    place = {"resolution": grid.resolution, "offset_nm": grid.offset_nm}
    supplied = {**place, "neurons": neurons}
    taken = {name: supplied[name] for name in decoder.supplied}
    result = decoder.function(probabilities, **taken, **step.kwargs)
    if isinstance(result, SynapseResult):
        return Decoded(*result)
    for refiner in refiners:
        result = REFINERS[refiner.name].function(result, **refiner.kwargs)
    if output_encoding(step) != "polarity" or grid.resolution is None:
        return Decoded(result)
    return Decoded(result, *_listed(result, probabilities, step, grid, neurons))


def _require_decodable(steps: Sequence[Step]) -> None:
    if not steps:
        raise ConfigError(
            "decoding.steps",
            "there is no step, so nothing turns probabilities into labels.",
            "Add one, such as: decoding: {steps: [{name: polarity2instance}]}",
        )
    faults = check_decoding(steps)
    if faults:
        raise ConfigError.of(faults)


def _listed(
    labels: np.ndarray,
    probabilities: np.ndarray,
    step: Step,
    grid: VoxelGrid,
    neurons: np.ndarray | None,
) -> SynapseList:
    """What a decoder found that gives labels alone, perhaps of another size."""
    shape = probabilities.shape[-3:]
    if labels.shape == shape:
        exclusive = bool(step.kwargs.get("exclusive", False))
        return list_synapses(
            labels, grid, probabilities=probabilities, exclusive=exclusive, neurons=neurons
        )
    if neurons is not None:
        factors = [new / old for old, new in zip(shape, labels.shape, strict=True)]
        neurons = resize_nearest(neurons, factors)
    return list_synapses(labels, grid.resized(shape, labels.shape), neurons=neurons)


def output_encoding(step: Step) -> Encoding:
    """What the labels of a step mean.

    Returns:
        "polarity": 2n - 1 for the pre and 2n for the post side of synapse n. "semantic": 1 for
        pre, 2 for post. "instance": n.
    """
    return "semantic" if step.kwargs.get("semantic") else DECODERS[step.name].encoding


def needs_resolution(step: Step) -> bool:
    """Whether a decoder cannot do without the voxel size."""
    return DECODERS[step.name].needs_resolution


def settings_of(step: Step) -> dict[str, Any]:
    """All settings of the decoder of a step, those that are not given too."""
    return DECODERS[step.name].settings | dict(step.kwargs)


def unlike_default(step: Step) -> dict[str, Any]:
    """The settings of a step by which it does anything else than without them."""
    defaults = DECODERS[step.name].settings if step.name in DECODERS else {}
    return {
        name: value
        for name, value in step.kwargs.items()
        if name not in defaults or digest(value) != digest(defaults[name])
    }


def with_least(section: DecodingSection, made_with: Mapping[str, Any]) -> DecodingSection:
    """Have synapses dropped that are far smaller than those that a network learned from.

    Args:
        section: The decoder, and the share of a small labelled synapse that one has to have.
        made_with: What probabilities say of their network, `SMALL` among it where it is known.

    Returns:
        The section with that as the setting `Decoder.least`, unless it is given.
    """
    small = made_with.get(SMALL)
    if not section.steps or not section.least_share or small is None:
        return section
    first, *others = section.steps
    name = DECODERS[first.name].least
    if not name or name in unlike_default(first):
        return section
    least = float(f"{section.least_share * float(small):.3g}")
    if least <= DECODERS[first.name].settings[name]:
        return section
    first = first.model_copy(update={"kwargs": {**first.kwargs, name: least}})
    return section.model_copy(update={"steps": (first, *others)})


def said_of_least(section: DecodingSection) -> str:
    """Say what `with_least` has dropped.

    >>> from connectomics.config.schema import DecodingSection
    >>> section = DecodingSection(steps=["synapses"])
    >>> said_of_least(with_least(section, {SMALL: 5e6}))
    'drops what has less than 1.65e+06 nm³: 0.33 (decoding.least_share) of a small labelled synapse'
    """
    first = section.steps[0]
    return (
        f"drops what has less than {first.kwargs[DECODERS[first.name].least]:.3g} nm³: "
        f"{section.least_share:g} (decoding.least_share) of a small labelled synapse"
    )


def _setting_faults(where: str, step: Step) -> list[Fault]:
    """Unknown names and wrong types first; a value is only looked at when those are right."""
    from connectomics.config.signatures import check_kwargs

    one = DECODERS.get(step.name) or REFINERS[step.name]
    given, name = step.kwargs, step.name
    faults = check_kwargs(where, one.function, given, skip=one.no_settings, called=name)
    return faults or illegal_settings(one.function, step.kwargs, where)


def _refiner_faults(where: str, steps: Sequence[Step], number: int) -> list[Fault]:
    """What is wrong with a step that changes labels."""
    step, first = steps[number], steps[0]
    refiner, faults = REFINERS[step.name], _setting_faults(f"{where}.kwargs", step)
    if number == 0 or first.name not in DECODERS or not refiner.follows(DECODERS[first.name]):
        named = " or ".join(name for name, one in DECODERS.items() if refiner.follows(one))
        problem = f"{step.name} changes the labels of {named}, which must come first."
        faults.append(Fault(f"{where}.name", problem))
    elif output_encoding(first) == "semantic":
        problem = f"{step.name} needs synapses, and semantic labels have none."
        faults.append(Fault(f"{where}.name", problem, "Leave semantic out."))
    return faults
