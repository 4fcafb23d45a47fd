"""The `evaluation` section: what it accepts, and the report it leads to."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from connectomics.config.schema import EvaluationSection
from connectomics.errors import DataError
from connectomics.evaluation import (
    METRICS,
    LabelPair,
    Sites,
    check_evaluation,
    default_metrics,
    evaluate_volumes,
    write_report,
)

TRUTH = np.zeros((3, 8, 40), np.uint8)
TRUTH[1, 2:6, 4:8], TRUTH[1, 2:6, 8:12] = 1, 2
TRUTH[1, 2:6, 24:28], TRUTH[1, 2:6, 28:32] = 3, 4
FLIPPED = np.where(TRUTH > 2, 7 - TRUTH, TRUTH)
EMPTY = np.zeros_like(TRUTH)


def section(*metrics, **settings):
    return EvaluationSection.model_validate({"metrics": metrics, **settings})


def faults(*metrics, prediction_encoding="auto", **settings):
    found = check_evaluation(section(*metrics, **settings), prediction_encoding=prediction_encoding)
    return "\n".join(map(str, found))


def test_every_metric_is_accepted_with_its_settings():
    assert not faults(*METRICS)
    assert not faults(
        {"name": "cremi_clefts", "kwargs": {"max_distance_nm": 100.0}},
        {"name": "em_r50_union", "kwargs": {"crop_z": 0, "min_size": 10}},
        {"name": "polarity", "kwargs": {"dilate_sz": 3}},
    )


def test_faults_are_found_all_at_once():
    said = faults(
        "polarty",
        "jaccard",
        "jaccard",
        {"name": "cremi_clefts", "kwargs": {"max_distance": 100}},
        {"name": "em_r50_pair", "kwargs": {"iou_threshold": "high", "truth": 1}},
    )
    assert "evaluation.metrics[0].name: there is no metric 'polarty'" in said
    assert "Did you mean 'polarity'?" in said
    assert "evaluation.metrics[2]: jaccard is named twice" in said
    assert "iou_thresholds[2]: 0.5 is named twice" in faults(iou_thresholds=(0.5, 0.3, 0.5))
    assert "evaluation.metrics[3].kwargs.max_distance: cremi_clefts has no such setting" in said
    assert "evaluation.metrics[4].kwargs.iou_threshold: 'high' does not fit" in said
    assert "evaluation.metrics[4].kwargs.truth: em_r50_pair has no such setting" in said


def test_metrics_that_need_sides():
    assert "truth_encoding is 'binary'" in faults("polarity", truth_encoding="binary")
    said = faults("polarity", "em_r50_union", prediction_encoding="instance")
    assert "evaluation.metrics[0]: polarity needs pre and post sides, and the prediction" in said
    assert "cremi_partners needs pre and post sides" in faults(
        "points", "cremi_partners", prediction_encoding="instance"
    )
    assert "em_r50_union" not in said
    assert not faults("detection", "jaccard", truth_encoding="binary")


@pytest.fixture
def report():
    volumes = (
        LabelPair("a", TRUTH, TRUTH, "polarity", notes=("Synthetic EM.",)),
        LabelPair("b", TRUTH, FLIPPED, "polarity"),
        LabelPair("c", EMPTY, EMPTY, "polarity"),
    )
    return evaluate_volumes(volumes, section("polarity", "jaccard"))


def test_volumes_are_pooled_by_counts(report):
    pooled = report.pooled["polarity"].at(0.5)
    assert (pooled.f1_det, pooled.side_accuracy, pooled.f1_pol) == (1, 0.75, 0.75)
    assert report.pooled["jaccard"].jaccard == 1


def test_the_table(report):
    table = report.table()
    lines = table.splitlines()
    legend = " ".join(lines[:4])
    assert legend.startswith("polarity: one-to-one matching at IoU >= t; mean: over t = 0.50")
    assert "F1_pol, the headline: oriented correctly" in legend
    assert "blind ignores which side is which, only for comparison" in legend
    assert legend.endswith("95%: bootstrap over synapses, - if all fare alike")
    assert lines[4].split()[:6] == ["volume", "IoU", "F1_det", "side", "acc", "F1_pol"]
    assert "pooled   0.5   1.000     0.750   0.750" in table
    assert "c        0.5       -         -       -" in table
    assert "- a: Synthetic EM." in table
    assert max(map(len, lines)) < 120


def test_a_single_volume_is_not_pooled():
    table = evaluate_volumes([LabelPair("only", TRUTH, TRUTH)], section("jaccard")).table()
    assert "pooled" not in table


def test_the_files(report, tmp_path):
    paths = write_report(report, tmp_path / "results")
    scores = json.loads(paths["scores.json"].read_text())
    assert scores["pooled"]["polarity"]["at"]["0.5"]["f1_pol"] == 0.75
    assert scores["volumes"][2]["scores"]["polarity"]["mean"]["f1_pol"] is None
    assert scores["settings"]["iou_thresholds"] == [0.3, 0.5, 0.75]
    assert paths["scores.txt"].read_text() == report.table()
    with paths["matches.csv"].open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * (2 + 2)
    assert [(r["volume"], r["outcome"]) for r in rows[:2]] == [("a", "correct")] * 2
    assert rows[-1] | {"iou_pre": "0.0", "outcome": "flipped", "polarity_tp": "False"} == rows[-1]


def test_a_table_without_rows_has_its_columns(report, tmp_path):
    nothing = LabelPair("v", EMPTY, EMPTY, "polarity", confidence={})
    for name in ("matches.csv", "precision_recall.csv"):
        full = write_report(
            evaluate_volumes([LabelPair("v", TRUTH, TRUTH, "polarity", confidence={1: 1, 2: 1})],
                             section()), tmp_path / "full")[name]  # fmt: skip
        empty = write_report(evaluate_volumes([nothing], section()), tmp_path / "empty")[name]
        header = full.read_text().splitlines()[0]
        assert empty.read_text().splitlines() == [header]


def test_infinite_scores_are_legal_json(tmp_path):
    report = evaluate_volumes(
        [LabelPair("v", TRUTH, EMPTY, "instance", (30.0, 8.0, 8.0))], section("cremi_clefts")
    )
    text = write_report(report, tmp_path)["scores.json"].read_text()
    assert json.loads(text)["pooled"]["cremi_clefts"]["score"] == "inf"
    assert "inf" in report.table()


@pytest.mark.parametrize(
    ("encoding", "metrics"), [("polarity", {"polarity"}), ("instance", {"jaccard", "detection"})]
)
def test_metrics_without_being_named(encoding, metrics):
    report = evaluate_volumes([LabelPair("v", TRUTH, TRUTH, encoding)], section())
    assert set(report.pooled) == metrics


def test_settings_reach_the_metrics():
    semantic = np.where(TRUTH > 0, 2 - TRUTH % 2, 0)
    report = evaluate_volumes(
        [LabelPair("v", semantic, TRUTH, "polarity")],
        section("polarity", truth_encoding="semantic", iou_thresholds=(0.4,), ignore_border=True),
    )
    assert report.pooled["polarity"].at(0.4).truth_encoding == "semantic"
    assert "- v: Semantic truth was grouped into objects" in report.table()
    assert "- v: what the border or unlabelled voxels cut may match and counts" in report.table()


def test_confidences_give_average_precision():
    pair = LabelPair("v", TRUTH, FLIPPED, "polarity", confidence={1: 0.9, 2: 0.1})
    assert "AP_pol" in evaluate_volumes([pair], section("polarity")).table()


def test_the_curve_is_kept_point_by_point(tmp_path):
    one = LabelPair("a", TRUTH, FLIPPED, "polarity", confidence={1: 0.9, 2: 0.1})
    other = LabelPair("b", TRUTH, TRUTH, "polarity", confidence={1: 0.8, 2: 0.8})
    report = evaluate_volumes([one, other], section("polarity", iou_thresholds=[0.5]))
    assert list(report.curves) == ["a", "b", "pooled"]
    with write_report(report, tmp_path)["precision_recall.csv"].open() as file:
        rows = [[*row.values()] for row in csv.DictReader(file)]
    assert rows == [
        ["a", "0.5", "0.9", "1.0", "0.5"],
        ["a", "0.5", "0.1", "0.5", "0.5"],
        ["b", "0.5", "0.8", "1.0", "1.0"],
        ["pooled", "0.5", "0.9", "1.0", "0.25"],
        ["pooled", "0.5", "0.8", "1.0", "0.75"],
        ["pooled", "0.5", "0.1", "0.75", "0.75"],
    ]


def test_without_confidence_there_is_no_curve(report, tmp_path):
    assert report.curves == {}
    assert "precision_recall.csv" not in write_report(report, tmp_path)
    sure = LabelPair("a", TRUTH, TRUTH, "polarity", confidence={1: 0.9, 2: 0.1})
    both = evaluate_volumes([sure, LabelPair("b", TRUTH, TRUTH)], section("polarity"))
    assert list(both.curves) == ["a"]


@pytest.mark.parametrize(
    ("prediction", "truth", "metrics"),
    [
        ("auto", "auto", ("polarity",)),
        ("polarity", "semantic", ("polarity",)),
        ("polarity", "instance", ("jaccard", "detection")),
        ("binary", "polarity", ("jaccard", "detection")),
    ],
)
def test_default_metrics_suit_both_volumes(prediction, truth, metrics):
    assert default_metrics(prediction, truth) == metrics


def test_metrics_of_sites():
    here = np.zeros((1, 3))
    sites = Sites(here, here, here, np.array([[1, 2]], np.uint64))
    pair = LabelPair("v", TRUTH, TRUTH, "polarity", truth_sites=sites, prediction_sites=sites)
    chosen = section({"name": "points", "kwargs": {"site": "pre"}}, "cremi_partners")
    report = evaluate_volumes([pair], chosen)
    assert report.as_dict()["pooled"]["points"]["f1"] == 1
    assert "cremi_partners: one-to-one matching: same neurons" in report.table()
    with pytest.raises(DataError, match=r"points: where the synapses are is not known[\s\S]*voxel"):
        evaluate_volumes([LabelPair("v", TRUTH, TRUTH)], chosen)
    assert "radius: points has no such setting" in faults(
        {"name": "points", "kwargs": {"radius": 3}}
    )


def test_an_error_names_the_volume():
    pairs = [LabelPair("good", TRUTH, TRUTH), LabelPair("bad", TRUTH, TRUTH * 0.5)]
    with pytest.raises(DataError, match="bad: evaluation: prediction: its dtype is float64"):
        evaluate_volumes(pairs, section("polarity"))
    with pytest.raises(DataError, match="v: evaluation: cremi_clefts: the voxel size is not known"):
        evaluate_volumes([LabelPair("v", TRUTH, TRUTH)], section("cremi_clefts"))


def test_nothing_to_evaluate():
    with pytest.raises(DataError, match="no volume to score"):
        evaluate_volumes([], section("polarity"))


def test_importing_is_light():
    code = (
        "import sys, connectomics.evaluation; "
        "print([m for m in ('torch', 'numba', 'scipy', 'pandas', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
