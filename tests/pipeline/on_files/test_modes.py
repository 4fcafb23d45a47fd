"""`--mode evaluate` and `--mode decode` on files, without a config, as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from main import main

from connectomics.data.io import open_volume, read_volume, save_volume
from connectomics.decoding import read_table, synapse_table, write_table
from connectomics.process import cpus

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "main.py"
SHAPE = (6, 24, 60)
NM = (30.0, 8.0, 8.0)


def labels(*columns: int) -> np.ndarray:
    """Synapse n begins at column n of `columns`; its sides lie one below the other."""
    made = np.zeros(SHAPE, np.uint16)
    for n, x in enumerate(columns, start=1):
        made[2:5, 6:10, x : x + 8], made[2:5, 10:14, x : x + 8] = 2 * n - 1, 2 * n
    return made


def neurons(pre: int, post: int) -> np.ndarray:
    """The border between two neurons runs between the sides of the synapses."""
    made = np.full(SHAPE, pre, np.uint64)
    made[:, 10:] = post
    return made


TRUTH = labels(2, 22, 42)
FLIPPED = np.where(TRUTH > 4, 11 - TRUTH, TRUTH)
SEMANTIC = np.where(TRUTH > 0, 2 - TRUTH % 2, 0).astype(np.uint8)
INSTANCES = (TRUTH + 1) // 2


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run a mode in a folder of its own; gives what it prints, to either stream."""
    monkeypatch.chdir(tmp_path)
    save_volume("truth.h5", TRUTH)
    save_volume("pred.h5", FLIPPED, attributes={"encoding": "polarity"})

    def run(mode: str, *arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main(["--mode", mode, *arguments]) == code
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return captured.err if code else captured.out

    return run


def row(out: str, threshold: str) -> list[str]:
    """The numbers of one line of the polarity table, from F1_det on."""
    (line,) = [line for line in out.splitlines() if line.split()[1:2] == [threshold]]
    return line.split()[2:]


def files(folder: str) -> set[str]:
    return {path.name for path in Path(folder).iterdir() if path.is_file()}


def test_threads_are_as_many_as_are_said_and_change_no_result(run, monkeypatch):
    monkeypatch.setattr(cpus, "_told", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("ZARR_THREADING__MAX_WORKERS", "2")
    both = ("truth=truth.h5", "prediction=pred.h5")
    run("evaluate", *both, "output=a")
    run("evaluate", *both, "output=b", "system.num_threads=1")
    assert cpus.available_cpus() == 1
    scores = [Path(folder, "scores.json").read_text() for folder in "ab"]
    assert scores[0] == scores[1]
    run("decode", "labels=pred.h5", "resolution=[30,8,8]", "output=c", "system.num_threads=2")
    assert cpus.available_cpus() == 2
    wrong = run("decode", "labels=pred.h5", "output=d", "system.seed=2", code=2)
    assert "command line: system.seed: no such key" in wrong


# Scores -------------------------------------------------------------------------------------


def test_two_volumes_are_scored_and_nothing_is_written(run):
    before = files(".")
    out = run("evaluate", "truth=truth.h5", "prediction=pred.h5")
    assert row(out, "0.5")[:3] == ["1.000", "0.667", "0.667"]  # F1_det, side accuracy, F1_pol
    assert "output=FOLDER keeps the scores" in out
    assert files(".") == before


def test_the_scores_are_kept_where_asked_and_earlier_ones_too(run):
    table = synapse_table(FLIPPED, resolution=NM)
    write_table(table.assign(confidence=[0.9, 0.8, 0.4]), "table.csv")
    pair = ("truth=truth.h5", "prediction=pred.h5", "output=deep/scores")
    out = run("evaluate", *pair, "table=table.csv", "iou_thresholds=[0.5]")
    every = {"scores.txt", "scores.json", "matches.csv", "precision_recall.csv"}
    every |= {"precision_recall.png", "report.html"}
    assert files("deep/scores") == every
    assert "deep/scores/precision_recall.png" in out
    assert Path("deep/scores/scores.txt").read_text() in out
    scores = json.loads(Path("deep/scores/scores.json").read_text())
    assert scores["settings"] == {
        "truth": "truth.h5",
        "prediction": "pred.h5",
        "table": "table.csv",
        "iou_thresholds": [0.5],
        "truth_encoding": "polarity",
        "ignore_border": False,
        "metrics": {},
        "resolution": None,
        "prediction_encoding": "polarity",
    }
    at_half = scores["pooled"]["polarity"]["at"]["0.5"]
    assert at_half["average_precision"] == pytest.approx(2 / 3)
    assert at_half["best_f1_pol"] == {"f1": pytest.approx(0.8), "confidence": 0.8}
    rows = pd.read_csv("deep/scores/matches.csv")
    assert rows.outcome.tolist() == ["correct", "correct", "flipped"]

    out = run("evaluate", *pair)
    assert "precision_recall.png) is kept in deep/scores/earlier" in out
    assert files("deep/scores") == {"scores.txt", "scores.json", "matches.csv", "report.html"}
    page = Path("deep/scores/report.html").read_text(encoding="utf-8")
    assert "pred.h5 against truth.h5" in page
    assert {path.name for path in Path("deep/scores/earlier").rglob("*.*")} == every
    out = run("evaluate", *pair)
    assert "report.html) is the same to the last bit, and stays" in out
    assert len(list(Path("deep/scores/earlier").iterdir())) == 1


def test_semantic_truth_is_grouped_and_it_is_said(run):
    save_volume("semantic.h5", SEMANTIC)
    out = run("evaluate", "truth=semantic.h5", "prediction=pred.h5")
    assert row(out, "0.5")[:3] == ["1.000", "0.667", "0.667"]
    assert "Semantic truth was grouped into objects" in out


def test_how_labels_are_stored(run):
    save_volume("said.h5", TRUTH, attributes={"encoding": "instance"})
    save_volume("looks.h5", labels(2, 22, 42)[:, :, ::-1] // 2)
    save_volume("binary.h5", (TRUTH > 0).astype(np.uint8) * 255)
    save_volume("odd.h5", TRUTH, attributes={"encoding": "utf-8"})
    out = run("evaluate", "truth=said.h5", "prediction=said.h5")
    assert "detection: one-to-one" in out
    assert "truth is said.h5, read as instance labels.\n" in out  # the file says it
    assert row(out, "0.5")[-2] == "6/0/0"
    out = run("evaluate", "truth=binary.h5", "prediction=pred.h5")
    assert "truth is binary.h5, read as binary labels, going by their values" in out
    assert "no scores of polarity: truth has no pre and post sides" in out
    assert row(out, "0.5")[-2] == "3/0/0"
    out = run("evaluate", "truth=odd.h5", "prediction=odd.h5")
    assert "prediction is odd.h5, read as polarity labels, going by their values" in out
    out = run("evaluate", "truth=said.h5", "prediction=said.h5", "truth_encoding=polarity",
              "prediction_encoding=polarity")  # fmt: skip
    assert row(out, "0.5")[:3] == ["1.000"] * 3
    assert "going by their values" not in out


def test_semantic_labels_against_objects_without_sides(run):
    """They are grouped, not taken for one object of pre and one of post voxels."""
    save_volume("semantic.h5", SEMANTIC)
    save_volume("objects.h5", INSTANCES)
    for pair in (("semantic.h5", "objects.h5"), ("objects.h5", "semantic.h5")):
        out = run("evaluate", f"truth={pair[0]}", f"prediction={pair[1]}")
        assert row(out, "0.75")[-2] == "3/0/0"
        assert "semantic.h5, read as semantic labels, going by their values" in out
        assert "no scores of polarity" in out


def test_one_synapse_against_objects_without_sides(run):
    save_volume("one.h5", np.where(TRUTH <= 2, TRUTH, 0))
    save_volume("objects.h5", np.where(INSTANCES == 1, 7, 0))
    out = run("evaluate", "truth=one.h5", "prediction=objects.h5")
    assert row(out, "0.75")[-2] == "1/0/0"


def test_what_files_say_of_their_place_and_voxels_is_compared(run):
    save_volume("fine.h5", TRUTH, resolution=NM)
    save_volume("rounded.h5", FLIPPED, resolution=(30, 8.0004, 8))
    save_volume("moved.h5", FLIPPED, resolution=NM, offset_nm=(300, 0, 8))
    save_volume("near.h5", FLIPPED, resolution=NM, offset_nm=(301, 0, 8))
    for truth, prediction in (("fine.h5", "rounded.h5"), ("moved.h5", "near.h5")):
        assert "begins at" not in run("evaluate", f"truth={truth}", f"prediction={prediction}")
    out = run("evaluate", "truth=fine.h5", "prediction=moved.h5")
    assert "moved.h5 says that it begins at 300 x 0 x 8 nm (z, y, x), fine.h5 does not say" in out
    out = run("evaluate", "truth=fine.h5", "prediction=./fine.h5::main")
    assert "truth and prediction are the same volume." in out


@pytest.mark.parametrize(
    ("placed", "said"),
    [
        (
            {"resolution": (40, 4, 4)},
            "says 40 x 4 x 4 nm per voxel (z, y, x), its truth truth.h5",
        ),
        ({"resolution": (8, 8, 30)}, "One is in the order (x, y, z)."),
        (
            {"offset_nm": (300, 0, 16)},
            "begins at 300 x 0 x 16 nm (z, y, x), its truth truth.h5 at",
        ),
    ],
)
def test_files_that_lie_elsewhere_are_refused(run, placed, said):
    save_volume("truth.h5", TRUTH, resolution=NM, offset_nm=(300, 0, 8), overwrite=True)
    save_volume("elsewhere.h5", FLIPPED, **{"resolution": NM, "offset_nm": (300, 0, 8), **placed})
    assert said in run("evaluate", "truth=truth.h5", "prediction=elsewhere.h5", code=2)


def test_the_marks_of_cremi_and_the_mask(run):
    marked = INSTANCES.astype(np.uint64)
    marked[marked == 0] = 2**64 - 1
    marked[:, :, 40:] = 2**64 - 2  # where nobody has looked
    save_volume("marked.h5", marked)
    save_volume("found.h5", INSTANCES)
    out = run("evaluate", "truth=marked.h5", "prediction=found.h5")
    assert row(out, "0.5")[-2] == "2/0/0"
    assert "33.33% of the voxels are unlabelled and were left out first" in out
    clefts = run("evaluate", "truth=marked.h5", "prediction=found.h5", "resolution=[30,8,8]",
                 "metrics=[cremi_clefts]")  # fmt: skip
    assert clefts.splitlines()[3].split() == ["found", "0.000", "0.000", "0.000", "0", "0"]
    save_volume("mask.h5", (np.arange(60) < 20) * np.ones(SHAPE, np.uint8))
    out = run("evaluate", "truth=marked.h5", "prediction=found.h5", "mask=mask.h5")
    assert row(out, "0.5")[-2] == "1/0/0"
    submitted = INSTANCES.astype(np.uint64)
    submitted[submitted == 0] = 2**64 - 1
    save_volume("submitted.h5", submitted)
    out = run("evaluate", "truth=marked.h5", "prediction=submitted.h5")
    assert row(out, "0.5")[-2] == "2/0/0"


def test_every_metric(run):
    save_volume("neurons.h5", neurons(5, 6))
    metrics = "polarity,detection,jaccard,cremi_clefts,em_r50_pair,points,cremi_partners"
    out = run(
        "evaluate", "truth=truth.h5", "prediction=pred.h5", f"metrics=[{metrics}]",
        "resolution=[30,8,8]", "neurons=neurons.h5", "ignore_border=true",
    )  # fmt: skip
    for metric in metrics.split(","):
        assert f"{metric}: " in out
    out = run(
        "evaluate", "truth=truth.h5", "prediction=pred.h5", "resolution=[30,8,8]",
        "metrics=[{name: points, kwargs: {site: pre, radius_nm: 10}}]",
    )  # fmt: skip
    assert out.splitlines()[2].split()[1:] == [
        "0.667", "0.667", "0.667", "2", "1", "1", "0.000"
    ]  # fmt: skip


def test_annotations_of_the_truth(run):
    save_volume("neurons.h5", neurons(5, 6))
    with h5py.File("sites.hdf", "w") as file:
        file["annotations/ids"] = [1, 2, 3, 4]
        file["annotations/locations"] = [[90, 60, 40], [90, 90, 40], [90, 60, 999], [90, 90, 999]]
        file["annotations/presynaptic_site/partners"] = [[1, 2], [3, 4]]
    out = run(
        "evaluate", "truth=truth.h5", "prediction=pred.h5", "resolution=[30,8,8]",
        "annotations=sites.hdf", "neurons=neurons.h5", "metrics=[cremi_partners]",
    )  # fmt: skip
    # One of the two lies outside; the third prediction is flipped, the second not annotated.
    assert out.splitlines()[2].split()[1:7] == ["0.333", "1.000", "0.500", "1", "2", "0"]


def test_points_outside_the_mask_do_not_exist(run):
    save_volume("mask.h5", (np.arange(60) < 40) * np.ones(SHAPE, np.uint8))
    save_volume("moved.h5", labels(4, 22, 42), resolution=NM)
    out = run(
        "evaluate", "truth=truth.h5", "prediction=moved.h5", "mask=mask.h5", "metrics=[points]"
    )  # fmt: skip
    # Two centres are left, one of them two voxels of 8 nm away.
    assert out.splitlines()[2].split()[1:] == ["1.000", "1.000", "1.000", "2", "0", "0", "8.000"]


def test_nothing_on_either_side(run):
    save_volume("none.h5", np.zeros(SHAPE, np.uint8))
    assert row(run("evaluate", "truth=none.h5", "prediction=none.h5"), "0.5")[0] == "-"
    assert row(run("evaluate", "truth=truth.h5", "prediction=none.h5"), "0.5")[0] == "0.000"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], ["command line: truth and prediction: not given.",
              "python scripts/main.py --mode evaluate truth=", "--config FILE"]),
        (["truth=truth.h5"], ["command line: prediction: not given."]),
        (["truht=truth.h5", "predction=x.h5", "metrics=[polarty]", "resolution=8"],
         ["truht: no such key.\n  Did you mean 'truth'?", "predction: no such key",
          "metrics[0].name: there is no metric 'polarty'.\n  Did you mean 'polarity'?",
          "resolution: has to be a list"]),
        (["truth=trth.h5", "prediction=prd.h5"],
         ["trth.h5: no such file.\n  Did you mean 'truth.h5'", "prd.h5: no such file."]),
        (["truth=truth.h5", "prediction=small.h5"],
         ["small.h5: has shape (5, 24, 60), its truth truth.h5 (6, 24, 60)."]),
        (["truth=truth.h5", "prediction=float.h5", "mask=small.h5"],
         ["float.h5: labels must be whole numbers, and it holds 0.5 at voxel (0, 0, 0)."]),
        (["truth=negative.h5", "prediction=pred.h5"], ["negative.h5: labels hold -1 at voxel"]),
        (["truth=channels.h5", "prediction=pred.h5"],
         ["channels.h5: has shape (2, 6, 24, 60), where truth is a (Z, Y, X) volume."]),
        (["truth=truth.h5", "prediction=pred.h5", "metrics=[cremi_clefts]"],
         ["the voxel size is not known.", "resolution=[...]"]),
        (["truth=truth.h5", "prediction=pred.h5", "metrics=[cremi_partners]"],
         ["command line: neurons: not given, and cremi_partners compares neurons."]),
        (["truth=truth.h5", "prediction=pred.h5", "mask=nowhere.h5"],
         ["truth.h5: no voxel counts: all are outside the mask nowhere.h5, or marked as invalid"]),
        (["truth=truth.h5", "prediction=pred.h5", "iou_thresholds=[0.5,0.3,0.5]"],
         ["command line: iou_thresholds[2]: 0.5 is named twice."]),
        (["truth=truth.h5", "prediction=pred.h5", "metrics=[points]"],
         ["where the synapses are is not known."]),
        (["truth=instances.h5", "prediction=pred.h5", "metrics=[points]", "resolution=[30,8,8]"],
         ["where the synapses are is not known.", "pre and post sides"]),
        (["truth=truth.h5", "prediction=pred.h5", "table=truth.csv"],
         ["truth.csv: lists synapses without a confidence"]),
        (["truth=truth.h5", "prediction=pred.h5", "table=truth.h5"],
         ["truth.h5: cannot be read as a table"]),
        (["truth=truth.h5", "prediction=pred.h5", "table=short.csv"],
         ["short.csv: lacks 2 synapses that pred.h5 holds, such as number 2.",
          "the table that was made with these labels"]),
        (["truth=truth.h5", "prediction=pred.h5", "table=more.csv"],
         ["more.csv: lists 1 synapse that pred.h5 does not hold, such as number 4."]),
        (["truth=truth.h5", "prediction=pred.h5", "table=short.csv", "metrics=[jaccard]"],
         ["command line: table: is read only for polarity, points, cremi_partners."]),
        (["truth=instances.h5", "prediction=pred.h5", "table=short.csv"],
         ["command line: table: confidences are read for polarity, and the metrics are"]),
        (["truth=truth.h5", "prediction=pred.h5", "neurons=truth.h5"],
         ["command line: neurons: is read only for cremi_partners."]),
        (["truth=truth.h5", "prediction=pred.h5", "metrics=[points]", "annotations=truth.h5"],
         ["truth.h5: has no group 'annotations'."]),
        (["truth=instances.h5", "prediction=pred.h5", "metrics=[polarity]"],
         ["command line: metrics[0]: polarity needs pre and post sides"]),
        (["truth=truth.h5", "prediction=pred.h5", "output=truth.csv"],
         ["output=truth.csv: is a file"]),
        (["truth=truth.h5", "prediction=pred.h5", "--checkpoint", "x.ckpt"],
         ["--checkpoint: is of use with a --config only."]),
        (["truth=truth.h5", "prediction=pred.h5", "resolution=[8,8,30]", "mask=sized.h5"],
         ["sized.h5: the file says 30 x 8 x 8 nm per voxel (z, y, x), the config 8 x 8 x 30."]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_once(run, arguments, said):
    save_volume("small.h5", TRUTH[:5])
    save_volume("float.h5", TRUTH + np.float32(0.5))
    save_volume("negative.h5", np.where(TRUTH == 1, -1, TRUTH.astype(np.int32)))
    save_volume("channels.h5", np.stack([TRUTH, TRUTH]))
    save_volume("instances.h5", INSTANCES)
    save_volume("sized.h5", TRUTH, resolution=NM)
    save_volume("nowhere.h5", np.zeros(SHAPE, np.uint8))
    table = synapse_table(TRUTH, resolution=NM)
    write_table(table, "truth.csv")
    write_table(table.head(1).assign(confidence=0.5), "short.csv")
    more = pd.concat([table, table.tail(1).assign(synapse_id=4)], ignore_index=True)
    write_table(more.assign(confidence=0.5), "more.csv")
    before = files(".")
    error = run("evaluate", *arguments, code=2)
    for text in said:
        assert text in error
    assert len(error.splitlines()) <= 14
    assert files(".") == before


def test_with_a_config_its_run_is_meant(run):
    Path("my.yaml").write_text("data: {test: {image: truth.h5}}\n")
    said = run("evaluate", "--config", "my.yaml", "truth=truth.h5", code=2)
    assert "truth: no such section.\n  truth=... is for --mode evaluate and --mode decode" in said


# Tables -------------------------------------------------------------------------------------


def test_the_table_of_ground_truth(run):
    save_volume("sized.h5", TRUTH, resolution=NM, offset_nm=(300, 0, 80))
    out = run("decode", "labels=sized.h5", "output=made")
    assert "decode: 3 synapses, none of them cut by the border; 3 paired" in out
    assert files("made") == {"synapses.csv"}  # whose ids are those of the file itself
    table = read_table("made/synapses.csv")
    expected = synapse_table(TRUTH, resolution=NM, offset_nm=(300, 0, 80))
    pd.testing.assert_frame_equal(table, expected)
    assert table.pre_x_nm.tolist() == [80 + 8 * x for x in (5, 25, 45)]
    assert table.pre_z_nm.tolist() == [300 + 90] * 3
    for point in ("pre", "post", "centre"):
        columns = [f"{point}_{axis}_nm" for axis in "zyx"]
        voxels = ((table[columns].to_numpy() - [300, 0, 80]) / NM).astype(int)
        assert (TRUTH[tuple(voxels.T)] > 0).all()
    assert table.confidence.isna().all()


def test_semantic_labels_are_grouped_and_the_groups_are_kept(run):
    save_volume("semantic.h5", SEMANTIC, offset_nm=(300, 0, 0), resolution=NM)
    out = run("decode", "labels=semantic.h5", "output=made")
    assert "decode: Semantic label volume was grouped into objects" in out
    assert files("made") == {"labels.h5", "synapses.csv"}
    with open_volume("made/labels.h5") as grouped:
        assert len(np.unique(grouped.read())) == 7
        np.testing.assert_array_equal(grouped.read() % 2, SEMANTIC % 2)
        assert (grouped.resolution, grouped.offset_nm) == (NM, (300.0, 0.0, 0.0))
        assert grouped.attributes["encoding"] == "polarity"
        sizes = np.bincount((grouped.read().ravel() + 1) // 2)
    run("evaluate", "truth=semantic.h5", "prediction=pred.h5", "output=scores")
    rows = pd.read_csv("scores/matches.csv")  # the same numbers
    assert rows.truth_voxels.tolist() == sizes[rows.truth_id].tolist()
    run("decode", "labels=truth.h5", "output=made", "resolution=[30,8,8]")
    assert files("made") == {"synapses.csv"}
    run("evaluate", "truth=semantic.h5", "prediction=pred.h5")


def test_exports_and_partners(run):
    segmentation = neurons(5, 2**60)
    segmentation[:, :, 40:] = 9
    save_volume("neurons.h5", segmentation)
    out = run(
        "decode", "labels=truth.h5", "neurons=neurons.h5", "resolution=[30,8,8]", "output=made",
        "exports=[parquet,cave,neuprint,cremi,neuroglancer]",
    )  # fmt: skip
    assert "decode: 1 with both sides in one neuron" in out
    assert files("made") == {
        "synapses.csv", "synapses.parquet", "synapses_cave.csv", "synapses_neuprint.csv",
        "synapses_cremi.h5", "partners.csv",
    }  # fmt: skip
    np.testing.assert_array_equal(read_volume("made/neuroglancer/labels"), TRUTH)
    info = json.loads(Path("made/neuroglancer/synapses/info").read_text())
    related = [one["id"] for one in info["relationships"]]
    assert related == ["pre_segment", "post_segment", "pre_neuron", "post_neuron"]
    assert read_table("made/synapses.csv").post_neuron.tolist() == [2**60, 2**60, 9]
    assert pd.read_csv("made/partners.csv").autapse.tolist() == [False, False, True]
    assert len(pd.read_csv("made/synapses_cave.csv")) == 2  # CAVE takes no autapse
    with h5py.File("made/synapses_cremi.h5") as file:
        assert len(file["annotations/presynaptic_site/partners"]) == 3


def test_no_synapse_at_all(run):
    save_volume("none.h5", np.zeros(SHAPE, np.uint8))
    out = run(
        "decode", "labels=none.h5", "resolution=[30,8,8]", "output=made",
        "exports=[parquet,cave,neuprint,cremi,neuroglancer]",
    )  # fmt: skip
    assert "decode: 0 synapses\n" in out
    assert len(read_table("made/synapses.parquet")) == 0


def test_labels_that_lie_in_the_output_folder_stay(run):
    Path("made").mkdir()
    save_volume("made/labels.h5", TRUTH, resolution=NM)
    run("decode", "labels=made/labels.h5", "output=made")
    assert files("made") == {"labels.h5", "synapses.csv"}
    save_volume("made/labels.h5", SEMANTIC, resolution=NM, overwrite=True)
    said = run("decode", "labels=made/labels.h5", "output=made", code=2)
    assert "output=made: is where made/labels.h5 lies" in said
    with open_volume("made/labels.h5") as kept:
        np.testing.assert_array_equal(kept.read(), SEMANTIC)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], ["command line: labels and output: not given.", "--mode decode labels="]),
        (["labels=truth.h5", "output=made"],
         ["truth.h5: does not say its voxel size.", "resolution=[z,y,x]"]),
        (["labels=instances.h5", "output=made", "resolution=[30,8,8]"],
         ["holds instance labels, going by their values", "say encoding=polarity"]),
        (["labels=truth.h5", "output=made", "resolution=[30,8,8]", "encoding=binary"],
         ["holds binary labels, and a table"]),
        (["labels=truth.h5", "output=made", "resolution=[30,8,8]", "encoding=semantic"],
         ["a semantic volume holds 0, 1 and 2; this one holds 6"]),
        (["labels=truth.h5", "output=made", "exports=[csv]", "neuron=x"],
         ["exports[0]: there is no export 'csv'.\n"
          "  Choices: cave, cremi, neuprint, neuroglancer, parquet.",
          "neuron: no such key.\n  Did you mean 'neurons'?"]),
        (["labels=truth.h5", "neurons=small.h5", "output=pred.h5"],
         ["small.h5: has shape (5, 24, 60), its labels truth.h5 (6, 24, 60).",
          "output=pred.h5: is a file"]),
    ],
)  # fmt: skip
def test_what_cannot_be_listed(run, arguments, said):
    save_volume("small.h5", TRUTH[:5])
    save_volume("instances.h5", INSTANCES)
    error = run("decode", *arguments, code=2)
    for text in said:
        assert text in error
    assert not Path("made").exists()


# The command --------------------------------------------------------------------------------


def test_settings_can_be_looked_at(run):
    out = run("evaluate", "--print-config", "truth=x.h5")
    assert "truth: x.h5\n" in out
    assert "prediction: null\n" in out
    assert "exports: []\n" in run("decode", "--print-config")


def test_it_starts_without_torch(run):
    code = (
        "import runpy, sys\n"
        "sys.argv = ['main.py', '--mode', 'evaluate', 'truth=truth.h5', 'prediction=pred.h5']\n"
        "try:\n"
        f"    runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "except SystemExit as leaving:\n"
        "    assert not leaving.code, leaving.code\n"
        "slow = ('torch', 'monai', 'matplotlib', 'pandas', 'optuna', 'pytorch_lightning')\n"
        "print('SLOW', [name for name in slow if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "SLOW []"


def test_what_labels_can_hardly_mean_is_said_beside_the_scores(run) -> None:
    save_volume("cast.h5", np.where(TRUTH > 0, TRUTH, np.uint32(2**32 - 1)))
    save_volume("grey.h5", np.random.default_rng(0).integers(1, 250, SHAPE, dtype=np.uint8))
    said = run("evaluate", "truth=cast.h5", "prediction=grey.h5", "metrics=[jaccard]")
    assert "truth: 4294967295 is read as background (CREMI's mark)." in said
    assert "it holds grey values or probabilities, and no labels." in said
    said = run("evaluate", "truth=truth.h5", "prediction=pred.h5", "metrics=[jaccard]")
    assert "CREMI" not in said
    assert "no labels" not in said


def test_grey_values_that_are_listed_as_synapses_are_warned_of(run, capsys) -> None:
    save_volume("grey.h5", np.random.default_rng(0).integers(1, 250, SHAPE, dtype=np.uint8))
    place = ["resolution=[30,8,8]", "output=made"]
    assert main(["--mode", "decode", "labels=grey.h5", "encoding=polarity", *place]) == 0
    assert "it holds grey values or probabilities, and no labels." in capsys.readouterr().err


def test_scores_of_files_stand_beside_no_config_of_a_run(run):
    given = ["evaluate", "truth=truth.h5", "prediction=pred.h5", "output=scores"]
    Path("scores").mkdir()
    Path("scores/config.yaml").write_text("my: own")
    run(*given)
    assert Path("scores/config.yaml").read_text() == "my: own"
    Path("scores/provenance.yaml").write_text("command: of a run")
    run(*given, "iou_thresholds=[0.4]")
    assert not Path("scores/config.yaml").exists()
    assert [path.name for path in Path("scores/earlier").glob("*/*.yaml")]


def test_labels_of_a_run_that_have_lost_a_block_are_no_labels(run):
    store = zarr.create_array("labels.zarr", data=FLIPPED, chunks=(3, 24, 30))
    store.attrs.update({"config_hash": "of a run", "resolution": NM, "encoding": "polarity"})
    given = ["evaluate", "truth=truth.h5", "prediction=labels.zarr"]
    run(*given)
    Path("labels.zarr/c/0/0/0").unlink()
    assert "has lost blocks, which would be read as 0: 1 of" in run(*given, code=2)
    assert "has lost blocks" in run("decode", "labels=labels.zarr", "output=table", code=2)
    del store.attrs["config_hash"]
    run(*given)  # others leave out what is empty
