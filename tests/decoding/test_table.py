"""The synapse table, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.decoding import TABLE_COLUMNS, list_synapses, synapse_table
from connectomics.decoding.table import COLUMN_TYPES
from connectomics.errors import DataError
from connectomics.geometry import VoxelGrid

NM = (30.0, 8.0, 8.0)


def labels():
    volume = np.zeros((3, 5, 8), np.uint16)
    volume[1, 1, 1:6] = 1
    volume[1, 2, 1:4] = 2
    volume[2, 4, 2:4] = 6  # synapse 3, without a pre side; there is no synapse 2
    return volume


def test_every_column_by_hand():
    table = synapse_table(labels(), resolution=NM, offset_nm=(1000, 200, 0))
    assert list(table.columns) == list(TABLE_COLUMNS)
    assert table.pre_neuron.isna().all()
    assert table.post_neuron.isna().all()
    first, second = table.drop(columns=["pre_neuron", "post_neuron"]).to_dict("records")
    assert first | {"confidence": 0, "polarity_margin": 0} == {
        "synapse_id": 1,
        "pre_x_nm": 24.0,
        "pre_y_nm": 208.0,
        "pre_z_nm": 1030.0,
        "post_x_nm": 16.0,
        "post_y_nm": 216.0,
        "post_z_nm": 1030.0,
        "centre_x_nm": 24.0,  # centroid at x = 2.625, y = 1.375
        "centre_y_nm": 208.0,
        "centre_z_nm": 1030.0,
        "pre_voxels": 5,
        "post_voxels": 3,
        "size_nm3": 8 * 1920.0,
        "confidence": 0,
        "polarity_margin": 0,
        "side": "paired",
        "touches_border": False,
    }
    assert second["synapse_id"] == 3
    assert second["side"] == "post_only"
    assert second["touches_border"]
    assert np.isnan(second["pre_x_nm"])
    assert second["centre_x_nm"] == second["post_x_nm"] == 16.0
    assert table.confidence.isna().all()


def test_confidence_and_margin_come_from_the_probabilities():
    probabilities = np.zeros((3, 3, 5, 8), np.float32)
    probabilities[0, 1, 1, 1:6], probabilities[1, 1, 1, 1:6] = 0.8, 0.1
    probabilities[1, 1, 2, 1:4] = 0.5
    table = synapse_table(labels(), resolution=NM, probabilities=probabilities)
    assert table.polarity_margin.tolist() == pytest.approx([(5 * 0.7 + 3 * 0.5) / 8, 0])
    assert table.confidence[0] > table.confidence[1] == 0
    background = 1 - probabilities[:2].sum(axis=0)
    classes = np.stack([background, *probabilities[:2]])
    again = synapse_table(labels(), resolution=NM, probabilities=classes, exclusive=True)
    pd.testing.assert_frame_equal(again, table)


def test_neurons_are_named():
    neurons = np.zeros((3, 5, 8), np.uint64)
    neurons[1, 1], neurons[1, 2] = 7, 2**60 + 1
    table = synapse_table(labels(), resolution=NM, neurons=neurons)
    assert table.pre_neuron[0] == 7
    assert table.post_neuron[0] == 2**60 + 1
    assert table.post_neuron.isna().tolist() == [False, True]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_points_lie_inside_and_nearest_the_centroid(seed):
    volume = np.random.default_rng(seed).integers(0, 9, (3, 4, 5))
    table = synapse_table(volume, resolution=NM).set_index("synapse_id")
    for n, row in table.iterrows():
        for name, ids in (("pre", [2 * n - 1]), ("post", [2 * n]), ("centre", [2 * n - 1, 2 * n])):
            point = row[[f"{name}_{axis}_nm" for axis in "zyx"]].to_numpy(float)
            voxels = np.argwhere(np.isin(volume, ids)) * NM
            if len(voxels) == 0:
                assert np.isnan(point).all()
                continue
            assert (voxels == point).all(axis=1).any()
            away = np.linalg.norm(voxels - voxels.mean(axis=0), axis=1)
            assert np.linalg.norm(point - voxels.mean(axis=0)) == pytest.approx(away.min())


def test_of_equally_central_voxels_the_first_counts():
    volume = np.zeros((1, 3, 3), int)
    volume[0, ::2, ::2] = 1  # four corners around a centroid between them
    volume[0, 1, 1] = 2
    table = synapse_table(volume, resolution=NM)
    assert table[["pre_z_nm", "pre_y_nm", "pre_x_nm"]].values.tolist() == [[0, 0, 0]]
    assert table[["centre_z_nm", "centre_y_nm", "centre_x_nm"]].values.tolist() == [[0, 8, 8]]


@pytest.mark.parametrize("dtype", [np.int32, np.uint64, np.uint8])
@pytest.mark.parametrize("add", [0, 2**30])
def test_ids_of_any_size_and_type(dtype, add):
    if add and dtype == np.uint8:
        add = 240
    volume = np.where(labels() > 0, labels().astype(np.uint64) + add, 0).astype(dtype)
    table = synapse_table(volume, resolution=NM)
    assert table.synapse_id.tolist() == [1 + add // 2, 3 + add // 2]
    same = table.drop(columns="synapse_id")
    expected = synapse_table(labels(), resolution=NM).drop(columns="synapse_id")
    pd.testing.assert_frame_equal(same, expected)


def test_types_of_the_columns_with_and_without_synapses():
    for volume in (labels(), np.zeros((1, 2, 3), int)):
        table = synapse_table(volume, resolution=NM)
        expected = pd.DataFrame(columns=list(COLUMN_TYPES)).astype(COLUMN_TYPES)
        assert table.dtypes.to_dict() == expected.dtypes.to_dict()
        assert list(table.columns) == list(TABLE_COLUMNS)


@pytest.mark.parametrize(
    "voxel", [(0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 2)]
)
def test_each_face_is_the_border(voxel):
    volume = np.zeros((3, 3, 3), int)
    volume[1, 1, 1] = 1
    assert not synapse_table(volume, resolution=NM).touches_border[0]
    volume[voxel] = 2
    assert synapse_table(volume, resolution=NM).touches_border[0]


def test_many_synapses_come_back_one_by_one():
    ids = np.arange(1, 70_001).reshape(7, 100, 100)
    volume = np.zeros((7, 200, 100), np.uint32)
    volume[:, ::2], volume[:, 1::2] = 2 * ids - 1, 2 * ids
    table = synapse_table(volume, resolution=NM)
    assert table.synapse_id.tolist() == list(range(1, 70_001))
    assert (table.side == "paired").all()
    z, y, x = np.unravel_index(table.synapse_id - 1, ids.shape)
    for axis, place, nm in zip("zyx", (z, 2 * y + 1, x), NM, strict=True):
        np.testing.assert_array_equal(table[f"post_{axis}_nm"], place * nm)


@pytest.mark.parametrize(
    ("labels", "change", "message"),
    [
        (np.zeros((2, 3)), {}, r"labels are float64 of shape \(2, 3\)"),
        (np.full((1, 2, 2), -1), {}, "a label is -1"),
        (np.ones((1, 2, 2), int), {"resolution": (0, 8, 8)}, "the resolution is"),
        (
            np.ones((1, 2, 2), int),
            {"probabilities": np.zeros((3, 1, 2, 3))},
            r"labels have shape \(1, 2, 2\), the probabilities \(1, 2, 3\)",
        ),
    ],
)
def test_faults_are_named(labels, change, message):
    with pytest.raises(DataError, match=message):
        synapse_table(labels, **{"resolution": NM} | change)


def test_partners_come_with_how_sure_they_are():
    volume = labels()
    neurons = np.zeros(volume.shape, np.uint64)
    neurons[1, 1, 1:5], neurons[1, 1, 5], neurons[1, 2], neurons[2] = 7, 8, 7, 9
    listed = list_synapses(volume, VoxelGrid(NM), neurons=neurons)
    assert listed.partners is not None
    assert listed.partners.to_dict("list") == {
        "synapse_id": [1, 3],
        "pre_neuron": [7, 0],
        "pre_margin": [pytest.approx(0.6), 0],  # four voxels of five, and one
        "post_neuron": [7, 9],
        "post_margin": [1, 1],
        "autapse": [True, False],
    }
    assert listed.table.pre_neuron.fillna(0).tolist() == [7, 0]
    assert listed.table.post_neuron.tolist() == [7, 9]
    pd.testing.assert_frame_equal(
        listed.table, synapse_table(volume, resolution=NM, neurons=neurons)
    )
    assert list_synapses(volume, VoxelGrid(NM)).partners is None
