from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from connectomics.config.schema import DataSection, SplitSection
from connectomics.data.build import build_datamodule, measure, open_split
from connectomics.data.checks import check_data
from connectomics.data.io import save_volume
from connectomics.data.processing.normalize import ImageStatistics, image_statistics
from connectomics.errors import DataError
from connectomics.geometry import Box

SHAPE = (12, 40, 40)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, array: np.ndarray | None = None, **options: Any) -> str:
    """Write a volume; by default one that could be an image."""
    if array is None:
        array = np.random.default_rng(len(name)).integers(0, 200, SHAPE, dtype=np.uint8)
    save_volume(f"{name}.h5", array, **options)
    return f"{name}.h5"


def labels(dtype: type = np.uint16) -> np.ndarray:
    label = np.zeros(SHAPE, dtype)
    label[2:5, 5:20, 5:20] = 1
    label[9:12, 5:20, 5:20] = 2
    return label


def section(**keys: Any) -> DataSection:
    loader = {"patch_size": (3, 16, 16), "num_workers": 0, **keys.pop("dataloader", {})}
    return DataSection.model_validate({"dataloader": loader, **keys})


def messages(**keys: Any) -> list[str]:
    return list(dict.fromkeys(str(fault) for fault in check_data(section(**keys), "train")))


# Opening ------------------------------------------------------------------------------------


def test_a_split_of_several_files():
    split = SplitSection.model_validate(
        {
            "image": [write("a"), write("b")],
            "label": [write("la", labels()), write("lb", labels())],
            "mask": [write("ma", labels()), write("mb", labels())],
            "resolution": [30, 8, 8],
        }
    )
    first, second = open_split(split, "data.test")
    assert (first.name, second.name) == ("a", "b")
    assert first.resolution == (30.0, 8.0, 8.0)
    assert not first.synthetic
    assert second.label is not None
    assert second.label.name == "lb"
    assert second.mask is not None


@pytest.mark.parametrize(
    ("ranges", "taken", "offset_nm"),
    [
        ({"z_range": (2, 7)}, np.s_[2:7], (60, 0, 0)),
        ({"y_range": (2, 40)}, np.s_[:, 2:], (0, 16, 0)),
        ({"z_range": (2, 7), "x_range": (10, 30)}, np.s_[2:7, :, 10:30], (60, 0, 80)),
    ],
)
def test_ranges_take_a_part_of_all_that_belongs_together(
    ranges: dict[str, tuple[int, int]], taken: Any, offset_nm: Any
):
    numbers = np.arange(np.prod(SHAPE), dtype=np.uint32).reshape(SHAPE)
    names = ("image", "label", "mask", "neurons")
    written = {name: (write(name, numbers, resolution=(30, 8, 8)),) for name in names}
    split = SplitSection.model_validate({**written, **ranges})
    (volume,) = open_split(split, "data.test")
    for name in names:
        part = getattr(volume, name)
        np.testing.assert_array_equal(part.read(), numbers[taken])
        assert part.offset_nm == offset_nm
    assert volume.shape == numbers[taken].shape


def test_a_phantom_is_made_once_and_says_synthetic():
    split = SplitSection.model_validate({"phantom": {"seed": 4, "shape": [6, 64, 64]}})
    (volume,) = open_split(split, "data.test")
    assert volume.synthetic
    assert volume.shape == (6, 64, 64)
    assert volume.resolution == (30.0, 8.0, 8.0)
    assert volume.neurons is None
    (file,) = Path("datasets/phantom").iterdir()
    made = file.stat().st_mtime_ns
    (again,) = open_split(split, "data.test")
    np.testing.assert_array_equal(again.image.read(), volume.image.read())
    assert file.stat().st_mtime_ns == made

    other = split.model_copy(
        update={"phantom": split.phantom.model_copy(update={"kwargs": {"noise": 0.0}})}
    )
    (clean,) = open_split(other, "data.test")
    assert len(list(Path("datasets/phantom").iterdir())) == 2
    assert not np.array_equal(clean.image.read(), volume.image.read())


def test_the_neurons_of_a_phantom_are_told_on_request_from_the_same_file():
    split = {"phantom": {"seed": 4, "shape": [6, 64, 64]}, "z_range": [2, 5]}
    open_split(SplitSection.model_validate(split), "data.test")
    split["phantom"]["neurons"] = True
    (volume,) = open_split(SplitSection.model_validate(split), "data.test")
    assert volume.neurons is not None
    assert volume.neurons.shape == (3, 64, 64)
    assert volume.grid.offset_nm == (60.0, 0.0, 0.0)
    assert len(list(Path("datasets/phantom").iterdir())) == 1


def test_neurons_and_annotations_of_files():
    neurons = np.arange(np.prod(SHAPE), dtype=np.uint32).reshape(SHAPE)
    place = {"resolution": (30, 8, 8), "offset_nm": (300, 16, 8)}
    split = {
        "image": [write("a", **place), write("b")],
        "neurons": [write("na", neurons), write("nb", neurons)],
        "annotations": [cremi("sa.hdf"), cremi("sb.hdf")],
        "z_range": [2, 7],
    }
    first, second = open_split(SplitSection.model_validate(split), "data.test")
    assert first.neurons is not None
    np.testing.assert_array_equal(first.neurons.read(), neurons[2:7])
    assert first.grid.offset_nm == (360.0, 16.0, 8.0)
    assert (first.annotations, second.annotations) == ("sa.hdf", "sb.hdf")
    assert second.grid.offset_nm == (0.0, 0.0, 0.0)  # where no voxel size is known, nothing moves
    part = first.crop(Box((1, 0, 2), (3, 40, 40)))
    assert part.grid.offset_nm == (390.0, 16.0, 24.0)
    assert second.crop(Box((1, 0, 2), (3, 40, 40))).grid.offset_nm == (0.0, 0.0, 0.0)


def cremi(name: str) -> str:
    """Write a file of annotations with one pair of sites."""
    with h5py.File(name, "w") as file:
        file["annotations/ids"] = [1, 2]
        file["annotations/locations"] = np.zeros((2, 3))
        file["annotations/presynaptic_site/partners"] = [[1, 2]]
    return name


def test_a_phantom_saved_to_a_file_stays_synthetic():
    write("a", attributes={"synthetic": True})
    assert open_split(SplitSection(image=("a.h5",)), "data.test")[0].synthetic


# Checks -------------------------------------------------------------------------------------


def test_good_volumes_have_no_faults():
    train = {"image": write("a"), "label": write("la", labels())}
    assert messages(train=train, val=train) == []


def test_all_faults_of_all_volumes_at_once():
    split = {
        "image": ["missing.h5", write("flat", np.zeros((1, 8, 8), np.uint8)), write("a")],
        "label": [
            write("float", labels() / np.float32(3)),
            write("small", np.zeros((1, 8, 9), np.uint8)),
            write("reals", labels() / np.float64(3)),
        ],
    }
    found = messages(
        train=split, label_transform={"targets": ["polarty"]}, augmentation={"flip": {"prop": 1}}
    )
    assert len(found) == 6
    assert "no target is called 'polarty'" in found[0]
    assert "flip.prop" in found[1]
    assert "missing.h5" in found[2]
    assert "float.h5: labels must be whole numbers, and it holds 0.333333 at voxel" in found[3]
    assert "small.h5: has shape (1, 8, 9), its image flat.h5 (1, 8, 8)." in found[4]
    assert "reals.h5: labels must be whole numbers" in found[5]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (None, "data.train: no volumes are given."),
        ({"image": "a.h5"}, "data.train.label: is missing."),
        (
            {"image": "c.h5", "label": "la.h5"},
            "c.h5: has shape (2, 12, 40, 40), where data.train.image",
        ),
        ({"image": "a.h5", "label": "la.h5", "z_range": [4, 14]}, "[4, 14] is no range of the 12"),
        (
            {"image": "a.h5", "label": "la.h5", "x_range": [4, 41]},
            "data.train.x_range: [4, 41] is no range of the 40 columns of a.h5.",
        ),
        (
            {"image": "a.h5", "label": "la.h5", "z_range": [4, 6]},
            "a.h5: (2, 40, 40) voxels hold no patch of (3, 16, 16) (z, y, x).\n"
            "  Set data.dataloader.patch_size=[2, 16, 16], or smaller.",
        ),
        (
            {"image": "xyz.h5", "label": "lxyz.h5"},
            "(40, 40, 12) voxels hold no patch of (3, 16, 16) (z, y, x).\n  Set "
            "data.dataloader.patch_size=[3, 16, 12], or smaller. If it is stored as (x, y, z), say",
        ),
        (
            {"phantom": {"shape": [2, 64, 64]}},
            "data.train.phantom: (2, 64, 64) voxels hold no patch",
        ),
        (
            {"phantom": {"kwargs": {"nois": 1}}},
            "data.train.phantom.kwargs.nois: make_phantom has no",
        ),
        ({"image": "a.h5", "label": "la.h5", "resolution": [40, 4, 4]}, "nm per voxel (z, y, x)"),
    ],
)
def test_faults_of_one_split(split, message):
    write("a", resolution=(30, 8, 8))
    write("la", labels())
    write("c", np.zeros((2, *SHAPE), np.uint8))
    write("xyz", np.zeros(SHAPE[::-1], np.uint8))
    write("lxyz", labels().T)
    (fault,) = messages(train=split)
    assert message in fault


def test_stages_need_what_they_read():
    test = section(test={"image": write("a")})
    assert check_data(test, "infer") == []
    assert check_data(test, "test", evaluates=False) == []
    for mode in ("evaluate", "test"):
        (fault,) = check_data(test, mode)
        assert fault.where == "data.test.label"
    assert check_data(section(), "decode") == []


def test_decoding_reads_neurons_where_they_are_named():
    test = {"image": write("a"), "neurons": write("n", np.full(SHAPE, 0.5))}
    (fault,) = check_data(section(test=test), "decode")
    assert str(fault).startswith("n.h5: labels must be whole numbers, and it holds 0.5 at voxel")
    test["neurons"] = write("m", np.zeros((12, 40, 41), np.uint8))
    (fault,) = check_data(section(test=test), "decode")
    assert "m.h5: has shape (12, 40, 41), its image a.h5 (12, 40, 40)." in str(fault)
    (fault,) = check_data(section(test={"image": "a.h5", "annotations": "a.h5"}), "infer")
    assert "a.h5: has no group 'annotations'." in str(fault)
    phantom = {"phantom": {"shape": [6, 64, 64], "neurons": True}, "z_range": [3, 9]}
    (fault,) = check_data(section(test=phantom), "decode")
    assert "[3, 9] is no range of the 6 sections" in str(fault)


def test_opening_what_is_not_there_is_an_error():
    with pytest.raises(DataError, match=r"gone\.h5"):
        open_split(SplitSection(image=("gone.h5",)), "data.test")
    with pytest.raises(DataError, match=r"data\.test: no volumes"):
        open_split(None, "data.test")


# Statistics ---------------------------------------------------------------------------------


def test_statistics_by_volume_or_pooled():
    dark, bright = np.zeros(SHAPE, np.uint8), np.full(SHAPE, 200, np.uint8)
    dark[0], bright[0] = 100, 250
    split = SplitSection(image=(write("dark", dark), write("bright", bright)))
    volumes = open_split(split, "data.train")
    own = measure(volumes, section().image_transform)
    assert [(s.low, s.high) for s in own] == [(0, 100), (200, 250)]
    train = section(image_transform={"statistics": "train"}).image_transform
    pooled = measure(volumes, train)
    assert [(s.low, s.high) for s in pooled] == [(0, 250), (0, 250)]
    assert measure(volumes[:1], train, pooled[0]) == [pooled[0]]


def test_an_image_with_nan_is_refused():
    image = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    image[3, 4, 5] = np.nan
    train = {"image": write("a", image), "label": write("la", labels())}
    with pytest.raises(DataError, match=r"nan at voxel \(3, 4, 5\)"):
        build_datamodule(section(train=train), seed=0)


# Batches ------------------------------------------------------------------------------------


def test_too_small_a_volume_for_a_gap_is_warned_about():
    train = {"image": write("a"), "label": write("la", labels())}
    assert build_datamodule(section(train=train), seed=0).warnings == []
    tight = section(train=train, dataloader={"patch_size": (5, 16, 16)})
    (warning,) = build_datamodule(tight, seed=0).warnings
    assert "a.h5 is too small to keep a patch between" in warning
    given = section(train=train, val_gap=(2, 9, 9), dataloader={"patch_size": (5, 16, 16)})
    assert build_datamodule(given, seed=0).warnings == []
    val = {"image": "a.h5", "label": "la.h5"}
    apart = section(train=train, val=val, dataloader={"patch_size": (5, 16, 16)})
    assert build_datamodule(apart, seed=0).warnings == []


def test_validation_is_held_back_from_training():
    train = {"image": write("a"), "label": write("la", labels())}
    module = build_datamodule(section(train=train), seed=0)
    learn, look = module.train[0].volume, module.val[0].volume
    assert (learn.shape, look.shape) == ((6, 40, 40), (3, 40, 40))
    whole = open_split(SplitSection(image=("a.h5",)), "")[0].image.read()
    np.testing.assert_array_equal(learn.image.read(), whole[:6])
    np.testing.assert_array_equal(look.image.read(), whole[9:])
    assert module.train[0].statistics == module.val[0].statistics == image_statistics(whole)


def test_what_is_held_back_is_noted():
    train = {"image": write("a"), "label": write("la", labels()), "z_range": (1, 12)}
    held = "a.h5: sections 1-5 are learned from, 9-11 held back to validate on, 3 between left out"
    less = " (data.val_gap=[z,y,x] leaves out less: what a large synapse spans is enough)"
    assert build_datamodule(section(train=train), seed=0).notes[0] == held + less
    given = section(train=train, val_gap=(1, 9, 9))
    assert build_datamodule(given, seed=0).notes[0] == (
        "a.h5: sections 1-7 are learned from, 9-11 held back to validate on, 1 between left out"
    )


def test_validation_volumes_of_their_own():
    train = {"image": write("a"), "label": write("la", labels())}
    val = {"image": write("bb"), "label": write("lb", labels())}
    module = build_datamodule(section(train=train, val=val), seed=0)
    assert module.train[0].shape == module.val[0].shape == SHAPE
    assert module.val[0].volume.name == "bb"
    assert module.train[0].statistics != module.val[0].statistics


def test_settings_reach_the_batches():
    train = {"image": write("a"), "label": write("la", labels())}
    module = build_datamodule(
        section(
            train=train,
            augmentation={"elastic": {}},
            dataloader={"reject_sampling": {"size_thres": 7, "p": 0.5}, "cache_limit_gib": 0.5},
        ),
        seed=9,
    )
    assert (module.size_thres, module.p, module.seed) == (7, 0.5, 9)
    assert module.cache_limit == 2**29
    assert module.maker.augmenter.source_size((3, 16, 16)) != (3, 16, 16)
    module.setup()
    assert not module.with_mask


def test_a_volume_without_room_for_validation():
    train = {"image": write("a"), "label": write("la", labels())}
    with pytest.raises(DataError, match=r"Name validation volumes in data\.val"):
        build_datamodule(section(train=train, dataloader={"patch_size": (7, 21, 21)}), seed=0)


def test_an_image_with_nan_is_refused_also_where_other_volumes_are_measured():
    image = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    pooled = ImageStatistics(0, 1, 0.5, 0.2)
    transform = section(image_transform={"statistics": "train"}).image_transform
    for value in (np.nan, np.inf):
        image[3, 4, 5] = value
        volumes = open_split(SplitSection(image=(write(f"a{value}", image),)), "data.test")
        with pytest.raises(DataError, match=r"a.*\.h5.*voxel \(3, 4, 5\)"):
            measure(volumes, transform, pooled)
