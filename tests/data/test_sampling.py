from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.data.foreground import DenseForegroundTable
from connectomics.data.sampling import PatchSampler, explained, sliver_warning
from connectomics.data.synapse_table import SynapseTable, VolumeSynapses
from connectomics.errors import DataError
from connectomics.geometry import whole


def drawn(sampler: PatchSampler, number: int) -> Counter:
    rng = np.random.default_rng(0)
    return Counter(sampler.draw(rng) for _ in range(number))


def sampler_on(foreground: np.ndarray, size: tuple, size_thres: int, p: float) -> PatchSampler:
    return PatchSampler([foreground.shape], size, [DenseForegroundTable(foreground)], size_thres, p)


def test_every_position_of_every_volume_is_equally_likely():
    """Volumes with 1·2·2 and 2·1·3 positions for a patch of 2·3·3."""
    found = drawn(PatchSampler([(2, 4, 4), (3, 3, 5)], (2, 3, 3)), 20_000)
    assert len(found) == 10
    assert sum(n for (volume, _), n in found.items() if volume == 0) / 20_000 == pytest.approx(
        0.4, abs=0.02
    )
    assert all(n / 20_000 == pytest.approx(0.1, abs=0.01) for n in found.values())


def test_the_acceptance_rule():
    """Of 4 positions one reaches the threshold: odds 1 to 3 · (1 - p)."""
    foreground = np.zeros((1, 1, 5), dtype=bool)
    foreground[0, 0, 0] = foreground[0, 0, 1] = True
    found = drawn(sampler_on(foreground, (1, 1, 2), 2, 0.75), 20_000)
    assert found[0, (0, 0, 0)] / 20_000 == pytest.approx(1 / (1 + 3 * 0.25), abs=0.015)
    for x in (1, 2, 3):
        assert found[0, (0, 0, x)] / 20_000 == pytest.approx(0.25 / 1.75, abs=0.01)


def test_p_of_one_refuses_all_others():
    foreground = np.zeros((2, 4, 4), dtype=bool)
    foreground[1, 3, 3] = True
    found = drawn(sampler_on(foreground, (1, 2, 2), 1, 1.0), 50)
    assert set(found) == {(0, (1, 2, 2))}


@pytest.mark.parametrize(("size_thres", "p"), [(0, 1.0), (5, 0.0)])
def test_without_rejection_nothing_is_rejected(size_thres, p):
    foreground = np.zeros((1, 2, 2), dtype=bool)
    sampler = sampler_on(foreground, (1, 1, 1), size_thres, p)
    sampler.require_acceptable("label")
    assert len(drawn(sampler, 200)) == 4


@given(
    st.lists(st.tuples(*[st.integers(3, 9)] * 3), min_size=1, max_size=3),
    st.tuples(*[st.integers(1, 3)] * 3),
    st.integers(0, 2**32),
)
@settings(max_examples=100, deadline=None)
def test_patches_lie_inside_and_repeat(shapes, size, seed):
    sampler = PatchSampler(shapes, size)
    volume, start = sampler.draw(np.random.default_rng(seed))
    assert sampler.draw(np.random.default_rng(seed)) == (volume, start)
    assert all(0 <= a <= n - p for a, p, n in zip(start, size, shapes[volume], strict=True))


@given(st.integers(0, 2**32), st.tuples(*[st.integers(1, 4)] * 3))
@settings(max_examples=100, deadline=None)
def test_patches_on_foreground_hold_some(seed, size):
    rng = np.random.default_rng(seed)
    volumes = [rng.random((4, 5, 6)) < 0.02, rng.random((4, 6, 5)) < 0.02]
    sampler = PatchSampler(
        [v.shape for v in volumes], size, [DenseForegroundTable(v) for v in volumes]
    )
    found = sampler.draw_on_foreground(rng)
    if found is None:
        assert not any(v.any() for v in volumes)
        return
    volume, start = found
    box = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    assert volumes[volume][box].shape == size
    assert volumes[volume][box].any()


def test_labels_without_foreground_are_an_error():
    sampler = sampler_on(np.zeros((2, 4, 4), dtype=bool), (1, 2, 2), 1, 0.5)
    with pytest.raises(DataError, match=r"train\.label: the labels hold no foreground"):
        sampler.require_acceptable("train.label")


def test_a_threshold_that_no_patch_reaches_is_an_error_if_p_is_one():
    foreground = np.zeros((2, 4, 4), dtype=bool)
    foreground[0, 0, 0] = foreground[1, 3, 3] = True
    with pytest.raises(DataError, match=r"no patch of \(1, 2, 2\) holds 2 labelled voxels"):
        sampler_on(foreground, (1, 2, 2), 2, 1.0).require_acceptable("label")
    sampler_on(foreground, (1, 2, 2), 2, 0.9).require_acceptable("label")
    sampler_on(foreground, (1, 2, 2), 1, 1.0).require_acceptable("label")


# Patches on synapses ------------------------------------------------------------------------


def on_synapses(label: np.ndarray, size, **settings) -> PatchSampler:
    volume = VolumeSynapses.of([(whole(label.shape), label)], label.shape)
    tables = [DenseForegroundTable(label > 0)] if settings.get("p") else None
    table = SynapseTable([volume], size)
    return PatchSampler([label.shape], size, tables, synapses=table, **settings)


def two_synapses() -> np.ndarray:
    label = np.zeros((4, 40, 40), np.uint8)
    label[1:3, 10:14, 10:14] = 1
    label[1:3, 26:36, 26:36] = 1
    return label


def test_a_share_of_the_patches_is_centred_on_a_synapse():
    label = two_synapses()
    sampler = on_synapses(label, (2, 5, 5), foreground_fraction=0.7)
    rng = np.random.default_rng(0)
    starts = np.array([sampler.draw(rng)[1] for _ in range(4000)])
    centred = np.array([label[z + 1, y + 2, x + 2] > 0 for z, y, x in starts])
    chance = label[1:, 2:-2, 2:-2].mean()
    assert centred.mean() == pytest.approx(0.7 + 0.3 * chance, abs=0.03)
    small = (starts[:, 1] < 18)[centred].mean()
    assert small == pytest.approx(0.5, abs=0.05)  # either synapse as often, whatever its size


def test_a_patch_on_a_synapse_at_the_border_lies_inside():
    label = np.zeros((3, 20, 20), np.uint8)
    label[0, 0, 0] = label[2, 19, 19] = 1
    sampler = on_synapses(label, (2, 8, 8), foreground_fraction=1.0)
    rng = np.random.default_rng(0)
    assert {sampler.draw(rng)[1] for _ in range(50)} == {(0, 0, 0), (1, 12, 12)}


def test_without_a_fraction_the_patches_are_those_they_were():
    label = two_synapses()
    with_table = on_synapses(label, (2, 5, 5), size_thres=10, p=0.9)
    without = sampler_on(label > 0, (2, 5, 5), 10, 0.9)
    assert drawn(with_table, 50) == drawn(without, 50)


def test_a_share_on_synapses_needs_some():
    sampler = on_synapses(np.zeros((2, 8, 8), np.uint8), (1, 4, 4), foreground_fraction=0.5)
    with pytest.raises(DataError, match=r"no patch can be centred on a synapse"):
        sampler.require_acceptable("data.train.label")


def test_how_patches_are_drawn_is_explained():
    sampler = on_synapses(two_synapses(), (2, 5, 5), foreground_fraction=0.6, size_thres=32, p=0.95)
    share, threshold = explained(sampler, automatic=True)
    assert share == "60% of the patches are centred on one of 2 labelled pieces"
    assert threshold.startswith("size_thres auto is 32 labelled voxels, a small whole synapse")
    assert explained(sampler, automatic=False) == [share]
    label = two_synapses()
    label[:, 20:] = 0
    one = on_synapses(label, (2, 5, 5), foreground_fraction=0.6)
    assert explained(one, automatic=False)[0].endswith("centred on the one labelled piece")


@pytest.mark.parametrize(
    ("size_thres", "fraction", "warned"),
    [(10, 0.0, True), (11, 0.0, False), (10, 0.5, True), (11, 0.5, False), (10, 1.0, False)],
)
def test_a_threshold_of_slivers_is_warned_about(size_thres, fraction, warned):
    sampler = on_synapses(
        two_synapses(), (2, 8, 8), size_thres=size_thres, p=0.9, foreground_fraction=fraction
    )
    assert sampler.synapses is not None
    assert sampler.synapses.small == 32
    warnings = sliver_warning(sampler)
    assert bool(warnings) is warned
    assert all("a small whole one has 32" in one and "Set it to auto" in one for one in warnings)
    assert all(
        ("Of the patches that are drawn anywhere" in one) is (fraction == 0.5) for one in warnings
    )
    assert all(("or raise" in one) is (fraction == 0) for one in warnings)
