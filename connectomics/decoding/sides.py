"""What becomes of synapses of which only one side was found."""

from __future__ import annotations

import logging

import numpy as np

from connectomics.decoding.decoder import Refiner
from connectomics.errors import DataError

logger = logging.getLogger(__name__)


def drop_one_sided(labels: np.ndarray) -> np.ndarray:
    """Remove the synapses that lack a pre- or a post-synaptic side, and number the rest anew.

    A density without vesicles, or vesicles without a density, is no synapse: where both sides
    are labelled in training, a side that stands alone is most often a mistake.

    Args:
        labels: (Z, Y, X) unsigned polarity labels: 2n - 1 is the pre side of synapse n, 2n its
            post side.

    Returns:
        (Z, Y, X) labels, numbered from 1 without gaps, in the smallest unsigned dtype.

    Raises:
        DataError: The labels are not unsigned integers.

    >>> drop_one_sided(np.array([[[1, 2, 0, 3, 0, 5, 6]]], dtype=np.uint8))
    array([[[1, 2, 0, 0, 0, 3, 4]]], dtype=uint8)
    """
    if labels.dtype.kind != "u":
        raise DataError(
            "drop_one_sided",
            f"the labels are {labels.dtype}.",
            "Give unsigned polarity labels, as polarity2instance makes them.",
        )
    highest = int(labels.max(initial=0))
    present = np.zeros(highest + 2 + highest % 2, dtype=bool)
    for section in labels:
        present[section] = True
    paired = present[1:-1:2] & present[2::2] if highest else np.zeros(0, dtype=bool)
    numbers = np.cumsum(paired) * paired
    renumbered = np.zeros(len(present), dtype=np.min_scalar_type(2 * int(paired.sum())))
    renumbered[1 : 2 * len(paired) : 2] = np.where(paired, 2 * numbers - 1, 0)
    renumbered[2 : 2 * len(paired) + 1 : 2] = 2 * numbers
    return renumbered[labels]


DROP_ONE_SIDED = Refiner(drop_one_sided, encoding="polarity")


def report_one_sided(pre: np.ndarray, post: np.ndarray) -> None:
    """Log how many synapses have no pre or no post voxel."""
    only_pre, only_post = np.count_nonzero(pre & ~post), np.count_nonzero(post & ~pre)
    if only_pre or only_post:
        logger.warning(
            "One-sided synapses: %d of %d (%d without post, %d without pre).",
            only_pre + only_post,
            np.count_nonzero(pre | post),
            only_pre,
            only_post,
        )
