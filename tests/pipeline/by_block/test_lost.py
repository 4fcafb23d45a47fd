"""Blocks of finished probabilities that were lost or damaged are made again, and no others."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from connectomics.data.io import pyramid, read_volume
from connectomics.pipeline.by_block import lost, predicting
from tests.pipeline.tiny_run import TinyRun

BLOCKS = "system.block_size=[8,20,16]"


class Run(TinyRun):
    """What tells which files of its probabilities were written."""

    @property
    def store(self) -> Path:
        return self.results / "probabilities.zarr"

    def file(self, place: str) -> Path:
        return self.store / "0" / "c" / "0" / place

    def levels(self) -> list[np.ndarray]:
        return [read_volume(f"{self.store}/{level}") for level in range(3)]

    def state(self) -> dict[str, tuple[int, int]]:
        """What tells whether a file of the store was touched."""
        files = [file for file in self.store.rglob("*") if file.is_file()]
        return {str(one): (one.stat().st_ino, one.stat().st_mtime_ns) for one in files}


@pytest.fixture
def run(trained, tmp_path, monkeypatch, capsys) -> Run:
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    run = Run(capsys)
    run("infer", BLOCKS)
    return run


def damage(file: Path) -> None:
    """Change a byte of its first chunk, and nothing that a glance shows."""
    data = bytearray(file.read_bytes())
    data[2] ^= 1
    file.write_bytes(data)


def test_nothing_is_predicted_for_probabilities_that_cannot_be_written(run: Run, monkeypatch):
    run.file("0/1/2").unlink()
    access = os.access
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, *a: Path(path) != run.store and access(path, *a))
        said = run("infer", BLOCKS, code=2)
    assert f"{run.store}: cannot be written: " in said
    assert "done now" not in said
    assert "infer: 1 block done now\n" in run("infer", BLOCKS)


def test_lost_and_short_blocks_are_made_again_and_no_others(run: Run) -> None:
    run("test")
    expected, before = read_volume(run.store), run.state()
    run.file("0/1/2").unlink()
    shutil.rmtree(run.file("1/0"))
    short = run.file("1/1/1")
    short.write_bytes(short.read_bytes()[:-1])
    said = run("decode", BLOCKS, code=2)
    assert "lacks 5 of its 18 blocks (4 not there, 1 damaged)." in said
    assert "Make them again with --mode test." in said
    said = run("test")  # in the blocks that it was made in
    assert (
        "probabilities.zarr lacks 5 of its 18 blocks (4 not there, 1 damaged); predicting these "
        "again, and no others\n" in said
    )
    assert "infer: 5 blocks done now\n" in said
    assert np.array_equal(read_volume(run.store), expected)
    after = run.state()
    assert after.keys() == before.keys()
    assert sum(after[name] != before[name] for name in before) == 5
    assert not (run.results / "blocks").exists()
    assert not (run.results / "earlier").exists()
    assert said.count("is up to date") == 3  # what was made from them


def test_a_damaged_block_is_found_where_it_is_read(run: Run) -> None:
    expected, files = read_volume(run.store), [run.file(p) for p in ("0/0/1", "1/2/0")]
    damage(files[0])
    assert "up to date" in run("infer")  # all is there, and as long as it was
    for blocks in (BLOCKS, "system.block_size=[14,50,46]"):
        damage(files[1])
        said = run("decode", blocks, code=2)
        assert f"{files[0].relative_to(run.store)}: is damaged: cannot be read from (0, " in said
        assert "The command that predicted it (such as --mode test) makes it again" in said
        assert "lacks 2 of its 18 blocks (2 damaged)." in run("decode", blocks, code=2)
        assert "infer: 2 blocks done now\n" in run("infer")
        assert np.array_equal(read_volume(run.store), expected)
        assert not list(run.store.rglob("*.unreadable"))
        damage(files[0])


def test_a_block_that_was_copied_again_counts(run: Run) -> None:
    file = run.file("0/0/1")
    shutil.copy(file, "kept")
    damage(file)
    run("decode", BLOCKS, code=2)
    shutil.copy("kept", file)
    assert "up to date" in run("infer")
    run("decode", BLOCKS)


def test_whoever_is_killed_on_the_way_goes_on(run: Run, monkeypatch) -> None:
    expected, gone = read_volume(run.store), ["0/0/0", "0/1/1", "1/2/2", "1/0/1"]
    for place in gone:
        run.file(place).unlink()
    predict, put, did = predicting.PredictBlocks.__call__, lost.put_back, []

    def predicts(self, task):
        if len(did) == 2:
            raise KeyboardInterrupt
        did.append(task.name)
        return predict(self, task)

    def puts(*arguments):
        if len(did) == 6:
            raise KeyboardInterrupt
        did.append("put back")
        return put(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(predicting.PredictBlocks, "__call__", predicts)
        run("infer", code=130)
    assert "lacks 4 of its 18 blocks" in run("decode", BLOCKS, code=2)
    with monkeypatch.context() as patch:
        patch.setattr(predicting, "put_back", puts)
        did.append("stopped")
        did.append("stopped")
        run("infer", code=130)
    assert did.count("put back") == 2
    assert "lacks 2 of its 18 blocks" in run("decode", BLOCKS, code=2)
    said = run("infer")
    assert "infer: 2 done before\n" in said
    assert np.array_equal(read_volume(run.store), expected)
    assert not (run.results / "blocks").exists()


def test_shards_share_what_was_lost(run: Run) -> None:
    expected = read_volume(run.store)
    for place in ("0/0/0", "0/1/1", "1/2/2"):
        run.file(place).unlink()
    assert "2 blocks done now of shard 0/2" in run("infer", "system.shard=0/2")
    assert "all blocks are done" in run("infer", "system.shard=1/2")
    assert "lacks 3" in run("decode", BLOCKS, code=2)
    assert "infer: 3 done before\n" in run("infer")
    assert np.array_equal(read_volume(run.store), expected)


def test_other_settings_and_lost_labels_make_all_anew(run: Run) -> None:
    run("decode", BLOCKS)
    labels = run.results / "labels.zarr"
    expected = read_volume(labels)
    next(iter(labels.glob("0/c/*/*/*"))).unlink()
    assert "lacks 1 of its 18 blocks (1 not there); decoding anew" in run("decode", BLOCKS)
    assert np.array_equal(read_volume(labels), expected)
    run.file("0/0/0").unlink()
    said = run("infer", "system.block_size=[8,20,20]")
    assert "block size was [8, 20, 16] and is [8, 20, 20]; predicting anew" in said
    assert list(run.results.glob("earlier/*/probabilities.zarr"))


def test_only_some_lengths_are_looked_at_and_all_names(run: Run, monkeypatch) -> None:
    monkeypatch.setattr(lost, "LOOKED_AT", 2)  # the first and the tenth
    os.truncate(run.file("0/0/1"), 5)
    assert lost.lacks_blocks(run.store) == ""
    run.file("0/0/2").unlink()
    assert lost.lacks_blocks(run.store) == "lacks 1 of its 18 blocks (1 not there)"
    assert "infer: 2 blocks done now\n" in run("infer")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def with_levels(run: Run, monkeypatch) -> Run:
    """Probabilities with coarser levels, of a volume that is too small for them."""
    monkeypatch.setattr(pyramid, "WIDEST", 4)
    monkeypatch.setattr(pyramid, "SMALLEST", 1)
    shutil.rmtree(run.results)
    run("infer", BLOCKS)
    assert [level.shape[1:] for level in run.levels()] == [(14, 50, 46), (14, 25, 23), (14, 13, 12)]
    return run


def test_lost_coarser_levels_follow_from_the_finest(with_levels: Run, monkeypatch) -> None:
    run = with_levels
    expected, before = run.levels(), run.state()
    (run.store / "1/c/0/0/1/2").unlink()
    os.truncate(run.store / "2/c/0/1/0/0", 9)
    shutil.rmtree(run.store / "2/c/0/1/1")
    assert lost.lacks_blocks(run.store) == ""
    with monkeypatch.context() as patch:
        patch.setattr(predicting.PredictBlocks, "__call__", None)  # nothing is predicted
        said = run("infer")
    assert f"{run.store}: makes the coarser levels of 5 blocks again, from the finest" in said
    assert "up to date" in said
    for level, values in zip(run.levels(), expected, strict=True):
        np.testing.assert_array_equal(level, values)
    after = run.state()
    assert after.keys() == before.keys()
    assert not any(before[one] != after[one] for one in before if f"{run.store}/0" in one)
    assert not (run.results / "blocks").exists()
    assert "coarser levels" not in run("infer")


def test_a_lost_block_brings_its_part_of_the_coarser_levels(with_levels: Run) -> None:
    run = with_levels
    expected = run.levels()
    run.file("0/1/2").unlink()
    (run.store / "1/c/0/0/1/2").unlink()
    (run.store / "2/c/0/1/0/0").unlink()  # of another block
    said = run("infer")
    assert "infer: 1 block done now\n" in said
    assert "makes the coarser levels of 1 block again" in said
    for level, values in zip(run.levels(), expected, strict=True):
        np.testing.assert_array_equal(level, values)


@pytest.mark.parametrize("lost_block", [False, True])
def test_a_level_that_lost_its_metadata_is_made_again(with_levels: Run, lost_block: bool) -> None:
    run = with_levels
    expected = run.levels()
    (run.store / "1/zarr.json").write_text("{")
    shutil.rmtree(run.store / "2")
    assert lost.lacks_blocks(run.store) == ""
    assert "decode: candidates: 18 blocks done now" in run("decode", BLOCKS)
    if lost_block:
        run.file("0/1/2").unlink()
    assert "makes the coarser levels of" in run("infer")
    for level, values in zip(run.levels(), expected, strict=True):
        np.testing.assert_array_equal(level, values)
    assert "coarser levels" not in run("infer")


@pytest.mark.parametrize(
    "damaged", [b"", b"[]", b"null", b"{}", b"\xff", b'{"zarr_format": 3, "node_type": "group"}']
)
def test_damaged_metadata_of_a_level_is_no_level(with_levels: Run, damaged: bytes) -> None:
    (with_levels.store / "1/zarr.json").write_bytes(damaged)
    assert len(lost.lacks_coarser(with_levels.store)) == 18


def test_a_level_that_cannot_be_read_for_now_is_not_made_again(
    with_levels: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = with_levels
    before, opened = run.state(), zarr.open_array

    def fails(store, *, path, **how):
        if path == "1":
            raise OSError(errno.EIO, "Input/output error", path)
        return opened(store, path=path, **how)

    monkeypatch.setattr(zarr, "open_array", fails)
    assert "Input/output error" in run("infer", code=2)
    assert run.state() == before


def test_a_run_that_goes_on_makes_short_coarser_levels_again(with_levels: Run, monkeypatch) -> None:
    run = with_levels
    expected = run.levels()
    shutil.rmtree(run.results)
    with monkeypatch.context() as patch:
        patch.setattr(predicting, "_finish", interrupt)
        run("infer", BLOCKS, code=130)
    begun = run.results / "blocks/probabilities/probabilities.zarr"
    (begun / "2/c/0/0/0/1").unlink()
    os.truncate(begun / "1/c/0/1/2/2", 5)
    assert "16 done before, 2 made again" in run("infer", BLOCKS)
    for level, values in zip(run.levels(), expected, strict=True):
        np.testing.assert_array_equal(level, values)


def test_labels_have_coarser_levels_too(with_levels: Run) -> None:
    run = with_levels
    run("decode", BLOCKS)
    labels = run.results / "labels.zarr"
    levels = [read_volume(f"{labels}/{level}") for level in range(3)]
    assert set(np.unique(levels[0])) >= set(np.unique(levels[2]))
    assert (levels[0][:, ::4, ::4][levels[2] == 0] == 0).all()
    (labels / "2/c/0/0/0").unlink()
    said = run("decode", BLOCKS)
    assert "makes the coarser levels of 1 block again" in said
    assert "decoding" not in said
    np.testing.assert_array_equal(read_volume(f"{labels}/2"), levels[2])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["processes", "dask"])
def test_other_processes_make_them_too(run: Run, name: str) -> None:
    if name == "dask":
        pytest.importorskip("distributed")
    expected = read_volume(run.store)
    damage(run.file("0/0/1"))
    executor = [f"system.executor.name={name}", "system.executor.workers=2"]
    assert "is damaged" in run("decode", BLOCKS, *executor, code=2)
    run.file("1/1/1").unlink()
    assert "infer: 2 blocks done now\n" in run("infer", *executor)
    np.testing.assert_allclose(read_volume(run.store), expected, atol=1e-6)
