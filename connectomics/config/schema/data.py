"""`data`: volumes, normalisation, targets, augmentation and sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from connectomics.config.schema.base import (
    Count,
    Fraction,
    NamedSection,
    NameOrSection,
    Paths,
    PositiveInt,
    Resolution,
    Section,
    Seed,
    Size3,
)
from connectomics.geometry import Box

Range = tuple[Count, PositiveInt]
"""The first along an axis, and one past the last, counted from 0."""


class PhantomSection(Section):
    """Synthetic EM in place of files; see `connectomics.phantom.make_phantom`.

    `neurons: true` gives decoding the true neurons, as `neurons` of a split does.
    """

    seed: Seed = 0
    shape: Size3 = (64, 512, 512)
    neurons: bool = False
    kwargs: dict[str, Any] = {}


class SplitSection(Section):
    """The volumes of one split: files, or a synthetic phantom.

    `neurons` is a segmentation that tells decoding which neurons a synapse connects;
    `annotations` is a file with the sites of true synapses in the CREMI format, for the metrics
    `points` and `cremi_partners`. `z_range: [0, 70]` takes sections 0 to 69 of every volume, and
    `y_range` and `x_range` rows and columns likewise; all three are counted in its own voxels.
    """

    image: Paths | None = None
    label: Paths | None = None
    mask: Paths | None = None
    neurons: Paths | None = None
    annotations: Paths | None = None
    phantom: PhantomSection | None = None
    resolution: Resolution | None = None
    z_range: Range | None = None
    y_range: Range | None = None
    x_range: Range | None = None

    @property
    def ranges(self) -> tuple[Range | None, Range | None, Range | None]:
        """What it takes of every volume along z, y and x; None where that is all."""
        return self.z_range, self.y_range, self.x_range

    def box_in(self, shape: Sequence[int]) -> Box:
        """What it takes of a volume of `shape` (Z, Y, X).

        >>> SplitSection(image="em.h5", y_range=(10, 30)).box_in((5, 40, 60))
        Box(start=(0, 10, 0), stop=(5, 30, 60))
        """
        ends = [given or (0, n) for given, n in zip(self.ranges, shape, strict=True)]
        return Box(*zip(*ends, strict=True))

    @property
    def synthetic(self) -> bool:
        """Whether there is no real EM in it; results say so wherever they are shown."""
        return self.phantom is not None


class ImageTransformSection(Section):
    """How grey values become network input."""

    normalize: Literal["0-1", "z-score", "none"] = "0-1"
    clip_percentile_low: Fraction = 0.0
    clip_percentile_high: Fraction = 1.0
    statistics: Literal["volume", "train"] = "volume"


class LabelTransformSection(Section):
    """What the network learns, made from the label volume."""

    targets: Annotated[tuple[NameOrSection, ...], Field(min_length=1)] = (
        NamedSection(name="binary"),
    )


class RejectSamplingSection(Section):
    """Draw again, with probability `p`, a patch of fewer than `size_thres` labelled voxels.

    `size_thres: auto` is the size of a small whole synapse among the labelled ones.
    """

    size_thres: Literal["auto"] | Count = "auto"
    p: Fraction = 0.95


class DataloaderSection(Section):
    """How patches are drawn and batched.

    `foreground_fraction` of the patches are centred on a labelled synapse; the others are drawn
    by `reject_sampling`.
    """

    patch_size: Size3 = (18, 256, 256)
    batch_size: Annotated[int, Field(gt=0, le=4096)] = 2
    num_workers: Annotated[int, Field(ge=0, le=256)] = 2
    reject_sampling: RejectSamplingSection | None = None
    foreground_fraction: Fraction = 0.0
    cache_limit_gib: Annotated[float, Field(ge=0, le=10**6)] = 8.0


class DataSection(Section):
    """Everything between the files and the network's input.

    Without `val`, the last `val_fraction` of the training volumes is held back for validation, and
    a patch before it is left out; `val_gap` (z, y, x) says otherwise, of which the number along the
    axis of the cut counts.
    `augmentation` holds settings by name; null switches one off.
    """

    train: SplitSection | None = None
    val: SplitSection | None = None
    test: SplitSection | None = None
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.15
    val_gap: Size3 | None = None
    num_val_patches: Annotated[int, Field(gt=0, le=10**6)] = 16
    image_transform: ImageTransformSection = ImageTransformSection()
    label_transform: LabelTransformSection = LabelTransformSection()
    augmentation: dict[str, dict[str, Any] | None] = {}
    dataloader: DataloaderSection = DataloaderSection()
