"""True positives, false positives, false negatives and what follows from them."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

from connectomics.errors import DataError


@dataclass(frozen=True)
class Counts:
    """How many objects were found, invented and missed.

    Ratios are NaN where they are undefined: precision without predictions, recall without
    truth, F1 without either. An empty truth with predictions has precision 0, an empty
    prediction of something has F1 0.

    >>> Counts(tp=3, fp=1, fn=2).f1
    0.6666666666666666
    >>> (Counts(0, 0, 0) + Counts(1, 0, 0)).f1  # pooled over volumes by adding up
    1.0
    """

    tp: int
    fp: int
    fn: int

    @property
    def precision(self) -> float:
        """TP / (TP + FP)."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """TP / (TP + FN)."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    def __str__(self) -> str:
        return f"{self.tp}/{self.fp}/{self.fn}"

    def as_dict(self) -> dict[str, float]:
        """Counts and ratios by name."""
        counts = {"tp": self.tp, "fp": self.fp, "fn": self.fn}
        return counts | {"precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True)
class SynapseCount:
    """How many synapses labels hold, as scores count them and in the words that all use.

    Attributes:
        number: A synapse is counted once, in however many pieces it is and however small it is.
        cut: How many of them the border cuts: a face of the volume, or unlabelled voxels.

    >>> print(SynapseCount(45, 18)), print(SynapseCount(2, 0) + SynapseCount(1, 0))
    45 synapses, 18 of them cut by the border
    3 synapses, none of them cut by the border
    (None, None)
    """

    number: int
    cut: int

    @classmethod
    def of(cls, touches_border: Iterable[bool]) -> SynapseCount:
        """Of synapses, by whether each is cut."""
        cut = [bool(one) for one in touches_border]
        return cls(len(cut), sum(cut))

    def __add__(self, other: SynapseCount) -> SynapseCount:
        return SynapseCount(self.number + other.number, self.cut + other.cut)

    def __str__(self) -> str:
        if self.number == 0:
            return "0 synapses"
        if self.number == 1:
            return f"1 synapse, {'' if self.cut else 'not '}cut by the border"
        cut = {0: "none", self.number: "all"}.get(self.cut, f"{self.cut:,}")
        return f"{self.number:,} synapses, {cut} of them cut by the border"


def ratio(part: float, whole: float) -> float:
    """`part / whole`, NaN where `whole` is 0."""
    return part / whole if whole else math.nan


def check_same_threshold(first: float, second: float) -> None:
    """Refuse to add scores of different IoU thresholds.

    Raises:
        DataError: They differ.
    """
    if first != second:
        raise DataError(
            "evaluation: pool",
            f"scores at IoU {first} and {second} do not add up.",
            "Pool scores of one threshold.",
        )


class Score(Protocol):
    """What every metric returns: a result that adds up over volumes and can be printed."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know besides the numbers."""
        ...

    def __add__(self, other: Self, /) -> Self:
        """The score of both volumes together, from the summed counts."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Every number by name."""
        ...

    def rows(self) -> list[dict[str, Any]]:
        """Lines of a table: column name to value."""
        ...


class _Summable(Protocol):
    def __add__(self, other: Self, /) -> Self: ...


S = TypeVar("S", bound=_Summable)


def pool(scores: Iterable[S]) -> S:
    """The score of several volumes together: counts are added up, then divided.

    A volume where a ratio is undefined (both sides empty) adds nothing.

    Raises:
        DataError: There is no score to pool.

    >>> pool([Counts(1, 0, 1), Counts(0, 0, 0), Counts(2, 1, 0)])
    Counts(tp=3, fp=1, fn=1)
    """
    scores = tuple(scores)
    if not scores:
        raise DataError("evaluation: pool", "there is no score to pool.", "Give at least one.")
    return functools.reduce(operator.add, scores)
