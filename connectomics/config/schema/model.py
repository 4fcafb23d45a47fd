"""`model`: the network and its loss."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from connectomics.config.schema.base import Channels, File, Section


class ArchSection(Section):
    """Which network."""

    type: Literal["rsunet"] = "rsunet"


Width = Annotated[int, Field(gt=0, le=4096)]
Factor = Annotated[int, Field(gt=0, le=32)]
Factors = tuple[Factor, Factor, Factor]


class RSUNetSection(Section):
    """The shape of the residual symmetric U-Net; see `connectomics.models.RSUNet`."""

    filters: Annotated[tuple[Width, ...], Field(min_length=2, max_length=10)] = (
        *(32, 64, 96, 128, 160),
    )
    down_factors: tuple[Factors, ...] = ((1, 2, 2),) * 4
    depth_2d: Annotated[int, Field(ge=0, le=10)] = 1
    kernel_2d: Factors = (1, 3, 3)
    norm: Literal["batch", "group", "instance"] = "batch"
    num_groups: Width = 8
    activation: Literal["relu", "leakyrelu", "prelu", "elu"] = "elu"
    stem: Literal["none", "stride2"] = "none"
    deep_supervision: bool = False


class LossTermSection(Section):
    """One term of the loss, on some of the channels."""

    function: str
    weight: Annotated[float, Field(ge=0, le=10**6)] = 1.0
    kwargs: dict[str, Any] = {}
    pred_slice: Channels | None = None
    target_slice: Channels | None = None


class LossSection(Section):
    """The loss is the weighted sum of its terms."""

    losses: Annotated[tuple[LossTermSection, ...], Field(min_length=1, max_length=100)] = (
        LossTermSection(function="WeightedBCEWithLogitsLoss"),
    )


class ModelSection(Section):
    """The network and its loss.

    `head_bias` is the logit at which each channel starts. `auto`: as rare as its foreground is in
    the training labels. null: at 0, a probability of one half. `initial_weights` is a checkpoint,
    or a state dict, of which training starts from what fits.
    """

    arch: ArchSection = ArchSection()
    in_channels: Literal[1] = 1
    out_channels: Annotated[int, Field(gt=0, le=1024)] = 1
    rsunet: RSUNetSection = RSUNetSection()
    head_bias: Literal["auto"] | Annotated[float, Field(ge=-100, le=100)] | None = "auto"
    initial_weights: File | None = None
    loss: LossSection = LossSection()

    @property
    def network(self) -> Section:
        """The settings of the network: the section that `arch.type` names."""
        return getattr(self, self.arch.type)
