"""What is validated on is the same for training and for tuning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from connectomics.config.schema import DataSection
from connectomics.data.build import build_datamodule, measure, open_validation
from connectomics.data.io import save_volume
from connectomics.errors import DataError

SHAPE = (12, 40, 40)


@pytest.fixture(autouse=True)
def _in_a_folder_with_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        image = rng.integers(0, 200, SHAPE, dtype=np.uint8)
        image[0, 0, 0] = 250  # the whole volume is measured, not the part held back
        label = rng.integers(0, 3, SHAPE, dtype=np.uint8)
        save_volume(f"{name}.h5", image, resolution=(30, 8, 8))
        save_volume(f"{name}_label.h5", label)


def section(**keys) -> DataSection:
    loader = {"patch_size": (3, 16, 16), "num_workers": 0, "batch_size": 1}
    both = {"image": ["a.h5", "b.h5"], "label": ["a_label.h5", "b_label.h5"]}
    return DataSection.model_validate({"train": both, "dataloader": loader, **keys})


@pytest.mark.parametrize("fraction", [0.1, 0.4])
@pytest.mark.parametrize("z_range", [None, [1, 11]])
def test_it_is_just_what_training_holds_back(fraction, z_range):
    data = section(val_fraction=fraction)
    assert data.train is not None
    data = data.model_copy(update={"train": data.train.model_copy(update={"z_range": z_range})})
    trained = build_datamodule(data, seed=0)
    tuned = open_validation(data)
    statistics = measure([one.whole for one in tuned], data.image_transform)
    assert len(tuned) == 2
    for source, one, measured in zip(trained.val, tuned, statistics, strict=True):
        np.testing.assert_array_equal(source.volume.image.read(), one.volume.image.read())
        np.testing.assert_array_equal(source.volume.label.read(), one.volume.label.read())
        assert source.statistics == measured
    assert any(tuned[0].volume.grid.offset_nm)
    assert any(tuned[0].volume.image.origin)


def test_volumes_of_its_own():
    val = {"image": "b.h5", "label": "b_label.h5", "z_range": [2, 6]}
    (one,) = open_validation(section(val=val))
    assert one.volume is one.whole
    assert one.volume.shape == (4, 40, 40)
    (alone,) = open_validation(section(train=None, val=val))
    assert alone.volume.name == "b"


def test_what_is_not_there_is_an_error():
    with pytest.raises(DataError, match=r"data\.val: no volumes are given"):
        open_validation(section(train=None))
    with pytest.raises(DataError, match=r"gone\.h5"):
        open_validation(section(val={"image": "gone.h5", "label": "b_label.h5"}))
