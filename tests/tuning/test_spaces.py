"""The spaces that are searched, and their dimensions."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectomics.decoding import DECODERS
from connectomics.tuning import GOALS, Choices, Range, check_tuning, default_space
from connectomics.tuning.spaces import (
    changed,
    read_dimension,
    settings_of,
    split_name,
    value_of,
)


def test_every_decoder_has_a_space():
    assert all(decoder.space for decoder in DECODERS.values())


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_spaces_are_what_a_user_could_write(decoder, make_config):
    assert check_tuning(make_config(decoder, tune={"space": dict(DECODERS[decoder].space)})) == []


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_defaults_of_the_decoders_lie_in_their_spaces(decoder):
    defaults = settings_of(decoder, {})
    space = default_space(decoder, defaults)
    for name, dimension in space.items():
        value = value_of(defaults, name)
        if isinstance(dimension, Range):
            assert dimension.low <= value <= dimension.high, name
        else:
            assert value in dimension.values, name
    assert not {split_name(name)[0] for name in space} & set(DECODERS[decoder].fixed)


def test_what_is_switched_off_stays_off():
    on = default_space("synapses", settings_of("synapses", {}))
    assert {"hysteresis[0]", "hysteresis[1]", "split_saddle"} <= on.keys()
    kwargs = {"hysteresis": None, "split_saddle": None}
    off = default_space("synapses", settings_of("synapses", kwargs))
    assert on.keys() - off.keys() == {"hysteresis[0]", "hysteresis[1]", "split_saddle"}


def test_exclusive_classes_need_no_threshold():
    settings = settings_of("polarity2instance", {"exclusive": True})
    assert default_space("polarity2instance", settings).keys() == {"thres_small", "dilate_sz"}


def test_volumes_are_searched_by_orders_of_magnitude():
    space = default_space("polarity2instance", settings_of("polarity2instance", {}))
    assert space["thres_small"] == Range(16, 4096, log=True, whole=True)
    assert space["thres"] == Range(0.1, 0.9)


@given(
    st.floats(1e-3, 1e6), st.floats(1e-3, 1e6), st.floats(0, 1), st.booleans(), st.booleans()
)  # fmt: skip
def test_a_setting_stays_in_its_range(one, other, share, log, whole):
    low, high = sorted((one, other))
    low, high = (float(int(low) + 1), float(int(high) + 2)) if whole else (low, high)
    dimension = Range(low, high, log, whole)
    parameter = low + share * (high - low)
    setting = dimension.setting(int(parameter) if whole else parameter)
    assert low <= setting <= high
    assert setting == pytest.approx(parameter, rel=6e-3, abs=1 if whole else 0)
    assert isinstance(setting, int) == whole


def test_settings_are_numbers_one_would_write():
    assert Range(0, 1).setting(0.12345678) == 0.123
    assert Range(1e4, 1e6, log=True).setting(123456.7) == 123000.0


@pytest.mark.parametrize(
    ("dimension", "value", "nearest"),
    [
        (Range(0.2, 0.8), 0.5, 0.5),
        (Range(0.2, 0.8), 0.95, 0.8),
        (Range(16, 4096, log=True, whole=True), 0, 16),
        (Choices((True, False)), False, "false"),
        (Choices((None, (0.3, 0.5))), [0.3, 0.5], "[0.3, 0.5]"),
        (Choices((1, 2)), 7, "1"),
    ],
)
def test_what_stands_for_a_configured_value(dimension, value, nearest):
    assert dimension.nearest(value) == nearest
    assert dimension.distribution()._contains(
        dimension.distribution().to_internal_repr(nearest)
    )  # so that Optuna takes it


def test_items_are_changed_without_touching_the_rest():
    before = {"hysteresis": (0.3, 0.5), "vote": True}
    assert changed(before, {"hysteresis[1]": 0.6})["hysteresis"] == [0.3, 0.6]
    assert before["hysteresis"] == (0.3, 0.5)
    with pytest.raises(LookupError):
        value_of({"hysteresis": None}, "hysteresis[0]")


def test_the_documentation_lists_the_spaces():
    text = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text()
    for decoder, record in DECODERS.items():
        for i, (name, values) in enumerate(record.space.items()):
            shown = f"`{decoder}`" if i == 0 else ""
            assert f"| {shown} | `{name}` | {read_dimension(values, decoder, name)} |" in text
    for goal in GOALS:
        assert f"`{goal}`" in text
