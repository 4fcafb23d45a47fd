"""What is wrong with `tune`, said when the file is read."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from connectomics.config.schema import TuneSection
from connectomics.errors import ConfigError
from connectomics.pipeline.components import read_config
from connectomics.tuning import check_tuning


def only_fault(config) -> str:
    (fault,) = check_tuning(config)
    return str(fault)


@pytest.mark.parametrize(
    ("decoder", "truth", "metric"),
    [
        ("polarity2instance", "auto", "F1_pol"),
        ("synapses", "semantic", "F1_pol"),
        ("polarity2instance", "instance", "F1_det"),
        ("binary2instance", "auto", "F1_det"),
    ],
)
def test_the_score_follows_from_the_decoder(make_config, decoder, truth, metric):
    config = make_config(decoder, evaluation={"truth_encoding": truth})
    assert config.tune.metric == metric
    assert check_tuning(config) == []


@pytest.mark.parametrize(
    ("decoder", "sections", "message"),
    [
        ("synapses", {"tune": {"metric": "F1_pl"}},
         "tune.metric: there is no score 'F1_pl'.\n  Did you mean 'F1_pol'?"),
        ("binary2instance", {"tune": {"metric": "F1_pol"}},
         "tune.metric: F1_pol needs pre and post sides, and binary2instance gives none.\n"
         "  Scores of labels without sides: F1_det, PQ, jaccard, dice."),
        ("synapses", {"tune": {"metric": "F1_pre"}, "evaluation": {"truth_encoding": "binary"}},
         "tune.metric: F1_pre needs pre and post sides, and truth_encoding is 'binary'.\n"),
        ("synapses", {"tune": {"space": {}}}, "tune.space: names no setting to search."),
        ("synapses", {"tune": {"space": {"tres": [0, 1]}}},
         "tune.space.tres: synapses has no such setting.\n  Did you mean 'thres'?"),
        ("synapses", {"tune": {"space": {"resolution": [1, 2]}}},
         "tune.space.resolution: synapses has no such setting."),
        ("synapses", {"tune": {"space": {"exclusive": [True, False]}}},
         "tune.space.exclusive: says what the labels are, and is not searched."),
        ("synapses", {"tune": {"space": {"thres": [0.3, 1.2]}}},
         "tune.space.thres: 1.2 is not a number in [0, 1]."),
        ("synapses", {"tune": {"space": {"thres": [0.7, 0.3]}}},
         "tune.space.thres: [0.7, 0.3] is no range."),
        ("synapses", {"tune": {"space": {"thres": []}}}, "tune.space.thres: names no value."),
        ("synapses", {"tune": {"space": {"vote": ["yes", True]}}}, "tune.space.vote: 'yes'"),
        ("synapses", {"tune": {"space": {"mend_sections": [0.5, 2]}}},
         "tune.space.mend_sections: [0.5, 2]: the setting takes whole numbers."),
        ("synapses", {"tune": {"space": {"pair_nm": {"low": 0, "high": 9, "log": True}}}},
         "tune.space.pair_nm: [0, 9] reaches 0, where there are no orders of magnitude."),
        ("synapses",
         {"kwargs": {"split_saddle": None}, "tune": {"space": {"split_saddle": [0, 1]}}},
         "tune.space.split_saddle: is a range, and the configured value, None, is no number."),
        ("synapses", {"kwargs": {"hysteresis": None}, "tune": {"space": {"hysteresis[0]": [0, 1]}}},
         "tune.space.hysteresis[0]: hysteresis is None and has no such item."),
        ("synapses",
         {"kwargs": {"hysteresis": [0.2, 0.4]}, "tune": {"space": {"hysteresis[2]": [0, 1]}}},
         "tune.space.hysteresis[2]: hysteresis is [0.2, 0.4] and has no such item."),
    ],
)  # fmt: skip
def test_faults(make_config, decoder, sections, message):
    assert message in only_fault(make_config(decoder, **sections))


def test_a_range_that_its_fellow_item_does_not_allow(make_config):
    config = make_config("synapses", tune={"space": {"hysteresis[0]": [0.1, 0.9]}})
    assert "is not two numbers 0 <= low <= high <= 1" in only_fault(config)


@pytest.mark.parametrize(
    "space",
    [
        {"thres": [0.3, 0.7], "vote": [True, False]},
        {"hysteresis": [None, [0.2, 0.4], [0.3, 0.5]]},
        {"min_side_nm3": {"low": 1e4, "high": 1e6, "log": True}},
        {"mend_sections": {"choices": [0, 3]}},
        {"thres": [0.5]},
    ],
)
def test_legal_spaces(make_config, space):
    assert check_tuning(make_config("synapses", tune={"space": space})) == []


def test_nothing_is_said_where_there_is_no_decoder_or_it_is_at_fault_itself(make_config):
    tune = {"space": {"tres": [0, 1]}}
    for steps in ([], ["synaps"], [{"name": "synapses", "kwargs": {"thres": 7}}]):
        assert check_tuning(make_config("synapses", decoding={"steps": steps}, tune=tune)) == []


def test_every_fault_at_once_each_with_its_place(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text(
        "defaults: [demo, _self_]\n"
        "test:\n"
        "  tune: {metric: F1_pl, trails: 9, space: {tres: [0, 1], dilate_sz: [9, 3]}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_config(file, mode="tune", overrides=["tune.iou_thresholds=1.5"], torch=False)
    places = [fault.where.removeprefix(f"{file}: ") for fault in caught.value.faults]
    assert sorted(places) == [
        "command line: tune.iou_thresholds",
        "test.tune.metric",
        "test.tune.space.dilate_sz",
        "test.tune.space.tres",
        "test.tune.trails",
    ]


def test_one_threshold_needs_no_brackets(make_config):
    assert make_config(tune={"iou_thresholds": 0.5}).tune.iou_thresholds == (0.5,)


def test_the_example_of_the_documentation(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text()
    example = text[text.index("    tune:\n") :].partition("\n\n")[0]
    file = tmp_path / "my.yaml"
    header = "defaults: [demo, _self_]\ndecoding: {steps: [synapses]}\n"
    file.write_text(header + textwrap.dedent(example))
    tune = read_config(file, mode="tune", torch=False).config.tune
    assert tune.space is not None
    assert len(tune.space) == 5
    assert tune.model_copy(update={"space": None}) == TuneSection(metric="F1_pol")
