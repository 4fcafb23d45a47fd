from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.errors import DataError
from connectomics.geometry import Box
from connectomics.inference import predict_volume
from connectomics.inference.blending import BLENDINGS
from connectomics.inference.by_block import predict_block, windows_of
from connectomics.inference.predict import predict_at_once, predict_slabs
from connectomics.inference.windows import Sliding

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 20), st.integers(1, 20))


def constant(inputs):
    """Three channels that hold 0.25, 0.5 and 1 whatever the input."""
    values = torch.tensor([0.25, 0.5, 1.0]).view(1, 3, 1, 1, 1)
    return torch.ones(len(inputs), 3, *inputs.shape[2:]) * values


def identity(inputs):
    return inputs


@settings(deadline=None, max_examples=60)
@given(SIZES, SIZES, st.floats(0, 0.9), st.sampled_from(sorted(BLENDINGS)))
def test_a_constant_network_gives_its_constant_at_every_voxel(shape, window, overlap, blending):
    result = predict_volume(
        constant, np.zeros(shape), window_size=window, overlap=overlap, blending=blending
    )
    assert result.shape == (3, *shape)
    assert result.dtype == np.float32
    for channel, value in enumerate((0.25, 0.5, 1.0)):
        np.testing.assert_allclose(result[channel], value, rtol=1e-5)


@settings(deadline=None, max_examples=40)
@given(SIZES, SIZES, st.sampled_from(["reflect", "replicate", "constant"]), st.integers(1, 3))
def test_the_identity_network_gives_the_image_back(shape, window, padding_mode, batch_size):
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    result = predict_volume(
        identity,
        image,
        window_size=window,
        padding_mode=padding_mode,
        batch_size=batch_size,
        flip_axes="all",
    )
    np.testing.assert_allclose(result[0], image, atol=1e-5)


def test_slabs_are_the_volume_in_order():
    image = np.random.default_rng(1).random((23, 8, 8), dtype=np.float32)
    sliding = Sliding((6, 8, 8), overlap=0.5)
    slabs = list(predict_slabs(identity, lambda a, b: image[a:b], image.shape, sliding))
    assert [z for z, _ in slabs] == list(np.cumsum([0] + [s.shape[1] for _, s in slabs])[:-1])
    assert max(slab.shape[1] for _, slab in slabs) <= 6
    np.testing.assert_allclose(np.concatenate([s for _, s in slabs], axis=1)[0], image, atol=1e-5)


def test_only_the_sections_of_one_window_are_read_at_a_time():
    spans = []

    def read(start, stop):
        spans.append(stop - start)
        return np.zeros((stop - start, 4, 4))

    list(predict_slabs(identity, read, (50, 4, 4), Sliding((5, 4, 4))))
    assert max(spans) == 5


@pytest.mark.parametrize(("ensemble_mode", "expected"), [("mean", 0.5), ("max", 1.0)])
def test_flips_are_put_together(ensemble_mode, expected):
    def from_the_left(inputs):  # a network that is not symmetric: 1 on the left half, else 0
        output = torch.zeros_like(inputs)
        output[..., : inputs.shape[-1] // 2] = 1
        return output

    result = predict_volume(
        from_the_left,
        np.zeros((1, 4, 8)),
        window_size=(1, 4, 8),
        flip_axes=[[2]],
        ensemble_mode=ensemble_mode,
    )
    np.testing.assert_allclose(result, expected)


def test_the_activation_comes_before_the_mean_over_flips():
    def signed(inputs):  # +4 on the left half, -4 on the right
        output = torch.full_like(inputs, -4.0)
        output[..., : inputs.shape[-1] // 2] = 4.0
        return output

    result = predict_volume(
        signed,
        np.zeros((1, 2, 4)),
        window_size=(1, 2, 4),
        flip_axes=[[2]],
        activation=lambda x: (x > 0).float() * 0.8,
    )
    np.testing.assert_allclose(result, 0.4, rtol=1e-6)


def test_a_module_is_evaluated_and_left_as_it_came():
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 1), torch.nn.Dropout(0.99))
    network.train()
    a, b = (predict_volume(network, np.ones((2, 4, 4)), window_size=(2, 4, 4)) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert network.training


def test_autocast_runs_in_the_given_precision():
    seen = []
    layer = torch.nn.Conv3d(1, 1, 1)

    def network(inputs):
        output = layer(inputs)
        seen.append(output.dtype)
        return output

    result = predict_volume(
        network, np.ones((1, 4, 4)), window_size=(1, 4, 4), precision=torch.bfloat16
    )
    assert seen == [torch.bfloat16]
    assert result.dtype == np.float32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window_size": (4, 4)}, "three positive sizes"),
        ({"window_size": (4, 4, 4), "overlap": 1.0}, r"not in \[0, 1\)"),
        ({"window_size": (4, 4, 4), "padding_mode": "wrap"}, "reflect, replicate, constant"),
        ({"window_size": (4, 4, 4), "blending": "hann"}, "hann"),
    ],
)
def test_settings_out_of_range_say_so(settings, message):
    with pytest.raises(DataError, match=message):
        predict_volume(identity, np.zeros((4, 4, 4)), **settings)


def test_an_image_must_be_three_dimensional():
    with pytest.raises(DataError, match=r"\(4, 4\), not \(Z, Y, X\)"):
        predict_volume(identity, np.zeros((4, 4)), window_size=(1, 4, 4))


def test_a_network_that_changes_the_size_is_refused():
    with pytest.raises(DataError, match="keeps the size"):
        predict_volume(lambda x: x[..., :2], np.zeros((1, 4, 4)), window_size=(1, 4, 4))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_image_that_is_no_number_somewhere_is_refused_with_its_place(value):
    image = np.zeros((9, 8, 8), np.float32)
    image[7, 2, 3] = value
    with pytest.raises(DataError, match=rf"the image, .* is {value} at voxel \(7, 2, 3\)"):
        predict_volume(identity, image, window_size=(4, 8, 8))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_prediction_that_is_no_number_somewhere_is_refused_with_its_place(value):
    image = np.zeros((9, 8, 8), np.float32)
    image[7, 2, 3] = 1

    def network(inputs):
        return torch.cat([inputs, torch.where(inputs == 1, value, inputs)], dim=1)

    with pytest.raises(DataError, match=rf"gives {value} at voxel \(7, 2, 3\).*, channel 1"):
        predict_volume(network, image, window_size=(4, 8, 8), overlap=0.25)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_no_number_does_not_pass_for_a_probability(value):
    image = np.zeros((9, 8, 8), np.float32)
    image[7, 2, 3] = 1

    def network(inputs):
        return torch.where(inputs == 1, value, inputs)

    settings = {"window_size": (4, 8, 8), "activation": torch.sigmoid}
    with pytest.raises(DataError, match=r"the network gives nan at voxel \(7, 2, 3\)"):
        predict_volume(network, image, **settings)
    sliding, box = Sliding(**settings), Box((4, 0, 0), (9, 8, 8))
    windows = windows_of(box, image.shape, sliding)
    with pytest.raises(DataError, match=r"the network gives nan at voxel \(7, 2, 3\)"):
        predict_block(network, image[windows.hull.slices], windows, sliding)


@pytest.mark.parametrize(
    ("batch_size", "whole", "expected"),
    [
        (4, False, [4, 4, 4, 4, 4, 4, 3]),  # 27 windows, 9 in each of three slabs
        (4, True, [4] * 7),
        (1, False, [1] * 27),
        (20, False, [9, 9, 9]),  # no more than a slab has, by which memory is foreseen
        (20, True, [20, 20]),
    ],
)
def test_batches_run_on_from_one_slab_to_the_next(batch_size, whole, expected):
    seen, image = [], np.random.default_rng(2).random((8, 16, 16), np.float32)

    def network(inputs):
        seen.append(len(inputs))
        return torch.cat([inputs, inputs.cumsum(2)], dim=1)

    sliding = Sliding((4, 8, 8), batch_size=batch_size, whole_batches=whole)
    slabs = list(predict_slabs(network, lambda a, b: image[a:b], image.shape, sliding))
    assert seen == expected
    one_by_one = predict_volume(network, image, window_size=(4, 8, 8))
    np.testing.assert_array_equal(np.concatenate([s for _, s in slabs], axis=1), one_by_one)


def test_a_block_goes_through_in_batches_across_its_slabs():
    seen, image = [], np.random.default_rng(3).random((8, 16, 16), np.float32)

    def network(inputs):
        seen.append(len(inputs))
        return inputs

    sliding = Sliding((4, 8, 8), batch_size=4)
    windows = windows_of(Box((0, 0, 0), image.shape), image.shape, sliding)
    found = predict_block(network, image, windows, sliding)
    assert seen == [4, 4, 4, 4, 4, 4, 3]
    np.testing.assert_allclose(found[0], image, rtol=1e-5)


def test_a_slab_is_finished_before_the_next_but_one_is_read():
    read, done = [], []

    def section(start, stop):
        read.append(start)
        return np.zeros((stop - start, 8, 8), np.float32)

    sliding = Sliding((4, 8, 8), overlap=0.0, batch_size=4, whole_batches=True)
    for z, _ in predict_slabs(identity, section, (40, 8, 8), sliding):
        done.append((z, max(read)))
    # A batch spans four slabs here, one is finished behind those, and one is read ahead.
    assert all(ahead - z <= 4 * 6 for z, ahead in done)


@pytest.mark.parametrize("window", [(4, 8, 8), (4, 20, 8)])  # the second exceeds the volume
def test_at_once_or_slab_by_slab_the_numbers_are_the_same(window):
    image = np.random.default_rng(4).random((11, 16, 16), np.float32)
    sliding = Sliding(window, overlap=0.6)
    slabs = predict_slabs(identity, lambda a, b: image[a:b], image.shape, sliding)
    at_once = predict_at_once(identity, lambda a, b: image[a:b], image.shape, sliding)
    np.testing.assert_array_equal(np.concatenate([s for _, s in slabs], axis=1), at_once)
    assert at_once.shape == (1, 11, 16, 16)


def test_at_once_nothing_is_added_up_beside_the_result():
    image, slabs = np.ones((9, 16, 16), np.float32), []

    def new(channels, first, stop):
        slabs.append(np.zeros((channels, stop - first, 16, 16), np.float32))
        return torch.from_numpy(slabs[-1])

    found = predict_slabs(
        identity, lambda a, b: image[a:b], image.shape, Sliding((4, 8, 8)), new=new
    )
    found = [slab for _, slab in found]
    assert len(found) == len(slabs) == 4
    assert all(map(np.shares_memory, found, slabs))
