"""`model`: the network and its loss."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from connectomics.config.schema.base import Channels, PositiveInt, Section, Size3


class ArchSection(Section):
    """Which network."""

    type: Literal["rsunet"] = "rsunet"


class RSUNetSection(Section):
    """The shape of the residual symmetric U-Net; see `connectomics.models.RSUNet`."""

    filters: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = (32, 64, 96, 128, 160)
    down_factors: tuple[Size3, ...] = ((1, 2, 2),) * 4
    depth_2d: Annotated[int, Field(ge=0)] = 1
    kernel_2d: Size3 = (1, 3, 3)
    norm: Literal["batch", "group", "instance"] = "batch"
    num_groups: PositiveInt = 8
    activation: Literal["relu", "leakyrelu", "prelu", "elu"] = "elu"
    stem: Literal["none", "stride2"] = "none"
    deep_supervision: bool = False


class LossTermSection(Section):
    """One term of the loss, on some of the channels."""

    function: str
    weight: Annotated[float, Field(ge=0)] = 1.0
    kwargs: dict[str, Any] = {}
    pred_slice: Channels | None = None
    target_slice: Channels | None = None


class LossSection(Section):
    """The loss is the weighted sum of its terms."""

    losses: Annotated[tuple[LossTermSection, ...], Field(min_length=1)] = (
        LossTermSection(function="WeightedBCEWithLogitsLoss"),
    )


class ModelSection(Section):
    """The network and its loss.

    `head_bias` is the logit at which each channel starts. `auto`: as rare as its foreground is in
    the training labels. null: at 0, a probability of one half.
    """

    arch: ArchSection = ArchSection()
    in_channels: Literal[1] = 1
    out_channels: PositiveInt = 1
    rsunet: RSUNetSection = RSUNetSection()
    head_bias: Literal["auto"] | float | None = "auto"
    loss: LossSection = LossSection()
