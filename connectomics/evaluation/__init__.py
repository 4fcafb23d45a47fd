"""Labels against labels: scores of synapse detection and its polarity.

from connectomics.evaluation import polarity_scores

scores = polarity_scores(truth, prediction, iou_threshold=0.5)
scores.f1_pol, scores.polarity.precision
"""

from __future__ import annotations

from connectomics.evaluation.bootstrap import bootstrap_intervals
from connectomics.evaluation.breakdown import (
    Share,
    scores_by_border,
    scores_by_distance,
    scores_by_size,
)
from connectomics.evaluation.build import (
    LabelPair,
    check_evaluation,
    default_metrics,
    evaluate_volumes,
)
from connectomics.evaluation.contingency import ContingencyTable, Objects
from connectomics.evaluation.counting import contingency_table
from connectomics.evaluation.counts import Counts, Score, SynapseCount, pool
from connectomics.evaluation.cremi import (
    CremiClefts,
    PartnerMatches,
    Partners,
    cremi_clefts,
    cremi_partners,
)
from connectomics.evaluation.curve import PrecisionRecallCurve, precision_recall_curve
from connectomics.evaluation.detection import (
    DetectionScores,
    count_synapses,
    detection_scores,
    detection_table,
    score_detection,
)
from connectomics.evaluation.em_r50 import EmR50Scores, em_r50_pair, em_r50_union
from connectomics.evaluation.encoding import (
    Encoding,
    Interpretation,
    group_components,
    group_semantic,
    interpret,
    likely_encoding,
)
from connectomics.evaluation.extents import Extents, list_extents
from connectomics.evaluation.matches import Matches
from connectomics.evaluation.matching import Matching, assign, match_objects
from connectomics.evaluation.metric import Metric
from connectomics.evaluation.metrics import (
    MATCHED_METRICS,
    METRICS,
    NEURON_METRICS,
    SITE_METRICS,
    TABLE_METRICS,
)
from connectomics.evaluation.overlap import MaskOverlap, mask_overlap
from connectomics.evaluation.pair import Pair
from connectomics.evaluation.points import PointMatches, match_points
from connectomics.evaluation.polarity import PolarityScores, polarity_scores, score_polarity
from connectomics.evaluation.sides import PolarityTables, polarity_tables
from connectomics.evaluation.sites import Sites, SiteScore, partner_score, point_score
from connectomics.evaluation.summary import EvaluationReport, VolumeScores, write_report
from connectomics.evaluation.sweep import (
    MEAN_THRESHOLDS,
    PolaritySweep,
    ThresholdSweep,
    detection_sweep,
    polarity_sweep,
)
from connectomics.evaluation.volumes import Labels, LabelVolume

__all__ = [
    "MATCHED_METRICS",
    "MEAN_THRESHOLDS",
    "METRICS",
    "NEURON_METRICS",
    "SITE_METRICS",
    "TABLE_METRICS",
    "ContingencyTable",
    "Counts",
    "CremiClefts",
    "DetectionScores",
    "EmR50Scores",
    "Encoding",
    "EvaluationReport",
    "Extents",
    "Interpretation",
    "LabelPair",
    "LabelVolume",
    "Labels",
    "MaskOverlap",
    "Matches",
    "Matching",
    "Metric",
    "Objects",
    "Pair",
    "PartnerMatches",
    "Partners",
    "PointMatches",
    "PolarityScores",
    "PolaritySweep",
    "PolarityTables",
    "PrecisionRecallCurve",
    "Score",
    "Share",
    "SiteScore",
    "Sites",
    "SynapseCount",
    "ThresholdSweep",
    "VolumeScores",
    "assign",
    "bootstrap_intervals",
    "check_evaluation",
    "contingency_table",
    "count_synapses",
    "cremi_clefts",
    "cremi_partners",
    "default_metrics",
    "detection_scores",
    "detection_sweep",
    "detection_table",
    "em_r50_pair",
    "em_r50_union",
    "evaluate_volumes",
    "group_components",
    "group_semantic",
    "interpret",
    "likely_encoding",
    "list_extents",
    "mask_overlap",
    "match_objects",
    "match_points",
    "partner_score",
    "point_score",
    "polarity_scores",
    "polarity_sweep",
    "polarity_tables",
    "pool",
    "precision_recall_curve",
    "score_detection",
    "score_polarity",
    "scores_by_border",
    "scores_by_distance",
    "scores_by_size",
    "write_report",
]
