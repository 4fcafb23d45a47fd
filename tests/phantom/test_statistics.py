"""Synapse sizes against the EM-R50 percentiles; the bands are wide, the sample is small."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import find_objects

from connectomics.phantom import Phantom

# Percentiles 25, 50, 75 in voxels, sections, px of 8 nm.
EM_R50 = {
    "voxels": (4064, 7244, 12844),
    "sections": (6, 9, 12),
    "length": (38, 50, 71),
    "width": (18, 22, 27),
    "distance": (8, 11, 14),
}


@pytest.fixture(scope="module")
def measured(phantom: Phantom) -> dict[str, np.ndarray]:
    union = (phantom.label.astype(int) + 1) // 2
    rows = []
    for synapse, box in zip(phantom.synapses, find_objects(union), strict=True):
        z, y, x = np.nonzero(union[box] == synapse.id)
        flat = np.column_stack([y, x])[z == np.bincount(z).argmax()]
        flat = flat - flat.mean(0)
        along = flat @ np.linalg.eigh(flat.T @ flat)[1][:, 1]
        length = np.ptp(along) + 1
        apart = np.subtract(synapse.pre_nm, synapse.post_nm) / 8.0
        rows.append((len(z), np.ptp(z) + 1, length, len(flat) / length, np.linalg.norm(apart)))
    return dict(zip(EM_R50, np.array(rows).T, strict=True))


@pytest.mark.parametrize("name", EM_R50)
def test_quartiles_resemble_em_r50(measured: dict[str, np.ndarray], name: str):
    found = np.percentile(measured[name], [25, 50, 75])
    assert np.all(found > np.array(EM_R50[name]) / 1.8)
    assert np.all(found < np.array(EM_R50[name]) * 1.8)


def test_density_and_foreground_resemble_em_r50(phantom: Phantom):
    volume_um3 = phantom.label.size * np.prod(phantom.resolution) * 1e-9
    density = len(phantom.synapses) / volume_um3
    assert density == pytest.approx(0.9, rel=0.2)
    foreground = np.mean(phantom.label > 0) * 0.6 / density
    assert 0.006 < foreground < 0.018
    pre = np.mean(phantom.label[phantom.label > 0] % 2)
    assert 0.48 < pre < 0.62


def test_grey_values_resemble_a_micrograph(phantom: Phantom):
    intact = np.delete(phantom.image, phantom.damaged_sections, axis=0)
    assert 110 < intact.mean() < 175
    assert 30 < intact.std() < 60
    assert np.mean((intact == 0) | (intact == 255)) < 0.02
