"""Synapses as points and as connections between neurons, whatever their voxels."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from connectomics.errors import DataError
from connectomics.evaluation.counts import Counts, ratio
from connectomics.evaluation.cremi import Partners, cremi_partners
from connectomics.evaluation.metric import Metric, Nanometres
from connectomics.evaluation.points import match_points

Site = Literal["pre", "post", "centre"]


@dataclass(frozen=True, eq=False)
class Sites:
    """Where the synapses of a volume are; the axes of all points are in one order.

    Attributes:
        pre_nm: (n, 3) positions of the pre sites in nm, NaN where a synapse has none.
        post_nm: (n, 3) positions of the post sites.
        centre_nm: (n, 3) positions of the synapses.
        neurons: (n, 2) uint64, the pre and the post neuron's id; 0 is not known.
    """

    pre_nm: np.ndarray
    post_nm: np.ndarray
    centre_nm: np.ndarray
    neurons: np.ndarray

    def __len__(self) -> int:
        return len(self.centre_nm)

    def selected(self, kept: np.ndarray) -> Sites:
        """The synapses where `kept` (n,) bool is true."""
        return Sites(
            self.pre_nm[kept], self.post_nm[kept], self.centre_nm[kept], self.neurons[kept]
        )

    def points(self, site: Site) -> np.ndarray:
        """(m, 3) the positions of one kind of site, of the synapses that have it."""
        points = {"pre": self.pre_nm, "post": self.post_nm, "centre": self.centre_nm}[site]
        return points[np.isfinite(points).all(axis=1)]

    @property
    def paired(self) -> np.ndarray:
        """(n,) bool, whether a synapse has both sites."""
        return np.asarray(np.isfinite(np.hstack([self.pre_nm, self.post_nm])).all(axis=1))


@dataclass(frozen=True)
class SiteScore:
    """Sites or connections found, invented and missed; `+` pools volumes.

    Attributes:
        counts: TP, FP, FN.
        distance_nm: Sum of the distances of the TPs from the truth.
        notes: What was done to the sites before counting.
    """

    counts: Counts
    distance_nm: float
    notes: tuple[str, ...] = ()

    def __add__(self, other: SiteScore) -> SiteScore:
        return SiteScore(
            self.counts + other.counts,
            self.distance_nm + other.distance_nm,
            tuple(dict.fromkeys(self.notes + other.notes)),
        )

    def as_dict(self) -> dict[str, Any]:
        """Counts, ratios, and the mean distance of the TPs in nm."""
        return {**self.counts.as_dict(), "mean_nm": ratio(self.distance_nm, self.counts.tp)}

    def rows(self) -> list[dict[str, Any]]:
        """One line of a table."""
        numbers = self.as_dict()
        names = "precision", "recall", "f1", "tp", "fp", "fn", "mean_nm"
        return [{name: numbers[name] for name in names}]


def point_score(
    truth_sites: Sites,
    prediction_sites: Sites,
    *,
    radius_nm: Nanometres = 400.0,
    site: Site = "centre",
) -> SiteScore:
    """Score points that lie near enough to one another; see `match_points`.

    Args:
        truth_sites: Where the true synapses are.
        prediction_sites: Where the predicted ones are.
        radius_nm: The largest distance of a pair.
        site: Which points: those of the synapses, or of one of their sides.

    >>> nobody = np.zeros((1, 2), np.uint64)
    >>> truth, found = np.zeros((1, 3)), np.full((1, 3), 30.0)
    >>> point_score(Sites(truth, truth, truth, nobody), Sites(found, found, found, nobody)).counts
    Counts(tp=1, fp=0, fn=0)
    """
    truth = truth_sites.points(site)
    found = match_points(truth, prediction_sites.points(site), radius_nm=radius_nm)
    return SiteScore(found.counts, float(found.distance_nm.sum()), _no_truth(truth, "site"))


def partner_score(
    truth_sites: Sites,
    prediction_sites: Sites,
    *,
    max_distance_nm: Nanometres = 400.0,
    mode: Literal["cremi", "max_matches"] = "cremi",
) -> SiteScore:
    """Score connections of the right neurons in the right place; see `cremi_partners`.

    Synapses with one side connect nobody and do not count. One whose neuron is not known
    cannot be right: it is an FP or an FN.

    Args:
        truth_sites: Where the true synapses are, and their neurons.
        prediction_sites: The predicted ones, with ids of the same neuron segmentation.
        max_distance_nm: The largest distance of the pre sites, and of the post sites.
        mode: See `cremi_partners`.

    Raises:
        DataError: There are true connections and none of their neurons is known.
    """
    truth, truth_unknown = _connections(truth_sites)
    prediction, prediction_unknown = _connections(prediction_sites)
    if truth_unknown and not len(truth.neurons):
        raise DataError(
            "evaluation: cremi_partners",
            f"the neurons of {truth_unknown} true connections are not known.",
            "Name a segmentation of the same tissue: data.test.neurons=FILE; for two files "
            "without a config, neurons=FILE.",
        )
    found = cremi_partners(truth, prediction, max_distance_nm=max_distance_nm, mode=mode)
    unknown = {"true": truth_unknown, "predicted": prediction_unknown}
    notes = tuple(
        f"Connections with an end in no neuron count as wrong: {count} {kind}."
        for kind, count in unknown.items()
        if count
    )
    counts = found.counts + Counts(0, prediction_unknown, truth_unknown)
    notes += _no_truth(truth.neurons, "connection")
    return SiteScore(counts, float(found.distance_nm.sum()), notes)


def _no_truth(truth: Sized, kind: str) -> tuple[str, ...]:
    return () if len(truth) else (f"The truth holds no {kind}: whatever is predicted is wrong.",)


def _connections(sites: Sites) -> tuple[Partners, int]:
    """The connections between known neurons, and how many others there are."""
    known = (sites.neurons > 0).all(axis=1)
    both = sites.selected(sites.paired & known)
    partners = Partners(both.pre_nm, both.post_nm, both.neurons)
    return partners, int(np.count_nonzero(sites.paired & ~known))


POINTS = Metric(
    point_score,
    "one-to-one matching of points within radius_nm (400)",
    sided_prediction=True,
    of_sites=True,
    passes=("sites",),
)

CREMI_PARTNERS = Metric(
    partner_score,
    "one-to-one matching: same neurons, both ends within max_distance_nm (400)",
    sided_prediction=True,
    of_sites=True,
    passes=("sites",),
    of_neurons=True,
)
