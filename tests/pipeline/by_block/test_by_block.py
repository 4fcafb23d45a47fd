"""Results that are made block by block are those that are made at once."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from main import main

from connectomics.blocks import BlockGrid, working_on
from connectomics.data.io import open_volume, read_volume, save_volume
from connectomics.decoding.lines import write_neuroglancer
from connectomics.geometry import VoxelGrid
from connectomics.inference.by_block import windows_of
from connectomics.inference.windows import Sliding
from connectomics.pipeline.by_block import labelling
from connectomics.pipeline.results import VolumeResults
from tests.pipeline.tiny_run import TinyRun, interrupted

BLOCKS = "system.block_size=[8,20,16]"


class Run(TinyRun):
    """What it has predicted."""

    def probabilities(self) -> np.ndarray:
        (path,) = self.results.glob("probabilities.[hz]*")
        return read_volume(path)


@pytest.fixture
def run(trained, tmp_path, monkeypatch, capsys) -> Run:
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return Run(capsys)


def test_probabilities_are_those_of_the_whole(run):
    run("infer")
    assert (run.results / "probabilities.h5").is_file()
    expected = run.probabilities()
    said = run("infer", BLOCKS)
    assert (
        "data: block size was not given and is [8, 20, 16]; predicting anew, the earlier goes"
        in said
    )
    assert "12 blocks done now" not in said  # 2 x 3 x 3 of them
    assert "18 blocks done now" in said
    found = run.probabilities()
    seen = found.any(axis=0)
    np.testing.assert_allclose(found[:, seen], expected[:, seen], atol=1e-5)
    with open_volume(run.results / "probabilities.zarr") as volume:
        assert (volume.resolution, volume.offset_nm) == ((30, 8, 8), (60, 0, 8))
        assert volume.attributes["channels"] == ["pre", "post", "union"]
        assert volume.attributes["made_from"]["parts"]["block size"] == [8, 20, 16]
        assert volume.gaps is None
    assert "block_size: [8, 20, 16]" in (run.results / "probabilities.config.yaml").read_text()
    # What was there is kept, what was begun is tidied up, and all is up to date now.
    assert list(run.results.glob("earlier/*/probabilities.h5"))
    assert not (run.begun / "probabilities").exists()
    assert "up to date" in run("infer", BLOCKS)
    assert "up to date" in run("infer")  # any size of blocks will do
    assert "data: block size was [8, 20, 16] and is not given" in run(
        "infer", "system.block_size=[14,50,46]"
    )
    assert (run.results / "probabilities.h5").is_file()  # one block is made at once


def unseen(*volumes: np.ndarray) -> int:
    """In how many blocks the windows that touch them see nothing of one of the volumes."""
    hulls = [
        windows_of(one.box, volumes[0].shape, Sliding((6, 16, 16))).hull.slices
        for one in BlockGrid(volumes[0].shape, (8, 20, 16))
    ]
    count = sum(not all(volume[hull].any() for volume in volumes) for hull in hulls)
    assert 0 < count < len(hulls)
    return count


def test_blocks_where_nothing_is_to_be_seen_are_left_out_and_counted(run):
    image = read_volume("vol.h5")
    image[:, :, 20:] = 0
    save_volume("vol.h5", image, resolution=(30, 8, 8), offset_nm=(60, 0, 8), overwrite=True)
    said = run("infer", BLOCKS)
    assert f"{unseen(image)} of them are empty" in said
    assert (run.probabilities()[:, :, :, 32:] == 0).all()
    mask = np.ones(image.shape, np.uint8)
    mask[:, :44] = 0
    save_volume("mask.h5", mask)
    said = run("infer", BLOCKS, "data.test.mask=mask.h5")
    assert "mask changed; predicting anew" in said
    assert f"{unseen(image, mask)} of them are empty" in said


def test_an_interrupted_run_goes_on(run, monkeypatch):
    from connectomics.pipeline.by_block import predicting

    run("infer", BLOCKS)
    expected = run.probabilities()
    shutil.rmtree(run.results)

    did = []
    write = predicting.ShardedStore.write

    def writes(self, box, values):
        if len(did) == 7:
            raise KeyboardInterrupt
        did.append(box)
        return write(self, box, values)

    monkeypatch.setattr(predicting.ShardedStore, "write", writes)
    run("infer", BLOCKS, code=130)
    assert not (run.results / "probabilities.zarr").exists()
    assert len(did) == 7
    did.clear()
    monkeypatch.setattr(predicting.ShardedStore, "write", write)
    said = run("infer", "system.block_size=[8,20,20]", code=2)
    assert (
        "begun with other settings or data: block size was [8, 20, 16] and is [8, 20, 20]." in said
    )
    # One file was cut short by a failing disk, and another is gone.
    first, second = sorted((run.begun / "probabilities").rglob("c/0/*/*/*"))[:2]
    first.write_bytes(first.read_bytes()[:-5])
    second.unlink()
    said = run("infer")  # goes on with the blocks it was begun with
    assert "13 blocks done now, 5 done before, 2 made again" in said
    assert np.array_equal(run.probabilities(), expected)


def test_what_is_begun_is_of_its_volume_and_no_other_of_its_name(run, monkeypatch):
    from connectomics.pipeline.by_block import predicting

    Path("other").mkdir()
    save_volume("other/vol.h5", read_volume("vol.h5")[:, ::-1], resolution=(30, 8, 8))
    with monkeypatch.context() as patch:
        patch.setattr(predicting, "run_tasks", interrupt)
        run("infer", BLOCKS, code=130)
    assert (run.begun / "probabilities").is_dir()
    said = run("infer", BLOCKS, "data.test.image=other/vol.h5", "data.test.label=null")
    assert "vol_2/probabilities.zarr" in said
    run("infer", BLOCKS)
    other = read_volume(run.results.with_name("vol_2") / "probabilities.zarr")
    assert not np.array_equal(run.probabilities(), other)


def test_shards_share_the_work(run):
    run("infer", BLOCKS)
    expected = run.probabilities()
    shutil.rmtree(run.results)
    said = run("infer", BLOCKS, "system.shard=1/3")
    assert "6 blocks done now of shard 1/3" in said
    assert "12 blocks of other shards are not done yet. Afterwards, the command without" in said
    run("infer", BLOCKS, "system.shard=0/3")
    assert "all blocks are done" in run("infer", BLOCKS, "system.shard=2/3")
    assert not (run.results / "probabilities.zarr").exists()
    said = run("infer", BLOCKS)
    assert "18 done before" in said
    assert "done now" not in said
    assert np.array_equal(run.probabilities(), expected)


def test_blocks_lie_where_their_volume_does_in_the_end(run):
    run("infer", BLOCKS, "system.shard=0/2")
    place = {"resolution": (40, 8, 8), "offset_nm": (80, 0, 8)}
    save_volume("vol.h5", read_volume("vol.h5"), **place, overwrite=True)
    Path("syn.h5").unlink()
    run("infer", BLOCKS, "data.test.label=null")
    with open_volume(run.results / "probabilities.zarr") as volume:
        assert (volume.resolution, volume.offset_nm) == ((40, 8, 8), (80, 0, 8))


def test_one_unreadable_block_is_listed_and_all_else_is_done(run, monkeypatch):
    from connectomics.data.io import LazyVolume
    from connectomics.errors import DataError

    read = LazyVolume.read

    def reads(self, box=None):
        if box is not None and box.start == (0, 0, 0) and box.stop[1:] == (32, 24):
            raise DataError("vol.h5", "cannot be read from (0, 0, 0).")
        return read(self, box)

    with monkeypatch.context() as patch:
        patch.setattr(LazyVolume, "read", reads)
        said = run("infer", BLOCKS, code=2)
    assert "1 of 18 blocks failed; all others are done." in said
    assert "0000_0000_0000 (from voxel (0, 0, 0) to (8, 20, 16)): vol.h5: cannot be read" in said
    marks = list((run.begun / "probabilities" / "done" / "blocks").rglob("*_*_*"))
    assert len(marks) == 17
    assert json.loads(marks[0].read_text())["bytes"] > 0


DECODERS = {
    "polarity2instance": "[{name: polarity2instance, kwargs: {thres_small: 4}}, drop_one_sided]",
    "synapses": "[{name: synapses, kwargs: {min_confidence: 0.0}}]",
}


def predict_well(run: Run) -> None:
    """Put probabilities there that find the synapses of the volume."""
    label = np.zeros((14, 50, 46), np.uint16)
    for n, (z, y, x) in enumerate([(1, 2, 2), (5, 17, 10), (9, 34, 30), (4, 36, 4)], start=1):
        label[z : z + 5, y : y + 5, x : x + 12] = 2 * n - 1
        label[z : z + 5, y + 5 : y + 9, x : x + 12] = 2 * n
    save_volume("syn.h5", label, resolution=(30, 8, 8), overwrite=True)
    noise = np.random.default_rng(0).random((3, *label.shape), np.float32) * 0.4
    sides = np.stack([label % 2 == 1, (label > 0) & (label % 2 == 0), label > 0])
    run.results.mkdir(parents=True)
    place = {"resolution": (30, 8, 8), "offset_nm": (60, 0, 8)}
    save_volume(run.results / "probabilities.h5", sides * np.float32(0.5) + noise, **place)


def same_synapses(one: np.ndarray, other: np.ndarray) -> dict[int, int]:
    """The number that each synapse of one has in the other; sides have to agree."""
    pairs = np.unique(np.stack([one[one > 0], other[one > 0]]), axis=1).T.tolist()
    assert np.array_equal(one > 0, other > 0)
    assert all(a % 2 == b % 2 for a, b in pairs)
    numbers = {((a + 1) // 2, (b + 1) // 2) for a, b in pairs}
    assert len(numbers) == len({a for a, _ in numbers}) == len({b for _, b in numbers}) == 4
    return dict(numbers)


EXPORTS = "decoding.exports=[cave,neuprint,cremi,parquet,neuroglancer]"


def exported(results: Path, numbers: dict[int, int] | None = None) -> list[pd.DataFrame]:
    """The exports that are tables, sorted, with synapses numbered as `numbers` has them."""
    cave = pd.read_csv(results / "synapses_cave.csv")
    parquet = pd.read_parquet(results / "synapses.parquet")
    with h5py.File(results / "synapses_cremi.h5") as file:
        ids, places = file["annotations/ids"][:], file["annotations/locations"][:]
        partners = file["annotations/presynaptic_site/partners"][:]
    sites = pd.DataFrame(places, columns=list("zyx")).assign(synapse=(ids + 1) // 2, side=ids % 2)
    pairs = pd.DataFrame((partners + 1) // 2, columns=["pre", "post"])
    named = [(cave, ["id"]), (parquet, ["synapse_id"]), (sites, ["synapse"])]
    for table, columns in [*named, (pairs, ["pre", "post"])]:
        table[columns] = table[columns].astype(int).replace(numbers or {})
    found = [cave, parquet, sites, pairs, pd.read_csv(results / "synapses_neuprint.csv")]
    return [one.sort_values(list(one.columns)).reset_index(drop=True) for one in found]


@pytest.mark.parametrize("decoder", DECODERS)
def test_labels_table_and_scores_are_those_of_the_whole(run, decoder):
    from connectomics.decoding import read_table

    predict_well(run)
    steps = f"decoding.steps={DECODERS[decoder]}"
    run("evaluate", steps, EXPORTS)
    whole = exported(run.results)
    labels, table = read_volume(run.results / "labels.h5"), read_table(run.results / "synapses.csv")
    scores = json.loads((run.results.parent / "scores.json").read_text())
    for done in ("labels.h5", "synapses.csv"):
        (run.results / done).unlink()
    said = run("decode", steps, EXPORTS, BLOCKS)
    assert "18 blocks done now" in said
    assert not (run.results / "labels.h5").exists()
    assert not run.begun.exists()
    shown = read_volume(run.results / VolumeResults(Path()).export("neuroglancer") / "labels")
    assert np.array_equal(shown, read_volume(run.results / "labels.zarr"))
    numbers = same_synapses(labels, read_volume(run.results / "labels.zarr"))
    found = read_table(run.results / "synapses.csv").set_index("synapse_id")
    back = {there: here for here, there in numbers.items()}
    for mine, other in zip(exported(run.results, back), whole, strict=True):
        pd.testing.assert_frame_equal(mine, other, check_dtype=False)
    lines = run.results / "neuroglancer" / "synapses"
    grid = VoxelGrid((30, 8, 8), (60, 0, 8))
    write_neuroglancer(read_table(run.results / "synapses.csv"), "lines", grid=grid)
    files = [path.relative_to("lines") for path in Path("lines").rglob("*") if path.is_file()]
    assert len(files) > 3
    assert all((lines / file).read_bytes() == Path("lines", file).read_bytes() for file in files)
    expected = table.assign(synapse_id=table["synapse_id"].map(numbers)).set_index("synapse_id")
    pd.testing.assert_frame_equal(found.sort_index(), expected.sort_index())
    with open_volume(run.results / "labels.zarr") as volume:
        assert (volume.resolution, volume.offset_nm) == ((30, 8, 8), (60, 0, 8))
        assert volume.attributes["encoding"] == "polarity"
    assert "up to date" in run("decode", steps, EXPORTS, BLOCKS)
    run("evaluate", steps)
    again = json.loads((run.results.parent / "scores.json").read_text())
    assert again["pooled"] == scores["pooled"]


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_network_that_says_yes_everywhere_is_told_as_by_the_whole(run, monkeypatch, decoder):
    predict_well(run)
    place = run.results / "probabilities.h5"
    yes = np.full((3, 14, 50, 46), 0.9, np.float32)
    yes[:, 12:] = 0.1
    save_volume(place, yes, resolution=(30, 8, 8), overwrite=True)
    steps = f"decoding.steps={DECODERS[decoder]}"

    def told(said: str) -> list[str]:
        return [line for line in said.splitlines() if line.startswith("warning:")]

    (expected,) = told(run("decode", steps))
    assert "the network takes 86% of the volume for synapse" in expected
    (run.results / "labels.h5").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(labelling, "create_sharded", interrupt)
        run("decode", steps, BLOCKS, code=130)
    assert told(run("decode", steps, BLOCKS)) == [expected]


def test_what_can_never_be_decoded_says_what_to_delete_before_others_are_tried(run, monkeypatch):
    predict_well(run)
    steps = f"decoding.steps={DECODERS['synapses']}"
    with monkeypatch.context() as patch:
        patch.setattr("connectomics.decoding.blockwise.batches.MOST", 1)
        said = run("decode", steps, BLOCKS, code=2)
    assert re.search(r"probabilities\.h5: decode_synapses: [\d,]+ voxels of foreground hang", said)
    assert f"is in {run.begun / 'labels'}: delete that to decode with others." in said
    others = f"decoding.steps={DECODERS['polarity2instance']}"
    assert "begun with other settings" in run("decode", others, BLOCKS, code=2)
    shutil.rmtree(run.begun / "labels")
    assert "18 blocks done now" in run("decode", others, BLOCKS)


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_decoding_goes_on_after_each_pass(run, monkeypatch):
    predict_well(run)
    steps = f"decoding.steps={DECODERS['polarity2instance']}"
    run("decode", steps, BLOCKS)
    expected = read_volume(run.results / "labels.zarr")
    shutil.rmtree(run.results / "labels.zarr")
    call, did, stops = labelling.RunTask.__call__, [], []

    def calls(self, task):
        if self.step not in stops and len(did) % 7 == 6:
            stops.append(self.step)
            raise KeyboardInterrupt
        did.append((self.step, task.name))
        return call(self, task)

    monkeypatch.setattr(labelling.RunTask, "__call__", calls)
    for _ in range(20):
        before = len(stops)
        status = main([*run.arguments("decode"), steps, BLOCKS])
        if len(stops) == before:
            break
        assert status == 130
    assert stops
    assert status == 0
    assert len(did) == len(set(did))  # nothing twice
    assert np.array_equal(read_volume(run.results / "labels.zarr"), expected)


DAMAGED = {
    "what a pass put together": ("states/candidates/candidates.npz", "candidates", "18 done"),
    "read by workers": ("synapses/*/*.npz", "synapses", "1 block done now"),
    "not looked at any more": ("candidates/*/*.npz", "", ""),
    "a marker": ("done/synapses/*/*", "synapses", "1 block done now"),
    "a marker of the volume": ("done/states/*/synapses", "synapses", "1 done before"),
    "metadata": ("labels.zarr/0/zarr.json", "", ""),
}


@pytest.mark.parametrize(("where", "step", "again"), DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("how", ["cut short", "changed", "gone"])
def test_what_is_damaged_of_a_decoding_is_made_again(run, where, step, again, how):
    predict_well(run)
    steps = f"decoding.steps={DECODERS['synapses']}"
    run("decode", steps, BLOCKS)
    expected = read_volume(run.results / "labels.zarr")
    shutil.rmtree(run.results / "labels.zarr")
    with interrupted("labels", 4):
        run("decode", steps, BLOCKS, code=130)
    file, *_ = sorted((run.begun / "labels").glob(where))
    data = file.read_bytes()
    if how == "changed" and file.suffix != ".json":
        file.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    else:
        file.write_bytes(data[:-3])
    if how == "gone":
        file.unlink()
    said = run("decode", steps, BLOCKS)
    assert np.array_equal(read_volume(run.results / "labels.zarr"), expected)
    made = re.findall(r"decode: (\S+): .*done", said)
    assert made == [step] * bool(step) + ["labels"]
    assert again in said
    assert re.search(r"decode: labels: .* done before", said)
    assert not run.begun.exists()


def test_shards_make_again_what_is_damaged(run):
    predict_well(run)
    steps = f"decoding.steps={DECODERS['synapses']}"
    run("decode", steps, BLOCKS)
    expected = read_volume(run.results / "labels.zarr")
    shutil.rmtree(run.results / "labels.zarr")
    for _ in range(4):
        for index in range(2):
            said = run("decode", steps, BLOCKS, f"system.shard={index}/2")
    assert "decode: labels: all blocks are done" in said
    (part,) = (run.begun / "labels" / "synapses").rglob("*.npz")  # the first shard's
    shutil.rmtree(run.begun / "labels" / "done" / "labels")
    part.write_bytes(part.read_bytes()[:-3])
    said = run("decode", steps, BLOCKS, "system.shard=1/2")
    assert f"decode: {part}: not as written; made again" in said
    assert "decode: synapses: 1 block of another shard is not done yet" in said
    run("decode", steps, BLOCKS, "system.shard=0/2")
    run("decode", steps, BLOCKS)
    assert np.array_equal(read_volume(run.results / "labels.zarr"), expected)


def test_a_second_command_is_told_who_works(run):
    with working_on(run.begun / "probabilities"):
        said = run("infer", BLOCKS, code=2)
    assert f"another command works on it: process {os.getpid()} on" in said
    assert "give the command again" in said


def test_what_cannot_be_written_in_the_end_is_said_before_anything_is_made(run):
    place = run.run / "results" / "blocks"
    place.parent.mkdir()
    place.write_text("mine")
    said = run("test", BLOCKS, code=2)
    problem = f"cannot be written: {place} is a file, where a folder has to be."
    assert f"{place / 'scores'}: {problem}" in said
    assert f"{place / 'report'}: {problem}" in said
    assert "blocks done now" not in said
    said = run("test", BLOCKS, "--plan")
    assert "cannot be written" not in said  # it looks at the folder of results
    place.unlink()
    shutil.rmtree(run.results, ignore_errors=True)
    run.results.write_text("mine")
    assert f"{run.results} is a file, where a folder has to be" in run("infer", BLOCKS, code=2)
    run.results.unlink()
    place.parent.rmdir()
    place.parent.write_text("mine")
    said = run("test", BLOCKS, "--plan")
    assert f"plan: warning: {place.parent}: cannot be written: {place.parent} is a file" in said


def test_a_full_disk_is_listed_by_block(run, monkeypatch):
    from connectomics.pipeline.by_block import predicting

    def full(self, box, values):
        raise OSError(errno.ENOSPC, "No space left on device", str(self.path))

    monkeypatch.setattr(predicting.ShardedStore, "write", full)
    said = run("infer", BLOCKS, code=2)
    assert "18 of 18 blocks failed" in said
    assert "No space left on device." in said


def test_blocks_take_their_name_after_what_says_how_they_came_about(run, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        said = run("infer", BLOCKS, code=2)
    assert "probabilities.zarr: cannot be written: No space left on device." in said
    assert not (run.results / "probabilities.zarr").exists()
    assert "18 done before" in run("infer", BLOCKS)
    assert (run.results / "probabilities.config.yaml").is_file()


@pytest.mark.parametrize("mode", ["train", "tune"])
def test_shards_are_not_for_trainings_and_searches(run, mode):
    said = run(mode, "system.shard=0/2", code=2)
    assert f"only infer, decode and evaluate are shared out, not {mode}." in said


def test_a_plan_says_what_it_takes_and_starts_nothing(run):
    before = sorted(Path().rglob("*"))
    said = run("test", BLOCKS, "--plan")
    assert "18 blocks of 8 x 20 x 16" in said
    assert "times those of the whole" in said
    assert "takes" in said
    assert "are free" in said
    assert "at once" in run("infer", "--plan")
    assert sorted(Path().rglob("*")) == before
    assert "--plan: is for the modes infer, decode, test" in run("evaluate", "--plan", code=2)
    said = run("test", BLOCKS, "--plan", "inference.save_probabilities=false")
    assert "keeps no probabilities, but " in said
    assert re.search(r"read twice, .*: 0.00 GiB, takes \d+ s with this process", said)
    assert re.search(
        r"vol: evaluate reads truth and labels once .* 2 times to count, .* takes \d", said
    )
    assert re.search(r"plan: in all \d+ s, but for the report", said)
    said = run("infer", BLOCKS, "--plan", "system.shard=1/4")
    assert "with 4 shards of 1 worker each as fast as this one" in said
    assert "1 block of 14 x 50 x 46" in run("infer", "--plan", "system.executor.name=processes")


def test_a_plan_says_that_jobs_have_too_little_memory(run):
    job = ["system.executor.cluster=slurm", "system.executor.job.memory=100MB"]
    asked = [BLOCKS, "--plan", "system.executor.name=dask", *job, "system.executor.workers=3"]
    said = run("infer", *asked, code=2)
    assert re.search(r"takes at least \d\.\d GiB, and a job .* has 0.1 GiB", said)
    predict_well(run)
    said = run("decode", *asked, "decoding.steps=[synapses]", code=2)
    assert re.search(r"a block takes at least .* and a job has 0.1 GiB", said)
    assert "Ask for it in system.executor.job.memory, such as " in said


def test_a_plan_for_decoding_alone_times_a_block(run):
    predict_well(run)
    before = sorted(Path().rglob("*"))
    said = run("decode", BLOCKS, "--plan", f"decoding.steps={DECODERS['synapses']}")
    assert "18 blocks of 8 x 20 x 16" in said
    assert re.search(r"decode reads 0.00 GiB, writes up to 0.00 GiB, takes \d+ s", said)
    assert sorted(Path().rglob("*")) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["processes", "dask"])
def test_other_processes_give_the_same(run, name):
    if name == "dask":
        pytest.importorskip("distributed")
    run("infer", BLOCKS)
    predicted = run.probabilities()
    run("decode", BLOCKS)
    labels = read_volume(run.results / "labels.zarr")
    shutil.rmtree(run.results)
    executor = [f"system.executor.name={name}", "system.executor.workers=2"]
    run("infer", BLOCKS, *executor)
    run("decode", BLOCKS, *executor)
    np.testing.assert_allclose(run.probabilities(), predicted, atol=1e-6)
    assert np.array_equal(read_volume(run.results / "labels.zarr"), labels)
