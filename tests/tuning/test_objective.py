"""What a trial is worth."""

from __future__ import annotations

import numpy as np
import pytest

from connectomics.evaluation import LabelPair, evaluate_volumes
from connectomics.tuning import GOALS, build_search


def test_volumes_are_pooled_by_counts(make_config, synapses):
    """3 of 3 and 0 of 1: pooled recall is 3/4, where a mean of F1 would be 1/2."""
    search = build_search(make_config(), [synapses(3), synapses(1, p=0.2)])
    running = list(search.objective.running({"thres": 0.3, "thres_small": 16, "dilate_sz": 1}))
    assert running == [1.0, pytest.approx(6 / 7)]
    assert search.objective({"thres": 0.5, "thres_small": 16, "dilate_sz": 1}) == 0.0


def test_the_mean_is_over_the_thresholds(make_config, synapses):
    volume = synapses(1)
    truth = volume.truth.copy()
    truth[:, 4:7], truth[:, 13:16] = 0, 0  # half of either side: IoU 0.5
    config = make_config(tune={"iou_thresholds": [0.3, 0.5, 0.6, 0.75]})
    search = build_search(config, [volume._replace(truth=truth)])
    assert search.objective({"thres": 0.3, "thres_small": 16, "dilate_sz": 1}) == 0.5


@pytest.mark.parametrize("metric", GOALS)
def test_every_score_is_1_where_all_is_right_and_0_where_nothing_is_found(
    make_config, synapses, metric
):
    """Also where it is undefined then: settings that find nothing are no good ones."""
    thin = {"name": "em_r50_union", "kwargs": {"crop_z": 0}}  # the volume has six sections
    config = make_config(tune={"metric": metric}, evaluation={"metrics": [thin]})
    search = build_search(config, [synapses()])
    assert search.objective(search.configured | {"thres": 0.2}) == 1.0
    assert search.objective(search.configured | {"thres": 0.5}) == 0.0


def test_scores_of_em_r50_pool_volumes_and_have_their_own_thresholds(make_config, synapses):
    config = make_config(tune={"metric": "em_r50_pair"})
    search = build_search(config, [synapses(3), synapses(1, p=0.2)])
    assert search.score == "em_r50_pair"
    found = search.objective({"thres": 0.3, "thres_small": 16, "dilate_sz": 1})
    assert found == pytest.approx(6 / 7)  # 3 of 3 predictions, 3 of 4 of the truth


@pytest.mark.parametrize("metric", [name for name, goal in GOALS.items() if not goal.sided])
def test_labels_without_sides(make_config, synapses, metric):
    volume = synapses()
    one = volume._replace(probabilities=volume.probabilities[2:], truth=(volume.truth + 1) // 2)
    search = build_search(make_config("binary2instance", tune={"metric": metric}), [one])
    assert search.objective(search.configured | {"thres": 0.2}) == 1.0


@pytest.mark.parametrize("encoding", ["auto", "semantic"])
def test_grouping_the_truth_once_is_grouping_it_every_time(make_config, synapses, encoding, capsys):
    volume = synapses(4)
    semantic = np.where(volume.truth > 0, 2 - volume.truth % 2, 0).astype(np.uint8)
    noisy = volume.probabilities + np.random.default_rng(0).normal(0, 0.1, volume.truth.shape)
    probabilities = np.clip(noisy, 0, 1)
    config = make_config(evaluation={"truth_encoding": encoding, "metrics": ["polarity"]})
    (prepared,) = build_search(
        config, [volume._replace(truth=semantic, probabilities=probabilities)]
    ).objective.volumes
    assert prepared.truth_encoding == "polarity"
    assert "grouped into objects" in capsys.readouterr().out

    search = build_search(config, [volume._replace(truth=semantic, probabilities=probabilities)])
    settings = {"thres": 0.25, "thres_small": 20, "dilate_sz": 3}
    labels = search.objective.decode(prepared, settings)
    pair = LabelPair("raw", semantic, labels, "polarity")
    raw = evaluate_volumes([pair], config.evaluation).pooled["polarity"]
    expected = np.mean([score.f1_pol for score in raw.scores])
    assert 0 < expected < 1
    assert search.objective(settings) == pytest.approx(expected, abs=1e-12)


def test_masked_voxels_and_steps_that_follow_count(make_config, synapses):
    volume = synapses(2)
    probabilities = volume.probabilities.copy()
    probabilities[:, :, 10:16, 20:] = 0.05  # the second synapse has no post side
    mask = np.ones(volume.truth.shape, bool)
    mask[..., 20:] = False
    plain = make_config()
    steps = ["polarity2instance", "drop_one_sided"]
    dropping = make_config(decoding={"steps": steps})
    settings = {"thres": 0.3, "thres_small": 16, "dilate_sz": 1}

    def score(config, **changes):
        changed = volume._replace(probabilities=probabilities, **changes)
        return build_search(config, [changed]).objective(settings)

    assert score(plain) == pytest.approx(1 / 2)  # 1 TP, 1 FP, 1 FN
    assert score(dropping) == pytest.approx(2 / 3)  # 1 TP, 1 FN
    assert score(plain, mask=mask) == 1.0


def test_a_search_says_what_it_is_about(make_config, synapses):
    described = build_search(make_config(), [synapses(3)]).describe()
    assert described.splitlines()[0] == (
        "F1_pol (mean over IoU 0.3, 0.5, 0.75) on drawn with 3 synapses, none of them cut by the "
        "border; with one volume, no trial is pruned"
    )
    assert "    thres_small  16 to 4096, by orders of magnitude" in described
    at_one = make_config(tune={"iou_thresholds": 0.5, "metric": "PQ"})
    assert build_search(at_one, [synapses(1)]).describe().startswith(
        "PQ (at IoU 0.5) on drawn with 1 synapse, not cut by the border;"
    )  # fmt: skip
    jaccard = build_search(make_config(tune={"metric": "jaccard"}), [synapses(1), synapses(2)])
    assert jaccard.describe().startswith(
        "jaccard on drawn, drawn with 3 synapses, none of them cut by the border; pruned"
    )


def test_what_makes_a_search_another_one(make_config, synapses):
    volume = synapses()
    base = build_search(make_config(), [volume]).identity

    def differs(config=None, **changes) -> list[str]:
        other = build_search(config or make_config(), [volume._replace(**changes)]).identity
        return [key for key in base if base[key] != other[key]]

    data = "volumes, labels or probabilities"
    assert differs() == []
    assert differs(probabilities=volume.probabilities * np.float32(0.5)) == [data]
    assert differs(truth=np.roll(volume.truth, 1)) == [data]
    assert differs(make_config(tune={"metric": "PQ"})) == ["metric", "scoring"]
    assert differs(make_config(kwargs={"thres": 0.4})) == ["configured settings"]
    assert differs(make_config(tune={"space": {"thres": [0.1, 0.9]}})) == ["space"]
    assert differs(make_config(system={"seed": 1})) == ["seed"]
    assert differs(make_config(tune={"trials": 7})) == []
    ignoring = make_config(evaluation={"ignore_border": True})
    assert differs(ignoring) == ["scoring"]
