"""Results are those of the weights, numerics, volumes and places asked for, with a real network."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from main import main

from connectomics.data.io import open_volume, read_volume, save_volume
from connectomics.data.volumes import LabelledVolume
from connectomics.digests import digest
from connectomics.pipeline.labelled import Labelled
from connectomics.pipeline.results import VolumeResults

SHAPE = (12, 32, 32)
NM = (30.0, 8.0, 8.0)
CONFIG: dict[str, Any] = {
    "experiment_name": "e",
    "save_path": "runs",
    "system": {"num_gpus": 0, "num_threads": 1},
    "model": {
        "out_channels": 3,
        "head_bias": None,
        "rsunet": {"filters": [2, 2], "down_factors": [[1, 2, 2]]},
    },
    "data": {
        "train": {"image": "train.h5", "label": "syn.h5"},
        "val": {"image": "val.h5", "label": "syn.h5"},
        "test": {"image": "A/raw.h5", "label": "syn.h5"},
        "label_transform": {"targets": ["polarity"]},
        "dataloader": {"patch_size": [4, 16, 16], "batch_size": 1, "num_workers": 0},
        "num_val_patches": 1,
    },
    "optimization": {"max_steps": 1, "n_steps_per_epoch": 1, "precision": "32-true"},
    "inference": {"window": {"window_size": [4, 16, 16]}, "save_dtype": "float32"},
    "decoding": {"steps": [{"name": "polarity2instance", "kwargs": {"thres": 0.5}}]},
}


def truth() -> np.ndarray:
    label = np.zeros(SHAPE, np.uint16)
    label[2:10, 8:14, 8:20], label[2:10, 14:20, 8:20] = 1, 2
    return label


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two networks in one run, `last.ckpt` and `other.ckpt`; the first is tested."""
    folder = tmp_path_factory.mktemp("made_from")
    image = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)
    views = {"train": image, "val": image[::-1], "A/raw": image[:, ::-1], "B/raw": image[..., ::-1]}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, array in {**views, "syn": truth()}.items():
            save_volume(f"{name}.h5", array, resolution=NM)
        Path("my.yaml").write_text(yaml.safe_dump(CONFIG))
        assert main(["--config", "my.yaml"]) == 0
        (last,) = folder.glob("runs/*/checkpoints/last.ckpt")
        assert main(["--config", "my.yaml", "system.seed=7", "save_path=others"]) == 0
        (other,) = folder.glob("others/*/checkpoints/last.ckpt")
        shutil.copy(other, last.with_name("other.ckpt"))
        test = ["--config", "my.yaml", "--mode", "test"]
        assert main([*test, "--checkpoint", str(last)]) == 0
    return last


class Run:
    """The command line in a copy of that folder."""

    def __init__(self, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.checkpoint, self.capsys = checkpoint, capsys
        self.results = checkpoint.parents[1] / "results" / "raw"

    def __call__(
        self, mode: str, *overrides: str, checkpoint: str | None = "last.ckpt", code: int = 0
    ) -> str:
        named = ["--checkpoint", str(self.checkpoint.with_name(checkpoint))] if checkpoint else []
        self.capsys.readouterr()
        assert main(["--config", "my.yaml", "--mode", mode, *named, *overrides]) == code
        said = self.capsys.readouterr()
        assert "Traceback" not in said.err
        return said.err if code else said.out

    def labels(self) -> np.ndarray:
        return read_volume(self.results / "labels.h5")

    def scores(self) -> Any:
        return json.loads((self.results.parent / "scores.json").read_text())["pooled"]


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch, capsys) -> Run:
    shutil.copytree(trained.parents[3], tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return Run(tmp_path / "here" / trained.relative_to(trained.parents[3]), capsys)


def test_labels_of_earlier_weights_are_never_scored(run: Run) -> None:
    earlier, scored = run.labels(), run.scores()
    shutil.copy(run.results / "labels.h5", "kept.h5")
    run("infer", checkpoint="other.ckpt")
    assert not (run.results / "labels.h5").exists()
    run("evaluate", checkpoint="other.ckpt")
    labels, scores = run.labels(), run.scores()
    assert not np.array_equal(labels, earlier)
    assert scores != scored
    Path("kept.h5").replace(run.results / "labels.h5")  # the earlier ones, put back by hand
    run("evaluate", checkpoint=None)
    assert np.array_equal(run.labels(), labels)
    assert run.scores() == scores


def test_results_of_another_network_are_refused(run: Run) -> None:
    for mode in ("decode", "evaluate"):
        said = run(mode, checkpoint="other.ckpt", code=2)
        assert "probabilities.h5: comes from another network" in said


def test_another_precision_predicts_anew(run: Run, monkeypatch) -> None:
    monkeypatch.setattr("connectomics.devices.computes_bfloat16", lambda: True)
    before = read_volume(run.results / "probabilities.h5")
    assert "precision was float32 and is bfloat16; predicting anew" in run(
        "infer", "optimization.precision=bf16-mixed"
    )
    assert not np.array_equal(read_volume(run.results / "probabilities.h5"), before)
    assert "is up to date" in run("infer", "optimization.precision=bf16-mixed")


def test_a_corrected_voxel_size_is_written_into_what_is_there(run: Run) -> None:
    before = read_volume(run.results / "probabilities.h5")
    nm = (40.0, 4.0, 4.0)
    for name in ("A/raw.h5", "syn.h5"):
        array = read_volume(name)
        save_volume(name, array, resolution=nm, offset_nm=(400, 0, 40), overwrite=True)
    assert "gets the voxel size and the offset of raw" in run("infer")
    with open_volume(run.results / "probabilities.h5") as made:
        assert (made.resolution, made.offset_nm) == (nm, (400.0, 0.0, 40.0))
        assert np.array_equal(made.read(), before)
    run("evaluate")
    with open_volume(run.results / "labels.h5") as labels:
        assert (labels.resolution, labels.offset_nm) == (nm, (400.0, 0.0, 40.0))
    assert "is up to date" in run("infer")


def replaced() -> list[str]:
    shutil.move("B/raw.h5", "A/raw.h5")
    return []


OTHERS: dict[str, Callable[[], list[str]]] = {
    "another file": lambda: ["data.test.image=B/raw.h5"],
    "another file of that name": replaced,
    "other sections": lambda: ["data.test.z_range=[2,12]"],
}


@pytest.mark.parametrize(
    "other",
    [*[*OTHERS][:2], pytest.param("other sections", marks=pytest.mark.slow)],
)
def test_results_of_another_volume_are_refused(run: Run, other: str) -> None:
    if other == "other sections":
        shutil.rmtree(run.results.parent)
        run("test", "data.test.z_range=[0,10]")
    before = {path: path.read_bytes() for path in run.results.parent.rglob("*") if path.is_file()}
    change = OTHERS[other]()
    for mode in ("decode", "evaluate"):
        for named in ("last.ckpt", None):
            said = run(mode, *change, checkpoint=named, code=2)
            assert "A/raw.h5" in said
            assert "--mode infer" in said
    after = {path: path.read_bytes() for path in run.results.parent.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.slow
def test_files_of_two_volumes_are_said_without_a_config(run: Run) -> None:
    shutil.copy(run.results / "labels.h5", "a.h5")
    run("test", "data.test.image=B/raw.h5", "save_path=b")

    def evaluate(*named: str) -> str:
        run.capsys.readouterr()
        assert main(["--mode", "evaluate", *named]) == 0
        return run.capsys.readouterr().out

    alone = evaluate("truth=syn.h5", "prediction=a.h5", "image=A/raw.h5")
    assert "another volume" not in alone
    said = evaluate("truth=syn.h5", "prediction=a.h5", "image=B/raw.h5")
    assert "prediction is of another volume" in said
    b = run.results.with_name("raw_2") / "labels.h5"
    said = evaluate(f"truth={b}", "prediction=a.h5")
    assert "truth and prediction were made from two volumes: B/raw.h5" in said


CHAIN = ("raw/probabilities.h5", "raw/labels.h5", "scores.json", "report.html")
HEIGHT = np.indices(SHAPE)[1]
ALL = {*CHAIN}
LABELS, SCORES, REPORT = ({*CHAIN[i:]} for i in (1, 2, 3))


def test_a_change_makes_anew_what_depends_on_it_and_nothing_else(run: Run, monkeypatch) -> None:
    """One change after the other, each beside the earlier ones."""
    folder, overrides = run.results.parent, []

    def state() -> dict[str, tuple[int, int]]:
        at = {name: (folder / name).stat() for name in CHAIN}
        return {name: (one.st_ino, one.st_mtime_ns) for name, one in at.items()}

    def setting(text: str) -> Callable[[], object]:
        return lambda: overrides.append(text)

    def voxels(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[], object]:
        def write() -> None:
            save_volume(name, change(read_volume(name)), resolution=NM, overwrite=True)

        return write

    def code(module: str) -> Callable[[], object]:
        other = lambda *places: digest("other code", *places)  # noqa: E731
        return partial(monkeypatch.setattr, f"connectomics.pipeline.{module}.code_digest", other)

    def rank_anew() -> None:
        table = pd.read_csv(run.results / "synapses.csv")
        assert len(table)
        table["confidence"] = np.linspace(0.1, 0.9, len(table))
        table.to_csv(run.results / "synapses.csv", index=False)

    def correct() -> None:
        with h5py.File(run.results / "labels.h5", "a") as file:
            file["main"][0, 0, 0] = 0 if file["main"][0, 0, 0] else 1  # pyright: ignore

    def touch() -> None:
        for path in ("A/raw.h5", "syn.h5", "mask.h5", run.results / "labels.h5"):
            os.utime(path, (10**9, 10**9))

    def copied() -> None:
        for name in ("A/raw.h5", "syn.h5"):
            shutil.copy(name, "copy.h5")
            Path("copy.h5").replace(name)

    save_volume("mask.h5", np.ones(SHAPE, np.uint8))
    monkeypatch.setattr("connectomics.devices.computes_bfloat16", lambda: True)
    steps: dict[str, tuple[Callable[[], object], set[str]]] = {
        "nothing": (list, set()),
        "code of the report": (code("report"), REPORT),
        "description": (setting("description=of another kind"), REPORT),
        "metric": (setting("evaluation.ignore_border=true"), SCORES),
        "code of scores": (code("scores"), SCORES),
        "mask": (setting("data.test.mask=mask.h5"), SCORES),
        "voxels of the mask": (voxels("mask.h5", lambda mask: mask * (HEIGHT > 3)), SCORES),
        "truth": (voxels("syn.h5", lambda truth: np.where(truth > 0, truth + 2, 0)), SCORES),
        "table": (rank_anew, SCORES),
        "labels by hand": (correct, SCORES),
        "files that only look new": (touch, set()),
        "copies": (copied, set()),
        "decoder": (setting("decoding.steps[0].kwargs.thres=0.45"), LABELS),
        "code of the decoder": (code("labels"), LABELS),
        "precision": (setting("optimization.precision=bf16-mixed"), ALL),
        "window": (setting("inference.window.blending=constant"), ALL),
        "code of the network": (code("predictor"), ALL),
        "voxels": (voxels("A/raw.h5", lambda image: image[::-1]), ALL),
        "nothing again": (list, set()),
    }  # fmt: skip
    for name, (change, expected) in steps.items():
        change()
        before = state()
        said = run("test", *overrides)
        after = state()
        assert (name, {one for one in CHAIN if after[one] != before[one]}) == (name, expected)
        assert said.count(" is up to date") == len(CHAIN) - len(expected), name
        assert "polarity: " in said  # the scores are printed whether they are new or not
    assert run("test", *overrides, checkpoint="other.ckpt").count("up to date") == 0


def test_scores_without_a_key_are_made_anew_and_kept(run: Run) -> None:
    folder = run.results.parent
    stored = json.loads((folder / "scores.json").read_text())
    earlier = {name: stored[name] for name in ("pooled", "volumes", "settings", "notes")}
    (folder / "scores.json").write_text(json.dumps(earlier))
    said = run("test")
    assert said.count("up to date") == 2
    (kept,) = folder.glob("earlier/*")
    assert json.loads((kept / "scores.json").read_text()) == earlier
    assert {"report.html", "scores.txt", "config.yaml", "raw"} <= {
        one.name for one in kept.iterdir()
    }
    made = json.loads((folder / "scores.json").read_text())
    assert made["config_hash"] == stored["config_hash"]


def recount(text: bytes) -> bytes:
    return text.replace(b'"fn": 1', b'"fn": 0')


def behead(text: bytes) -> bytes:
    return text[len(text) // 2 :]


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "scores.json": recount,
    "matches.csv": behead,
    "scores.txt": lambda text: b"\xff" + text,
    "precision_recall.png": lambda text: b"",
    "report.html": behead,
    "raw/comparison.png": lambda text: b"",
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_that_is_not_as_it_was_written_is_made_anew_and_kept(run: Run, name: str) -> None:
    file = run.results.parent / name
    before = file.read_bytes()
    damaged = DAMAGED[name](before)
    assert damaged != before
    file.write_bytes(damaged)
    said = run("evaluate")
    assert "beside it is not as it was written" in said or "not as it was written; drawing" in said
    made = file.read_bytes()
    assert [name, made] == [name, before] or name == "scores.json"
    (kept,) = run.results.parent.glob(f"earlier/*/{name}")
    assert kept.read_bytes() == damaged
    assert run("evaluate").count("is up to date") == 3


@pytest.mark.parametrize("name", ["report.html", "scores.json", "raw/comparison.png"])
def test_a_folder_in_the_place_of_a_file_is_set_aside(run: Run, name: str) -> None:
    file = run.results.parent / name
    file.unlink()
    file.mkdir()
    (file / "mine.txt").write_text("mine")
    run("evaluate")
    assert file.is_file()
    (kept,) = run.results.parent.glob(f"earlier/*/{name}/mine.txt")
    assert kept.read_text() == "mine"


def test_a_table_of_scores_that_was_changed_is_not_printed(run: Run) -> None:
    table = run.results.parent / "scores.txt"
    before = table.read_text()
    table.write_text(before.replace("0", "1"))
    said = run("evaluate")
    assert "scores.json or a file beside it is not as it was written; scoring anew" in said
    assert before in said
    assert table.read_text() == before


def test_a_page_of_another_place_of_the_run_is_the_same(run: Run) -> None:
    """What a page was made from holds no time and no place."""
    said = (run.results.parent / "report.html").read_text().splitlines()[-1]
    assert said.startswith("<!-- made from {")
    assert str(Path.cwd()) not in said
    assert run("test").count("is up to date") == len(CHAIN)


def test_a_report_without_scores_is_made_once_and_leaves_scores_alone(run: Run) -> None:
    folder, alone = run.results.parent, "evaluation.enabled=false"
    names = ("scores.json", "config.yaml", "provenance.yaml")
    before = {name: (folder / name).read_bytes() for name in names}
    said = run("test", alone)
    assert "test: " in said
    assert "report.html was made with other settings or data: scores changed" in said
    assert run("test", alone).count("is up to date") == 3
    assert {name: (folder / name).read_bytes() for name in names} == before
    voxels = read_volume("syn.h5")
    save_volume("syn.h5", voxels[:, ::-1], resolution=NM, overwrite=True)
    assert "truth of raw changed; drawing anew" in run("test", alone)


def lose_a_block(store: Path) -> None:
    first, *_ = sorted(path for path in store.rglob("c/**/*") if path.is_file())
    first.unlink()


def test_a_store_that_lacks_a_block_is_mended_made_anew_or_refused(run: Run) -> None:
    by_block = "system.block_size=[12,16,32]"
    run("test", by_block)
    scores, probabilities = run.scores(), run.results / "probabilities.zarr"
    for name in ("labels", "probabilities"):
        before = read_volume(run.results / f"{name}.zarr")
        lose_a_block(run.results / f"{name}.zarr")
        if name == "probabilities":
            for mode in ("decode", "evaluate"):
                said = run(mode, by_block, code=2)
                assert "probabilities.zarr: lacks 1 of its 2 blocks (1 not there)." in said
        said = run("test", by_block)
        assert f"{name}.zarr lacks 1 of its 2 blocks (1 not there); " in said
        assert (name == "probabilities") == ("predicting these again, and no others" in said)
        assert np.array_equal(read_volume(run.results / f"{name}.zarr"), before)
        assert run.scores() == scores
    shutil.rmtree(probabilities)
    lose_a_block(run.results / "labels.zarr")
    assert "labels.zarr: lacks 1 of" in run("evaluate", by_block, code=2)


def test_annotations_in_a_group_are_known_by_their_file(tmp_path: Path) -> None:
    save_volume(tmp_path / "em.h5", truth())
    volume = open_volume(tmp_path / "em.h5")
    one = Labelled(
        LabelledVolume("v", volume, annotations=f"{tmp_path}/sites.h5::mine"),
        VolumeResults(tmp_path / "v"),
    )
    save_volume(tmp_path / "v" / "labels.h5", truth())

    def sites(number: int) -> Any:
        (tmp_path / "sites.h5").write_bytes(bytes([number]))
        return one.made_from({})[0]["annotations of v"]

    assert sites(1) == sites(1) != sites(2)
