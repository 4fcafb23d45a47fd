"""Where results lie, which volume they are of, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from connectomics.config.schema import SplitSection
from connectomics.data.cache_key import CacheKey, key_of, reading_result
from connectomics.data.identity import identify
from connectomics.data.io import open_volume, save_volume
from connectomics.errors import DataError
from connectomics.pipeline.comparing import image_of, require_made_with
from connectomics.pipeline.result_folders import Asked, existing_results, folders_of
from connectomics.pipeline.results import VolumeResults

SHAPE = (4, 6, 8)
RESULTS = Path("results")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def volume(
    path: str,
    seed: int,
    z_range: tuple[int, int] | None = None,
    x_range: tuple[int, int] | None = None,
) -> Asked:
    """A volume to ask for; it is made if it is not there."""
    if not Path(path).exists():
        voxels = np.random.default_rng(seed).integers(0, 255, SHAPE, np.uint8)
        save_volume(path, voxels)
    opened = open_volume(path)
    split = SplitSection(image=(path,), z_range=z_range, x_range=x_range)
    return Asked(opened.name, path, opened.crop(split.box_in(SHAPE)), split.ranges)


def predict(*asked: Asked) -> list[str]:
    """Leave probabilities where they belong; gives the names of the folders."""
    found = folders_of(RESULTS, asked)
    for one, results in zip(asked, found, strict=True):
        assert one.image is not None
        image = identify(one.image)
        about = CacheKey({"voxels": image.content}, {"image": image}).attributes()
        probabilities = np.zeros((3, *one.image.shape), np.uint8)
        save_volume(results.probabilities, probabilities, attributes=about, overwrite=True)
    return [results.folder.name for results in found]


def folders(*asked: Asked) -> list[str]:
    return [results.folder.name for results in folders_of(RESULTS, asked)]


def test_a_volume_keeps_its_folder_whatever_else_is_asked_for():
    a, b, c = volume("A/raw.h5", 1), volume("B/raw.h5", 2), volume("C/raw_2.h5", 3)
    assert predict(a, b, c) == ["raw", "raw_3", "raw_2"]
    assert folders(c, b, a) == ["raw_2", "raw_3", "raw"]
    assert folders(b) == ["raw_3"]
    assert folders(volume("D/raw.h5", 4), b) == ["raw_4", "raw_3"]


@pytest.mark.parametrize(
    ("other", "part"),
    [({"z_range": (0, 2)}, "[0:2, 0:6, 0:8]"), ({"x_range": (0, 4)}, "[0:4, 0:6, 0:4]")],
)
def test_another_part_is_another_volume(other: dict[str, tuple[int, int]], part: str):
    first, second = volume("raw.h5", 1, **other), volume("raw.h5", 1, (2, 4), (4, 8))
    assert predict(first) == ["raw"]
    assert folders(second, first) == ["raw_2", "raw"]
    with pytest.raises(DataError) as caught:
        existing_results(RESULTS, [second])
    assert "holds no probabilities of raw.h5 [2:4, 0:6, 4:8] (data.test)" in str(caught.value)
    assert f"only of raw (raw.h5 {part})" in str(caught.value)
    with pytest.raises(DataError, match=r"is of another part, raw\.h5 \[0:"):
        image_of(VolumeResults(RESULTS / "raw").probabilities, second)


def test_a_volume_that_moved_is_recognised_and_one_that_changed_is_refused():
    a = volume("A/raw.h5", 1)
    predict(a)
    Path("far").mkdir()
    Path("A/raw.h5").rename("far/em.h5")
    moved = volume("far/em.h5", 1)
    assert folders(moved) == ["raw"]
    path = VolumeResults(RESULTS / "raw").probabilities
    image, doubt = image_of(path, moved)
    assert image is not None
    assert (image.source, doubt) == ("far/em.h5", "")

    changed = volume("A/raw.h5", 2)
    assert folders(changed) == ["raw"]
    with pytest.raises(DataError) as caught:
        image_of(path, changed)
    said = str(caught.value)
    assert "A/raw.h5 as it was before; the file has changed since" in said
    assert "--mode infer" in said


def test_a_volume_that_is_gone_is_found_by_its_place():
    predict(volume("A/raw.h5", 1, None, (0, 5)))
    predict(volume("A/raw.h5", 1), volume("B/raw.h5", 2, (1, 3)))
    for path in ("A/raw.h5", "B/raw.h5"):
        Path(path).unlink()
    assert folders(Asked("raw", "B/raw.h5", ranges=((1, 3), None, None))) == ["raw_3"]
    assert folders(Asked("raw", "B/raw.h5", ranges=((0, 2), None, None))) == ["raw_4"]
    assert folders(Asked("raw", "A/raw.h5::main")) == ["raw_2"]
    assert folders(Asked("raw", "A/raw.h5", ranges=(None, None, (0, 5)))) == ["raw"]
    assert folders(Asked("raw", "A/raw.h5", ranges=(None, None, (0, 4)))) == ["raw_4"]
    found = existing_results(RESULTS, [])
    assert [results.folder.name for _, results in found] == ["raw", "raw_2", "raw_3"]


def test_results_that_do_not_say_of_what_they_are_go_by_name_and_it_is_said():
    a = volume("A/raw.h5", 1)
    path = RESULTS / "raw" / "probabilities.h5"
    save_volume(path, np.zeros((3, *SHAPE), np.uint8))
    assert folders(a) == ["raw"]
    image, doubt = image_of(path, a)
    assert image is not None
    assert image.path == str(Path("A/raw.h5").resolve())
    assert doubt == (
        "results/raw/probabilities.h5 does not say which volume it is of: it is taken to be of "
        "A/raw.h5 [0:4, 0:6, 0:8]."
    )


def test_a_result_of_another_network_is_refused():
    path = Path("probabilities.h5")
    about = {"checkpoint": "a.ckpt", "checkpoint_sha256": "0123"}
    save_volume(path, np.zeros(SHAPE, np.uint8), attributes={**CacheKey().attributes(), **about})
    for name in ("a.ckpt", "b.ckpt"):
        require_made_with(path, Path(name))  # not there to compare
        Path(name).write_text("weights")
    with pytest.raises(DataError, match=r"another network, a\.ckpt; --checkpoint is b\.ckpt"):
        require_made_with(path, Path("b.ckpt"))
    with pytest.raises(DataError, match=r"comes from a\.ckpt as it was before"):
        require_made_with(path, Path("a.ckpt"))
    require_made_with(path, None)


def test_a_damaged_result_is_made_anew_not_downloaded():
    path = Path("labels.h5")
    path.write_bytes(b"nothing")
    assert key_of(path) == CacheKey()
    with pytest.raises(DataError) as caught, reading_result(path, "decode"):
        open_volume(path)
    assert "delete it and make it anew with --mode decode" in str(caught.value)


def test_a_result_that_may_not_be_read_is_said_and_not_made_anew(monkeypatch):
    from connectomics.data.io import hdf5_file

    path = Path("results") / "raw" / "probabilities.h5"
    path.parent.mkdir(parents=True)
    save_volume(path, np.zeros((3, 4, 8, 8), np.float16))

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(hdf5_file.h5py, "File", refused)
    with pytest.raises(DataError, match=r"probabilities\.h5: may not be read"):
        key_of(path)


def test_what_others_wrote_has_no_origin():
    save_volume("labels.h5", np.ones(SHAPE, np.uint8))
    assert key_of(Path("labels.h5")) is None
    assert key_of(Path("none.h5")) is None
    for made_from in (3, {"parts": []}, {"parts": {}, "volumes": {"image": {"path": 1}}}):
        about = {"config_hash": "x", "made_from": made_from}
        save_volume("labels.h5", np.ones(SHAPE, np.uint8), attributes=about, overwrite=True)
        assert key_of(Path("labels.h5")) == CacheKey()
