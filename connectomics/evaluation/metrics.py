"""The metrics that a config may name."""

from __future__ import annotations

from connectomics.evaluation.cremi import CREMI_CLEFTS
from connectomics.evaluation.em_r50 import EM_R50_PAIR, EM_R50_UNION
from connectomics.evaluation.metric import Metric
from connectomics.evaluation.overlap import JACCARD
from connectomics.evaluation.sites import CREMI_PARTNERS, POINTS
from connectomics.evaluation.sweep import DETECTION, POLARITY

METRICS: dict[str, Metric] = {
    "polarity": POLARITY,
    "detection": DETECTION,
    "iou_f1": DETECTION,  # as one-to-one matching is called with EM-R50
    "jaccard": JACCARD,
    "cremi_clefts": CREMI_CLEFTS,
    "em_r50_union": EM_R50_UNION,
    "em_r50_pair": EM_R50_PAIR,
    "points": POINTS,
    "cremi_partners": CREMI_PARTNERS,
}

SITE_METRICS = tuple(name for name, metric in METRICS.items() if metric.of_sites)
"""Metrics that compare where synapses are, not their voxels."""

NEURON_METRICS = tuple(name for name, metric in METRICS.items() if metric.of_neurons)
"""Metrics that compare which neurons synapses connect."""

TABLE_METRICS = tuple(
    name for name, metric in METRICS.items() if metric.of_sites or "confidence" in metric.given
)
"""Metrics that look at the table of what was found."""

MATCHED_METRICS = tuple(name for name, metric in METRICS.items() if metric.matches)
"""Metrics that say of each synapse what became of it."""
