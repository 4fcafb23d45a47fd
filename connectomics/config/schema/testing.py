"""`inference`, `decoding` and `evaluation`: from a network to scores."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from connectomics.config.schema.base import (
    Channels,
    EncodingName,
    NameOrSection,
    Section,
    Size3,
)


class WindowSection(Section):
    """The sliding window. `window_size` follows `data.dataloader.patch_size` unless given."""

    window_size: Size3 | None = None
    overlap: Annotated[float, Field(ge=0, le=0.9)] = 0.5
    blending: Literal["bump", "gaussian", "constant"] = "bump"
    padding_mode: Literal["reflect", "replicate", "constant"] = "reflect"
    batch_size: Literal["auto"] | Annotated[int, Field(gt=0, le=4096)] = "auto"


Flip = Annotated[tuple[Annotated[int, Field(ge=0, le=2)], ...], Field(max_length=3)]


class TestTimeAugmentationSection(Section):
    """Predictions of flipped images, flipped back and averaged (or their maximum).

    `flip_axes: all` takes the eight combinations of z, y and x; a list such as `[[1], [2],
    [1, 2]]` names combinations (0 is z); the unflipped image is always among them.
    """

    enabled: bool = False
    flip_axes: Literal["all"] | Annotated[tuple[Flip, ...], Field(max_length=8)] = "all"
    ensemble_mode: Literal["mean", "max"] = "mean"


class ChannelActivationSection(Section):
    """The function that turns the logits of some channels into probabilities."""

    channels: Channels
    activation: Literal["sigmoid", "softmax", "none"]


class InferenceModelSection(Section):
    """How the network's output is read. Activations follow from the losses unless given."""

    channel_activations: tuple[ChannelActivationSection, ...] | None = None
    use_ema: bool = True


class InferenceSection(Section):
    """From a network and a volume to a probability volume.

    Without `save_probabilities` a volume is decoded as it is predicted, and they are not kept.
    """

    window: WindowSection = WindowSection()
    test_time_augmentation: TestTimeAugmentationSection = TestTimeAugmentationSection()
    model: InferenceModelSection = InferenceModelSection()
    save_dtype: Literal["float32", "float16", "uint8"] = "float16"
    save_probabilities: bool = True


class DecodingSection(Section):
    """From a probability volume to labels, and to their table in other programs' forms.

    What is found and is smaller than `least_share` of a small synapse that the network learned from
    is dropped, by a decoder that can (`synapses`); 0 is off, and so it is where its own setting is
    given (`min_synapse_nm3`). `exports` are written beside `synapses.csv`; see
    `connectomics.decoding.EXPORTS`.
    """

    steps: tuple[NameOrSection, ...] = ()
    least_share: Annotated[float, Field(ge=0, le=1)] = 0.33
    exports: tuple[str, ...] = ()


class ScoringSection(Section):
    """Which scores, and how the truth is stored. Without `metrics` they suit the labels.

    `viewer` is the address of a Neuroglancer that shows the volume, as it stands in a browser; the
    report then links each synapse to its place there.
    """

    metrics: tuple[NameOrSection, ...] = ()
    iou_thresholds: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1, max_length=100)
    ] = (0.3, 0.5, 0.75)
    truth_encoding: EncodingName = "auto"
    ignore_border: bool = False
    viewer: str = ""


class EvaluationSection(ScoringSection):
    """From labels to scores."""

    enabled: bool = True
