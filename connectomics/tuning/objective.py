"""What a trial is worth: decode the validation volumes, and score them against the truth."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from connectomics.decoding.foreground import TooMuchForegroundError
from connectomics.errors import naming
from connectomics.evaluation import METRICS, Encoding, Score, ThresholdSweep

logger = logging.getLogger("connectomics.decoding")


class ValidationVolume(NamedTuple):
    """A volume with its probabilities and its truth, in memory.

    Attributes:
        name: For messages.
        probabilities: (C, Z, Y, X), as the decoder reads them.
        truth: (Z, Y, X) labels.
        resolution: nm per voxel (z, y, x), or None where nobody says.
        mask: (Z, Y, X), 0 where voxels do not count; None where all do.
        neurons: (Z, Y, X) ids, where decoding is to know of them.
        truth_encoding: How the truth is stored.
        made_with: What its probabilities say of their network.
    """

    name: str
    probabilities: np.ndarray
    truth: np.ndarray
    resolution: tuple[float, float, float] | None = None
    mask: np.ndarray | None = None
    neurons: np.ndarray | None = None
    truth_encoding: Encoding = "auto"
    made_with: Mapping[str, Any] = {}


class Goal(NamedTuple):
    """A number that tuning can maximise.

    Attributes:
        metric: The metric of `connectomics.evaluation` that has it.
        number: Its name there.
    """

    metric: str
    number: str

    @property
    def sided(self) -> bool:
        """Whether it needs labels with sides."""
        return METRICS[self.metric].sided_truth

    @property
    def of_thresholds(self) -> bool:
        """Whether there is one for each IoU threshold."""
        return METRICS[self.metric].matches


GOALS: dict[str, Goal] = {
    name: Goal(metric, number)
    for metric, record in METRICS.items()
    if record not in list(METRICS.values())[: list(METRICS).index(metric)]  # another name of it
    for name, number in record.goals.items()
}
"""What `tune.metric` may name. All lie between 0 and 1, and more is better."""


def goal_value(goal: Goal, score: Score) -> float:
    """The mean of a number over the thresholds of its score.

    A number that is undefined counts as 0: settings that find nothing to be judged by are no
    good ones.
    """
    if isinstance(score, ThresholdSweep):
        values = [one.numbers()[goal.number] for one in score.scores]
    else:
        values = [score.as_dict()[goal.number]]
    return float(np.mean([0.0 if math.isnan(value) else value for value in values]))


@dataclass(frozen=True)
class Objective:
    """The score of settings on all validation volumes.

    Attributes:
        volumes: In the order in which they are decoded.
        decode: From a volume and settings to its labels.
        score: From a volume and labels to their score; scores of volumes add up.
        value: From a score to the number that is maximised.
    """

    volumes: Sequence[ValidationVolume]
    decode: Callable[[ValidationVolume, Mapping[str, Any]], np.ndarray]
    score: Callable[[ValidationVolume, np.ndarray], Score]
    value: Callable[[Score], float]

    def running(self, settings: Mapping[str, Any]) -> Iterator[float]:
        """Give the score of the first volume, of the first two pooled, and so on to all."""
        pooled: Score | None = None
        for volume in self.volumes:
            with naming(volume.name):
                labels = self._labels(volume, settings)
            score = self.score(volume, labels)
            pooled = score if pooled is None else pooled + score
            yield self.value(pooled)

    def _labels(self, volume: ValidationVolume, settings: Mapping[str, Any]) -> np.ndarray:
        try:
            return self.decode(volume, settings)
        except TooMuchForegroundError as fault:
            logger.warning("%s", fault)
            return np.zeros(volume.probabilities.shape[-3:], np.uint8)

    def __call__(self, settings: Mapping[str, Any]) -> float:
        """Give the score pooled over all volumes."""
        *_, last = self.running(settings)
        return last
