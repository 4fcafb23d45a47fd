"""What is compared: made once, and handed on to all that counts in it."""

from __future__ import annotations

from dataclasses import dataclass

from connectomics.evaluation.encoding import Encoding
from connectomics.evaluation.volumes import Labels, check_shapes


@dataclass(frozen=True, eq=False)
class Pair:
    """A truth and a prediction of the same voxels, and how they are stored.

    Attributes:
        truth: (Z, Y, X) labels.
        prediction: (Z, Y, X) labels.
        mask: (Z, Y, X), 0 where voxels are unlabelled and do not exist.
        truth_encoding: See `interpret`.
        prediction_encoding: See `interpret`.
        dilate_sz: Grouping of semantic or binary labels, see `interpret`.

    Raises:
        DataError: Their shapes differ.
    """

    truth: Labels
    prediction: Labels
    mask: Labels | None = None
    truth_encoding: Encoding = "auto"
    prediction_encoding: Encoding = "auto"
    dilate_sz: int | None = None

    def __post_init__(self) -> None:
        check_shapes(self.truth, self.prediction, self.mask)
