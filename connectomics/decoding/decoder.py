"""What the rest of the program needs to know of a decoder, or of what may follow one: a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from connectomics.decoding.blockwise.by_block import ByBlock

Encoding = Literal["polarity", "semantic", "instance"]

SUPPLIED = ("resolution", "offset_nm", "neurons")
"""Arguments of decoders that come with the volume and are no settings."""


@dataclass(frozen=True)
class Decoder:
    """A decoder that a config may name.

    Attributes:
        function: From a probability volume, its first argument, and settings to labels or a
            `SynapseResult`. It is given those of the `SUPPLIED` arguments that it takes.
        channels: Of the probability volume.
        encoding: What its labels mean; with a setting `semantic` that is on, they are semantic.
        space: Where `tune` searches unless it is told: for each setting two numbers, the ends of
            a range, or more values to choose from. `name[0]` is the first item of a setting that
            is a list. Volumes (`thres_small`, `..._nm3`) are searched by orders of magnitude.
        least: Its setting of the size in nm³ below which a synapse is dropped, which
            `decoding.least_share` raises; empty if it has none.
        fixed: Settings that say what the probabilities or the labels are, and are not searched.
        lists: Whether it gives a `SynapseResult`, whose labels nothing may change any more.
        by_block: Gives what decodes block by block, imported when it is asked for; None where
            only whole volumes are decoded.

    >>> from connectomics.decoding.components import BINARY2INSTANCE
    >>> BINARY2INSTANCE.settings
    {'thres': 0.5, 'thres_small': 128, 'dilate_sz': 0}
    """

    function: Callable[..., Any]
    channels: int
    encoding: Encoding
    space: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    least: str = ""
    fixed: tuple[str, ...] = ()
    lists: bool = False
    by_block: Callable[[], ByBlock] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings that have a default, with it."""
        from connectomics.config.signatures import default_settings

        return default_settings(self.function, skip=self.no_settings)

    @property
    def no_settings(self) -> tuple[str, ...]:
        """Its other arguments: the volume, and what comes with it."""
        return (next(iter(self._parameters)), *SUPPLIED)

    @property
    def supplied(self) -> tuple[str, ...]:
        """The `SUPPLIED` arguments that it takes."""
        return tuple(name for name in SUPPLIED if name in self._parameters)

    @property
    def needs_resolution(self) -> bool:
        """Whether it cannot do without the voxel size."""
        resolution = self._parameters.get("resolution")
        return resolution is not None and resolution.default is resolution.empty

    @property
    def _parameters(self) -> Mapping[str, Parameter]:
        return signature(self.function).parameters


@dataclass(frozen=True)
class Refiner:
    """What may follow a decoder in `decoding.steps`.

    Attributes:
        function: From labels, its first argument, and settings to labels of the same kind.
        encoding: Of these labels. It follows every decoder that makes such and `lists` nothing.
    """

    function: Callable[..., np.ndarray]
    encoding: Encoding

    @property
    def no_settings(self) -> tuple[str, ...]:
        """Its other arguments: the labels."""
        return (next(iter(signature(self.function).parameters)),)

    def follows(self, decoder: Decoder) -> bool:
        """Whether it may follow a decoder."""
        return decoder.encoding == self.encoding and not decoder.lists
