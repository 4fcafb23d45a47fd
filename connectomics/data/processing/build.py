"""Targets by name: `data.label_transform.targets` → one function from label to channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from connectomics.config.signatures import check_kwargs
from connectomics.data.processing.target import BINARY, POLARITY, Target
from connectomics.errors import Fault, did_you_mean

TARGETS: dict[str, Target] = {"polarity": POLARITY, "binary": BINARY}
"""Targets by their name in a config."""

PLACE = "data.label_transform.targets"


class TargetSpec(Protocol):
    """One entry of `data.label_transform.targets`."""

    @property
    def name(self) -> str:
        """A key of `TARGETS`."""
        ...

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """Its settings."""
        ...


def check_targets(specs: Sequence[TargetSpec]) -> list[Fault]:
    """Find unknown targets and settings.

    Returns:
        One fault for each, with its place in the config and the legal words.
    """
    faults = []
    for index, spec in enumerate(specs):
        where = f"{PLACE}[{index}]"
        if spec.name in TARGETS:
            function, called = TARGETS[spec.name].function, spec.name
            at, skip = f"{where}.kwargs", ("label",)
            faults += check_kwargs(at, function, spec.kwargs, skip=skip, called=called)
        else:
            hint = did_you_mean(spec.name, TARGETS)
            faults.append(Fault(f"{where}.name", f"no target is called {spec.name!r}.", hint))
    return faults


def build_targets(
    specs: Sequence[TargetSpec],
) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Make one function of several targets.

    Args:
        specs: Checked by `check_targets`.

    Returns:
        A function (Z, Y, X) labels → (C, Z, Y, X) float32, the targets' channels in the order of
        `specs`. It can be pickled, for worker processes.
    """
    functions = [partial(TARGETS[spec.name].function, **spec.kwargs) for spec in specs]
    return partial(_concatenate, functions)


def target_channels(specs: Sequence[TargetSpec]) -> int:
    """Number of channels that `build_targets` makes of these targets."""
    return build_targets(specs)(np.zeros((1, 1, 1), np.uint8)).shape[0]


def channel_names(specs: Sequence[TargetSpec]) -> list[str]:
    """Name the probability channels of a network trained on these targets, in their order."""
    names = []
    for spec in specs:
        target = TARGETS[spec.name]
        names += target.classes if spec.kwargs.get("exclusive", False) else target.channels
    return names


def learns_sides(specs: Sequence[TargetSpec]) -> bool:
    """Whether one of these targets needs labels that tell pre from post."""
    return any(TARGETS[spec.name].sided for spec in specs)


def classes_of(spec: TargetSpec) -> tuple[int, ...] | None:
    """How many classes each channel of a target tells apart: 2 is yes or no; None if it is none.

    >>> from connectomics.config.schema import NamedSection
    >>> classes_of(NamedSection(name="polarity"))
    (2, 2, 2)
    >>> classes_of(NamedSection(name="polarity", kwargs={"exclusive": True}))
    (3,)
    """
    if spec.name not in TARGETS:
        return None
    names = channel_names([spec])
    return (len(names),) if spec.kwargs.get("exclusive", False) else (2,) * len(names)


def kinds_of_targets(specs: Sequence[TargetSpec]) -> list[tuple[str, ...]]:
    """Name the kinds of foreground that each channel of the targets tells apart."""
    kinds: list[tuple[str, ...]] = []
    for spec in specs:
        names = channel_names([spec])
        kinds += [tuple(names[1:])] if "background" in names else [(name,) for name in names]
    return kinds


def _concatenate(
    functions: Sequence[Callable[[NDArray[Any]], NDArray[np.float32]]], label: NDArray[Any]
) -> NDArray[np.float32]:
    return np.concatenate([function(label) for function in functions])
