"""How labels agree with the EM they lie on: which sections they fit best, which side is darker."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label as components

FEWEST = 12
"""Sections that have to say something, at least."""

FEWEST_SYNAPSES = 8
"""A few synapses may lie slanted, all the same way, by chance."""

AGREE = 2 / 3
"""The share of sections, at least, whose labels fit best on the same other section."""

SURE = 0.85
"""The share of sections, at least, in which the same side is darker."""

REACH = 2
LEAST_VOXELS = 50


@dataclass
class Agreement:
    """Gathered section by section, in order.

    Attributes:
        votes: How many sections' labels stand out most on the section `k - REACH` further on, by k.
        darker_pre: In how many sections voxels with odd numbers are darker than with even ones.
        darker_post: In how many they are brighter.
        synapses: About how many synapses there are: pieces that begin in a section.
    """

    votes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2 * REACH + 1, np.int64))
    darker_pre: int = 0
    darker_post: int = 0
    synapses: int = 0
    _last: deque[tuple[np.ndarray, np.ndarray]] = field(
        default_factory=lambda: deque(maxlen=2 * REACH + 1)
    )

    def add(self, image: np.ndarray, label: np.ndarray) -> None:
        """Look at the next section.

        Args:
            image: (Y, X) grey values.
            label: (Y, X), 0 where nothing is labelled.
        """
        labelled = label > 0
        before = self._last[-1][1] if self._last else np.zeros_like(labelled)
        self._count(labelled, before)
        grey = _standardised(image)
        self._compare_sides(grey, label)
        self._last.append((grey, labelled))
        if len(self._last) == 2 * REACH + 1:
            self._vote()

    @property
    def shift(self) -> int:
        """By how many sections labels lie too late (below 0: too early), 0 if none can be told."""
        total, best = int(self.votes.sum()), int(np.argmax(self.votes))
        if total < FEWEST or self.synapses < FEWEST_SYNAPSES or self.votes[best] < AGREE * total:
            return 0
        return REACH - best

    @property
    def darker_side(self) -> str:
        """`pre` or `post` where almost all sections agree, else empty."""
        total = self.darker_pre + self.darker_post
        if total < FEWEST or self.synapses < FEWEST_SYNAPSES:
            return ""
        if max(self.darker_pre, self.darker_post) < SURE * total:
            return ""
        return "pre" if self.darker_pre > self.darker_post else "post"

    def _count(self, labelled: np.ndarray, before: np.ndarray) -> None:
        if labelled.any():
            pieces = np.empty(labelled.shape, np.int32)
            components(labelled, output=pieces)
            going_on = np.unique(pieces[before & labelled])
            self.synapses += int(pieces.max()) - going_on.size

    def _compare_sides(self, grey: np.ndarray, label: np.ndarray) -> None:
        odd = label % 2 == 1
        pre, post = grey[odd], grey[(label > 0) & ~odd]
        if min(pre.size, post.size) >= LEAST_VOXELS:
            self.darker_pre += bool(pre.mean() < post.mean())
            self.darker_post += bool(pre.mean() > post.mean())

    def _vote(self) -> None:
        labelled = self._last[REACH][1]
        if np.count_nonzero(labelled) >= LEAST_VOXELS:
            stands_out = [abs(float(grey[labelled].mean())) for grey, _ in self._last]
            self.votes[int(np.argmax(stands_out))] += 1


def _standardised(image: np.ndarray) -> np.ndarray:
    grey = image.astype(np.float32)
    return (grey - grey.mean()) / (grey.std() or 1.0)
