"""`--mode decode` in a run folder: labels, table, partners and exports, and what stays of them."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from main import main

from connectomics.data.io import open_volume, save_volume
from connectomics.decoding import read_table
from connectomics.decoding.resize import resize_nearest
from connectomics.phantom import make_phantom

ROOT = Path(__file__).parents[2]
SHAPE = (6, 24, 40)
NM = (30.0, 8.0, 8.0)
CONFIG: dict[str, Any] = {
    "experiment_name": "e",
    "model": {"out_channels": 3, "rsunet": {"filters": [4, 8], "down_factors": [[1, 2, 2]]}},
    "data": {
        "test": {"image": "vol.h5", "label": "syn.h5"},
        "label_transform": {"targets": ["polarity"]},
    },
    "decoding": {"steps": [{"name": "polarity2instance", "kwargs": {"thres_small": 4}}]},
    "evaluation": {"metrics": ["polarity"]},
}


def truth() -> np.ndarray:
    """Two synapses; the sides of each lie one below the other."""
    labels = np.zeros(SHAPE, np.uint8)
    for n, x in ((1, 4), (2, 24)):
        labels[2:5, 6:10, x : x + 8], labels[2:5, 10:14, x : x + 8] = 2 * n - 1, 2 * n
    return labels


class Run:
    """A folder with a volume, and a run in it that has probabilities."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys, self.err = folder, capsys, ""
        self.results = folder / "outputs" / "e" / "run" / "results" / "vol"
        save_volume("vol.h5", np.zeros(SHAPE, np.uint8))
        save_volume("syn.h5", truth())
        neurons = np.full(SHAPE, 7, np.uint64)
        neurons[:, 10:, :20], neurons[:, 10:, 20:] = 2**60 + 1, 7
        save_volume("neurons.h5", neurons)
        Path("my.yaml").write_text(yaml.safe_dump(CONFIG))
        self.write_probabilities(resolution=NM, offset_nm=(300, 0, 0))

    def write_probabilities(self, about: dict[str, Any] | None = None, **place: Any) -> None:
        labels = truth()
        p = np.zeros((3, *SHAPE), np.float32)
        p[0, labels % 2 == 1] = p[2, labels > 0] = 0.9
        p[1, (labels % 2 == 0) & (labels > 0)] = 0.8
        p[:, labels > 2] *= 0.8
        about = {"config_hash": "abc", "synthetic": False} if about is None else about
        path = self.results / "probabilities.h5"
        save_volume(path, p, attributes=about, overwrite=True, **place)

    def __call__(self, *arguments: str, mode: str = "decode", code: int = 0) -> str:
        self.capsys.readouterr()
        assert main(["--config", "my.yaml", "--mode", mode, *arguments]) == code
        captured = self.capsys.readouterr()
        self.err = captured.err
        assert "Traceback" not in captured.err
        return captured.err if code else captured.out

    def made(self) -> set[str]:
        names = {path.name for path in self.results.iterdir() if path.is_file()}
        assert ("labels.config.yaml" in names) == ("labels.h5" in names)
        return names - {"labels.config.yaml"}


@pytest.fixture
def run(tmp_path: Path, capsys, monkeypatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return Run(tmp_path, capsys)


def test_labels_and_their_table(run):
    run()
    assert run.made() == {"probabilities.h5", "labels.h5", "synapses.csv"}
    with open_volume(run.results / "labels.h5") as labels:
        np.testing.assert_array_equal(labels.read(), truth())
        assert (labels.resolution, labels.offset_nm) == (NM, (300.0, 0.0, 0.0))
        assert labels.attributes["encoding"] == "polarity"
    table = read_table(run.results / "synapses.csv")
    assert table.pre_z_nm.tolist() == [300 + 3 * 30] * 2
    assert table.confidence[0] > table.confidence[1] > 0
    assert table.pre_neuron.isna().all()
    assert "up to date" in run()


def test_probabilities_of_another_program(run):
    run.write_probabilities(about={}, resolution=NM)
    run()
    assert run.made() == {"probabilities.h5", "labels.h5", "synapses.csv"}
    said = run()
    assert "up to date" in said
    assert (
        "probabilities.h5 does not say which volume it is of: it is taken to be of vol.h5" in said
    )
    os.utime(run.results / "probabilities.h5", (1_000_000, 1_000_000))
    assert "up to date" in run()
    save_volume(run.results / "probabilities.h5", np.ones((3, *SHAPE), "f4"), overwrite=True)
    assert "labels.h5 was made with other settings or data: probabilities changed;" in run(
        "data.test.resolution=[30,8,8]"
    )


def test_a_network_that_says_yes_everywhere_is_told(run):
    run()
    assert run.err == ""
    yes = np.full((3, *SHAPE), 0.97, np.float32)
    save_volume(run.results / "probabilities.h5", yes, resolution=NM, overwrite=True)
    run()
    said = "results/vol/probabilities.h5: the network takes 100% of the volume for synapse"
    assert said in run.err
    assert "(pre, post, union)" in run.err


def test_a_default_that_is_written_out_is_the_same_setting(run):
    run()
    assert "up to date" in run("decoding.steps[0].kwargs.thres=0.5")
    assert "thres was not given and is 0.6; decoding anew" in run(
        "decoding.steps[0].kwargs.thres=0.6"
    )


def test_exports_are_added_without_decoding_again(run):
    run()
    labels = (run.results / "labels.h5").stat().st_mtime_ns
    out = run("decoding.exports=[cave,cremi]")
    assert (run.results / "labels.h5").stat().st_mtime_ns == labels
    assert "synapses.csv → " in out
    assert run.made() >= {"synapses_cave.csv", "synapses_cremi.h5"}
    first = pd.read_csv(run.results / "synapses_cave.csv")
    assert json.loads(first.pre_pt_position[0])[2] == 390
    with h5py.File(run.results / "synapses_cremi.h5") as file:
        assert file["annotations"].attrs["offset"].tolist() == [300, 0, 0]
        assert file["annotations/locations"][0, 0] == 90
    assert "up to date" in run("decoding.exports=[cave,cremi]")
    exports = "decoding.exports=[cave,cremi,neuprint,parquet,neuroglancer]"
    run(exports)
    assert run.made() >= {"synapses_neuprint.csv", "synapses.parquet"}
    with open_volume(run.results / "neuroglancer" / "labels") as shown:
        assert shown.offset_nm == (300, 0, 0)
    assert "up to date" in run(exports)
    assert not (run.results / "earlier").exists()


def test_no_export_of_earlier_labels_stays_beside_later_ones(run):
    run("decoding.exports=[cave]", "data.test.neurons=neurons.h5")
    out = run("decoding.steps[0].kwargs.thres=0.75")
    assert run.made() == {"probabilities.h5", "labels.h5", "synapses.csv"}
    (folder,) = run.results.glob("earlier/*")
    kept = {path.name for path in folder.iterdir()}
    tables = {"synapses.csv", "synapses_cave.csv", "partners.csv"}
    assert kept == {"labels.h5", "labels.config.yaml", *tables}
    assert out.count(" is kept in ") == 1
    assert f"is kept in {folder.relative_to(run.folder)}" in out
    assert len(read_table(run.results / "synapses.csv")) == 1
    run("decoding.steps[0].kwargs.thres=0.75", "decoding.exports=[cave]")
    assert len(pd.read_csv(run.results / "synapses_cave.csv")) == 1


@pytest.mark.parametrize("name", ["synapses.csv", "partners.csv", "labels.h5"])
def test_what_was_lost_is_made_again(run, name):
    run("data.test.neurons=neurons.h5")
    made = run.made()
    (run.results / name).unlink()
    assert "up to date" not in run("data.test.neurons=neurons.h5")
    assert run.made() == made


def test_neurons_name_partners(run):
    run()
    run("data.test.neurons=neurons.h5")
    table = read_table(run.results / "synapses.csv")
    assert table.pre_neuron.tolist() == [7, 7]
    assert table.post_neuron.tolist() == [2**60 + 1, 7]
    partners = pd.read_csv(run.results / "partners.csv")
    assert partners.autapse.tolist() == [False, True]
    assert "up to date" in run("data.test.neurons=neurons.h5")

    save_volume("neurons.h5", np.full(SHAPE, 3, np.uint8), overwrite=True)
    assert "up to date" not in run("data.test.neurons=neurons.h5")
    assert read_table(run.results / "synapses.csv").pre_neuron.tolist() == [3, 3]


def test_the_decoder_is_told_the_neurons(run):
    off = "{min_synapse_nm3: 0, min_side_nm3: 0, min_confidence: 0}"
    step = f"decoding.steps=[{{name: synapses, kwargs: {off}}}]"
    run(step, "data.test.neurons=neurons.h5")
    assert read_table(run.results / "synapses.csv").post_neuron.tolist() == [2**60 + 1, 7]


def test_only_the_volumes_of_the_config_are_decoded(run):
    """Those of an earlier test with the same network stay as they are, whatever their voxels."""
    run()
    before = {path: path.stat().st_mtime_ns for path in run.results.rglob("*")}
    save_volume("other.h5", np.zeros(SHAPE, np.uint8))
    about = {"config_hash": "abc", "synthetic": False}
    other = run.results.parent / "other"
    save_volume(other / "probabilities.h5", np.zeros((3, *SHAPE), np.float32), attributes=about)
    names = "data.test={image: [other.h5, gone/later.h5], resolution: [40,4,4]}"
    out = run(names, "decoding.steps[0].kwargs.thres=0.75")
    assert f"{Path('outputs/e/run/results/later/probabilities.h5')} is not there" in out
    assert {path.name for path in other.iterdir()} == {
        "probabilities.h5", "labels.h5", "labels.config.yaml", "synapses.csv",
    }  # fmt: skip
    assert {path: path.stat().st_mtime_ns for path in run.results.rglob("*")} == before
    said = run("data.test={image: third.h5}", code=2)
    assert "results: holds no probabilities of third.h5 (data.test), only of other, vol." in said
    none = "data={train: {image: other.h5, label: syn.h5}, test: null}"
    run(none, "decoding.steps[0].kwargs.thres=0.75")  # all there are
    assert len(read_table(run.results / "synapses.csv")) == 1


def test_a_phantom_tells_its_neurons_when_asked(run):
    phantom = make_phantom((6, 64, 64), seed=4)
    sides = [phantom.label % 2 == 1, (phantom.label > 0) & (phantom.label % 2 == 0)]
    p = np.stack([*sides, phantom.label > 0]).astype(np.float32)
    folder = run.results.parent / "phantom_4"
    about = {"config_hash": "abc", "synthetic": True}
    save_volume(folder / "probabilities.h5", p, attributes=about, resolution=NM)
    run("data.test={phantom: {seed: 4, shape: [6,64,64]}}")
    assert read_table(folder / "synapses.csv").pre_neuron.isna().all()
    run("data.test={phantom: {seed: 4, shape: [6,64,64], neurons: true}}")
    table = read_table(folder / "synapses.csv")
    paired = table[table.side == "paired"]
    assert len(paired) > 0
    assert (paired.pre_neuron != paired.post_neuron).all()


def test_neurons_that_do_not_fit(run):
    save_volume("neurons.h5", np.zeros((6, 24, 41), np.uint8), overwrite=True)
    said = run("data.test.neurons=neurons.h5", code=2)
    assert "neurons.h5: has shape (6, 24, 41), its image vol.h5 (6, 24, 40)." in said
    said = run("data.test.neurons=[a.h5,b.h5]", code=2)
    assert "data.test.neurons: names 2 files for 1 images." in said
    assert run.made() == {"probabilities.h5"}


def test_an_unknown_voxel_size_is_said_and_can_be_given(run):
    run.write_probabilities()
    out = run()
    assert "no synapses.csv: the voxel size is not known. Set data.test.resolution" in out
    assert run.made() == {"probabilities.h5", "labels.h5"}
    run("data.test.resolution=[30,8,8]")
    assert read_table(run.results / "synapses.csv").pre_z_nm.tolist() == [90, 90]
    run("data.test.resolution=[40,8,8]")
    assert read_table(run.results / "synapses.csv").pre_z_nm.tolist() == [120, 120]


@pytest.mark.parametrize(
    ("argument", "who"),
    [("decoding.exports=[cave]", "decoding.exports"), ("decoding.steps=[synapses]", "synapses")],
)
def test_what_cannot_do_without_the_voxel_size(run, argument, who):
    run.write_probabilities()
    said = run(argument, code=2)
    assert f"probabilities.h5: has no known voxel size, which {who} cannot do without." in said
    assert run.made() == {"probabilities.h5"}


def test_testing_without_the_voxel_size_fails_before_it_predicts(run):
    Path("last.ckpt").touch()
    arguments = ("--checkpoint", "last.ckpt", "decoding.exports=[cave]")
    assert "vol.h5: has no known voxel size" in run(*arguments, mode="test", code=2)


def test_resized_labels_have_their_voxel_size(run):
    half = "decoding.steps[0].kwargs.scale_factors=[1,0.5,0.5]"
    run(half, "decoding.exports=[neuprint]")
    with open_volume(run.results / "labels.h5") as labels:
        assert (labels.shape, labels.resolution) == ((6, 12, 20), (30.0, 16.0, 16.0))
    sites = pd.read_csv(run.results / "synapses_neuprint.csv")
    assert sites.y.tolist()[:2] == [6, 6]  # in voxels of the volume; voxel 3 of the labels


SYNAPSES = (
    "decoding.steps=[{name: synapses, kwargs: {min_confidence: 0, min_synapse_nm3: 0, "
    "min_side_nm3: 0, one_sided: 1, min_piece_nm3: 0, hysteresis: null}}]"
)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("decoding.steps[0].kwargs.scale_factors=[1,0.7,2]",),
        ("decoding.steps[0].kwargs.scale_factors=[2,0.4,0.6]", "data.test.neurons=neurons.h5"),
        (SYNAPSES,),
        (SYNAPSES, "data.test.neurons=neurons.h5"),
    ],
)
def test_labels_give_the_table_that_came_with_them(run, arguments):
    """Decoded, and listed again without a config: the same rows, less what the network said."""
    labels = truth()
    labels[2:5, 10:14, 24:32] = 0  # a synapse of one side
    labels[0, 20:24, 30:36] = 5  # and one at the border
    p = np.zeros((3, *SHAPE), np.float32)
    p[0, labels % 2 == 1] = p[2, labels > 0] = 0.9
    p[1, (labels % 2 == 0) & (labels > 0)] = 0.8
    about = {"config_hash": "abc", "synthetic": False}
    place = {"resolution": (50, 4.6, 13 / 3), "offset_nm": (1 / 3, -70.7, 1e6 + 0.1)}
    save_volume(run.results / "probabilities.h5", p, attributes=about, overwrite=True, **place)
    run(*arguments)
    neurons = [a.removeprefix("data.test.") for a in arguments if "neurons" in a]
    scaled = any("scale" in a for a in arguments)
    if scaled and neurons:  # of the size of the labels
        with open_volume(run.results / "labels.h5") as made:
            factors = [new / old for old, new in zip(SHAPE, made.shape, strict=True)]
            save_volume(
                "small.h5",
                resize_nearest(open_volume("neurons.h5").read(), factors),
                resolution=made.resolution,
                offset_nm=made.offset_nm,
            )
        neurons = ["neurons=small.h5"]
    words = [f"labels={run.results / 'labels.h5'}", *neurons, "output=again"]
    assert main(["--mode", "decode", *words]) == 0
    decoded, listed = (read_table(f / "synapses.csv") for f in (run.results, Path("again")))
    assert sorted(decoded.side) == ["paired", "pre_only", "pre_only"]
    assert decoded.touches_border.tolist() == [True, False, False]
    assert decoded.confidence.notna().all() != scaled
    told = ["confidence", "polarity_margin"]
    pd.testing.assert_frame_equal(listed.drop(columns=told), decoded.drop(columns=told))
    assert listed[told].isna().to_numpy().all()

    with open_volume(run.results / "labels.h5") as made:
        array, grid = made.read(), made.grid
    for side, parity in (("pre", 1), ("post", 0)):
        rows = decoded[decoded[f"{side}_voxels"] > 0]
        points = grid.to_voxels(rows[[f"{side}_{axis}_nm" for axis in "zyx"]])
        voxels = np.rint(points).astype(int)
        np.testing.assert_allclose(points, voxels, atol=1e-6)
        assert array[tuple(voxels.T)].tolist() == (2 * rows.synapse_id - parity).tolist()
    # What is thought of partners is the same too.
    for folder in (run.results, Path("again")):
        assert (folder / "partners.csv").exists() == bool(neurons)


def test_faults_of_exports_are_said_when_the_file_is_read(run, monkeypatch):
    said = run("decoding.exports=[cav]", code=2)
    assert "decoding.exports[0]: there is no export 'cav'.\n  Did you mean 'cave'?" in said
    said = run("decoding.exports=cave", code=2)
    assert "decoding.exports: has to be a list, not 'cave'." in said
    semantic = "decoding.steps[0].kwargs.semantic=true"
    assert "takes synapses with sides" in run("decoding.exports=[cave]", semantic, code=2)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "Parquet needs pyarrow" in run("decoding.exports=[parquet]", code=2)


def test_labels_without_sides_have_no_table(run):
    run()
    out = run("decoding.steps[0].kwargs.semantic=true", "evaluation.metrics=[jaccard]")
    assert run.made() == {"probabilities.h5", "labels.h5"}
    assert "no synapses.csv" not in out


def test_scores_rank_by_the_confidence_of_the_table(run):
    run()
    out = run(mode="evaluate")
    assert "AP_pol" in out
    folder = run.results.parent
    for name in ("precision_recall.csv", "precision_recall.png", "scores.json", "matches.csv"):
        assert (folder / name).is_file()
        assert str(Path("outputs/e/run/results") / name) in out
    scores = json.loads((folder / "scores.json").read_text())
    at_half = scores["pooled"]["polarity"]["at"]["0.5"]
    assert at_half["average_precision"] == 1
    table = read_table(run.results / "synapses.csv")
    assert at_half["best_f1_pol"] == {"f1": 1, "confidence": table.confidence.min()}
    curve = pd.read_csv(folder / "precision_recall.csv")
    assert curve[curve.iou_threshold == 0.5].recall.tolist() == [0.5, 1]

    run("decoding.steps[0].kwargs.semantic=true", "evaluation.metrics=[jaccard]")
    run("evaluation.metrics=[jaccard]", mode="evaluate")
    assert not (folder / "precision_recall.png").exists()
    assert len(list(folder.glob("earlier/*/precision_recall.png"))) == 1


def test_partners_and_points_are_scored_from_yaml(run):
    save_volume("vol.h5", np.zeros(SHAPE, np.uint8), resolution=NM, overwrite=True)
    run.write_probabilities(resolution=NM)
    neurons = "data.test.neurons=neurons.h5"
    run(neurons)
    metrics = "evaluation.metrics=[points,cremi_partners]"
    out = run(neurons, metrics, mode="evaluate")
    scores = json.loads((run.results.parent / "scores.json").read_text())["pooled"]
    assert (scores["points"]["f1"], scores["points"]["mean_nm"]) == (1, 0)
    assert (scores["cremi_partners"]["f1"], scores["cremi_partners"]["tp"]) == (1, 2)
    assert "cremi_partners: one-to-one matching" in out

    sites = {"ids": [1, 2], "locations": [[90.0, 60, 60], [90, 90, 60]]}
    with h5py.File("sites.hdf", "w") as file:
        group = file.create_group("annotations")
        for name, values in {**sites, "presynaptic_site/partners": [[1, 2]]}.items():
            group[name] = values
    run(neurons, metrics, "data.test.annotations=sites.hdf", mode="evaluate")
    scores = json.loads((run.results.parent / "scores.json").read_text())["pooled"]
    assert (scores["cremi_partners"]["tp"], scores["cremi_partners"]["fp"]) == (1, 1)

    said = run(metrics, mode="evaluate", code=2)
    assert "2 true connections are not known" in said


def test_a_run_without_probabilities_tells_of_the_modes_without_a_config(run):
    for mode in ("decode", "evaluate"):
        said = run("save_path=elsewhere", mode=mode, code=2)
        assert "--mode decode labels=FILE output=FOLDER" in said
        assert "--mode evaluate truth=FILE prediction=FILE" in said


@pytest.mark.parametrize("decoder", ["polarity2instance", "synapses"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_nan_and_inf_in_probabilities_are_named_with_file_voxel_and_channel(run, decoder, dtype):
    for value in (np.nan, np.inf):
        p = np.full((3, *SHAPE), 0.1, dtype)
        p[1, 4, 5, 6] = value
        about = {"config_hash": "abc", "synthetic": False}
        path = run.results / "probabilities.h5"
        save_volume(path, p, attributes=about, overwrite=True, resolution=NM)
        said = run(f"decoding.steps=[{{name: {decoder}}}]", code=2)
        assert "vol/probabilities.h5: " in said
        assert "channel 1, (z, y, x) = (4, 5, 6)" in said
        assert not (run.results / "labels.h5").exists()


def test_evaluate_decodes_anew_what_is_of_other_settings_or_probabilities(run):
    run("decoding.steps[0].kwargs.thres=0.75")
    out = run(mode="evaluate")
    assert "labels.h5 was made with other settings or data: decoding.steps[0].kwargs.thres" in out
    assert "thres was 0.75 and is not given; decoding anew, the earlier goes to earlier/" in out
    assert len(read_table(run.results / "synapses.csv")) == 2
    scores = run.results.parent / "scores.json"
    assert json.loads(scores.read_text())["pooled"]["polarity"]["at"]["0.5"]["f1_pol"] == 1
    empty = np.zeros((3, *SHAPE), np.float32)
    path = run.results / "probabilities.h5"
    save_volume(path, empty, overwrite=True, resolution=NM, offset_nm=(300, 0, 0))
    assert "data: probabilities changed; decoding anew" in run(mode="evaluate")
    assert json.loads(scores.read_text())["pooled"]["polarity"]["at"]["0.5"]["f1_pol"] == 0

    path.unlink()
    assert "decoding anew" not in run(mode="evaluate")  # labels alone can be scored
    said = run("decoding.steps[0].kwargs.thres=0.75", mode="evaluate", code=2)
    assert "labels.h5: was made with other settings or data: decoding.steps[0].kwargs" in said
    assert "--mode test" in said


def test_a_second_evaluation_changes_nothing(run):
    run(mode="evaluate")
    folder = run.results.parent
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    run(mode="evaluate")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    run("evaluation.iou_thresholds=[0.5]", mode="evaluate")
    (kept,) = (folder / "earlier").iterdir()
    names = {"scores.txt", "scores.json", "config.yaml", "provenance.yaml"}
    assert {path.name for path in kept.rglob("*") if path.is_file()} >= names
    configs = [(at / "config.yaml").read_text() for at in (kept, folder)]
    assert ["iou_thresholds" in config for config in configs] == [False, True]


@pytest.mark.parametrize("about", [{}, {"encoding": "polarity"}, {"encoding": 3}])
def test_labels_of_another_program_are_scored_and_it_is_said(run, about):
    (run.results / "probabilities.h5").unlink()
    save_volume(run.results / "labels.h5", truth(), attributes=about)
    before = (run.results / "labels.h5").read_bytes()
    out = run(mode="evaluate")
    assert "labels.h5 does not say which volume it is of: it is taken to be of vol.h5" in out
    guessed = "prediction is outputs/e/run/results/vol/labels.h5, read as polarity labels, going by"
    assert (guessed in out) == (about.get("encoding") != "polarity")
    scores = json.loads((run.results.parent / "scores.json").read_text())
    assert scores["pooled"]["polarity"]["at"]["0.5"]["f1_pol"] == 1
    assert (run.results / "labels.h5").read_bytes() == before


def test_labels_of_another_volume_of_that_name_are_never_scored(run):
    run()
    (run.results / "probabilities.h5").unlink()
    for name, labels in (("vol.h5", np.ones(SHAPE, np.uint8)), ("syn.h5", truth())):
        save_volume(Path("B") / name, labels)
    said = run("data.test={image: B/vol.h5, label: B/syn.h5}", mode="evaluate", code=2)
    assert "holds no probabilities of B/vol.h5 [0:6, 0:24, 0:40] (data.test)" in said
    assert "only of vol (vol.h5 [0:6, 0:24, 0:40])" in said
    assert "--mode infer" in said
    save_volume("vol.h5", np.ones(SHAPE, np.uint8), overwrite=True)
    said = run(mode="evaluate", code=2)
    assert "labels.h5: is of vol.h5 as it was before; the file has changed since" in said


def test_a_volume_called_as_something_else_in_the_folder(run):
    for name in ("scores.txt", "earlier"):
        save_volume(f"{name}.h5", np.zeros(SHAPE, np.uint8))
    folder = run.results.parent
    for name in ("scores.txt_volume", "earlier_volume"):
        about = {"config_hash": "abc"}
        empty = np.zeros((3, *SHAPE), np.uint8)
        save_volume(folder / name / "probabilities.h5", empty, attributes=about, resolution=NM)
    run("data.test={image: [scores.txt.h5, earlier.h5], label: [syn.h5, syn.h5]}", mode="evaluate")
    assert (folder / "scores.txt").is_file()
    assert (folder / "earlier_volume" / "labels.h5").is_file()
