"""Labels that are made without keeping probabilities are those that are made of kept ones."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from main import main

from connectomics.data.io import open_volume, save_volume
from connectomics.decoding import read_table
from connectomics.decoding.blockwise.needed import Needed
from connectomics.pipeline import stages
from connectomics.pipeline.by_block import fusing, passes

KEPT, FUSED = "inference.save_probabilities=true", "inference.save_probabilities=false"
BLOCKS = "system.block_size=[8,25,23]"
SMALL = "core_nm3: 0, part_nm3: 8e3, min_side_nm3: 0, min_synapse_nm3: 0, min_confidence: 0"
STEPS = {
    "polarity2instance": "decoding.steps=[{name: polarity2instance, kwargs: {thres_small: 2}}]",
    "synapses": f"decoding.steps=[{{name: synapses, kwargs: {{{SMALL}}}}}]",
    "fixed": f"decoding.steps=[{{name: synapses, kwargs: {{adapt: false, {SMALL}}}}}]",
}


class Compare(torch.nn.Module):
    """Pre where it is bright, post where it is dark: (B, 1, z, y, x) → (B, 3, z, y, x)."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        pre, post = ((inputs - 0.55) * 2.2).clamp(0, 1), ((0.45 - inputs) * 2.2).clamp(0, 1)
        return torch.cat([pre, post, torch.maximum(pre, post)], dim=1)


@pytest.fixture
def run(trained, tmp_path, monkeypatch, capsys):
    """Gives the command, with a network that finds what is bright beside what is dark."""
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    rng = np.random.default_rng(5)
    image = rng.normal(128, 12, (14, 50, 46))
    for z, y, x in [(1, 2, 2), (5, 17, 10), (6, 34, 28), (4, 36, 4), (0, 14, 30)]:
        image[z : z + 5, y : y + 5, x : x + 12] += 90
        image[z : z + 5, y + 5 : y + 9, x : x + 12] -= 90
    image[:, :, 44:] = 0
    place = {"resolution": (30, 8, 8), "offset_nm": (60, 0, 8)}
    save_volume("vol.h5", np.clip(image, 1, 254).astype(np.uint8), **place, overwrite=True)
    load = stages.load_predictor

    def load_cheap(*arguments):
        predictor = load(*arguments)
        sliding = replace(predictor.sliding, activation=None)
        return replace(predictor, network=Compare(), sliding=sliding)

    monkeypatch.setattr(stages, "load_predictor", load_cheap)
    (folder,) = Path().glob("outputs/tiny/*")

    def command(mode: str, *overrides: str, code: int = 0) -> str:
        capsys.readouterr()
        arguments = ["--config", "my.yaml", "--mode", mode, "--checkpoint", str(folder)]
        assert main([*arguments, *overrides]) == code, capsys.readouterr().err
        return "".join(capsys.readouterr())

    command.results = folder / "results" / "vol"
    return command


def labels_of(results: Path) -> tuple[np.ndarray, pd.DataFrame, str]:
    """Labels, table, and what the probabilities were made from."""
    (path,) = results.glob("labels.[hz]*")
    with open_volume(path) as volume:
        key = volume.attributes["made_from"]["parts"]["probabilities"]
        return volume.read(), read_table(results / "synapses.csv"), key


def require_same(found, expected):
    """Labels and tables to the last bit."""
    assert np.array_equal(found[0], expected[0])
    pd.testing.assert_frame_equal(found[1], expected[1])


SOME = [
    ("synapses", BLOCKS, "float16"),
    ("synapses", "", "uint8"),
]
ALL = [
    *product(
        STEPS,
        ("system.block_size=[8,20,16]", "system.block_size=[5,50,13]", ""),
        ("uint8", "float32"),
    )
]


@pytest.mark.parametrize(
    ("decoder", "block", "dtype"),
    [*SOME, *(pytest.param(*one, marks=pytest.mark.slow) for one in ALL if one not in SOME)],
)
def test_labels_are_those_of_kept_probabilities(run, decoder, block, dtype):
    settings = [STEPS[decoder], f"inference.save_dtype={dtype}", *([block] if block else [])]
    run("infer", KEPT, *settings)
    run("decode", KEPT, *settings)
    expected = labels_of(run.results)
    assert expected[0].max() >= 8
    shutil.rmtree(run.results)
    said = run("decode", FUSED, *settings)
    assert "probabilities of" in said
    found = labels_of(run.results)
    require_same(found, expected)
    assert found[2] == expected[2]
    assert not list(run.results.glob("probabilities*"))
    assert not (run.results / "blocks").exists()
    assert "up to date" in run("decode", FUSED, *settings)


def test_a_test_scores_and_shows_what_was_never_kept(run):
    said = run("test", FUSED, BLOCKS, STEPS["synapses"])
    assert "of the voxels are kept until all is decoded" in said
    scores = json.loads((run.results.parent / "scores.json").read_text())
    assert scores["volumes"]
    assert (run.results.parent / "report.html").is_file()
    assert not list(run.results.glob("probabilities*"))
    before = (run.results.parent / "scores.json").read_text()
    run("evaluate", FUSED, STEPS["synapses"])
    assert json.loads((run.results.parent / "scores.json").read_text()) == json.loads(before)
    other = "inference.window.blending=constant"
    run("evaluate", FUSED, STEPS["synapses"], other)
    said = (run.results.parent / "scores.txt").read_text()
    assert (
        "data: inference.window.blending was bump and is constant; --mode test makes it anew"
        in " ".join(said.split())
    )
    assert "was made with other settings or data: decoding.steps[0].kwargs" in run(
        "evaluate", FUSED, STEPS["fixed"], code=2
    )


@pytest.mark.slow
def test_probabilities_that_are_there_are_used_and_others_set_aside(run):
    run("infer", KEPT, BLOCKS)
    run("decode", KEPT, BLOCKS)
    assert "up to date" in run("decode", FUSED, BLOCKS)
    assert (run.results / "probabilities.zarr").is_dir()
    (run.results / "synapses.csv").unlink()
    assert "probabilities.zarr →" in run("decode", FUSED, BLOCKS)
    run("decode", FUSED, BLOCKS, "inference.save_dtype=uint8")
    assert not (run.results / "probabilities.zarr").exists()
    assert list(run.results.glob("earlier/*/probabilities.zarr"))


def test_infer_alone_would_make_nothing(run):
    said = run("infer", FUSED, code=2)
    assert "inference.save_probabilities: is false, and infer makes nothing else." in said


def test_a_stopped_run_goes_on_and_predicts_nothing_twice(run, monkeypatch):
    settings = (FUSED, BLOCKS, STEPS["synapses"])
    run("decode", *settings)
    expected = labels_of(run.results)
    shutil.rmtree(run.results)
    did, stops = [], []
    calls = {fusing.PredictNeeded: "predict", passes.RunTask: "passes"}
    for kind, name in calls.items():

        def call(self, task, name=name, before=kind.__call__):
            if len(did) % 12 == 10 and (name, len(did)) not in stops:
                stops.append((name, len(did)))
                raise KeyboardInterrupt
            did.append((name, getattr(self, "step", ""), task.name))
            return before(self, task)

        monkeypatch.setattr(kind, "__call__", call)
    checkpoint = str(run.results.parents[1])
    command = ["--config", "my.yaml", "--mode", "decode", "--checkpoint", checkpoint, *settings]
    for _ in range(10):
        before = len(stops)
        status = main(command)
        if len(stops) == before:
            break
        assert status == 130
    else:
        raise AssertionError("it never ends")
    assert status == 0
    assert len(stops) > 1
    assert len(did) == len(set(did))
    require_same(labels_of(run.results), expected)


def test_what_was_put_aside_and_is_lost_is_predicted_again(run, monkeypatch):
    settings = (FUSED, BLOCKS, STEPS["polarity2instance"])

    def stop(self, task):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(passes.RunTask, "__call__", stop)
        run("decode", *settings, code=130)
    begun = run.results / "blocks" / "labels"
    shutil.copytree(begun, "before")
    run("decode", *settings)
    expected = labels_of(run.results)
    shutil.rmtree(run.results)
    shutil.copytree("before", begun)
    lost = max(begun.glob("probabilities.zarr/0/c/*/*/*/*"), key=lambda file: file.stat().st_size)
    whole = lost.read_bytes()
    lost.write_bytes(bytes([*whole[:9], whole[9] ^ 1, *whole[10:]]))
    assert "is damaged: cannot be read from" in run("decode", *settings, code=2)
    assert "predict: 1 block done now, 7 done before, 1 made again" in run("decode", *settings)
    require_same(labels_of(run.results), expected)
    shutil.rmtree(run.results)
    shutil.copytree("before", begun)
    lost.unlink()
    assert "predict: 1 block done now, 7 done before, 1 made again" in run("decode", *settings)
    require_same(labels_of(run.results), expected)


@pytest.mark.slow
def test_shards_share_the_work(run):
    settings = (FUSED, BLOCKS, STEPS["synapses"])
    run("decode", *settings)
    expected = labels_of(run.results)
    shutil.rmtree(run.results)
    for _ in range(9):
        for index in range(2):
            said = run("decode", *settings, f"system.shard={index}/2")
        if "all blocks are done" in said:
            break
    assert not (run.results / "labels.zarr").exists()
    said = run("decode", *settings)
    assert "done now" not in said
    require_same(labels_of(run.results), expected)


@pytest.mark.slow
def test_blocks_that_were_cleared_too_much_are_predicted_again(run, monkeypatch):
    settings = (BLOCKS, STEPS["synapses"])
    run("infer", KEPT, *settings)
    run("decode", KEPT, *settings)
    expected = labels_of(run.results)
    shutil.rmtree(run.results)
    monkeypatch.setattr(needed_room(), "DOUBT", -0.3)  # believe of a block what is not so
    said = run("decode", FUSED, *settings)
    assert "predict_again: " in said
    require_same(labels_of(run.results), expected)


def needed_room():
    """The module that `Needed` is of; the package has a function of its name."""
    import sys

    return sys.modules[Needed.__module__]


@pytest.mark.slow
def test_a_damaged_part_of_the_first_pass_is_counted_from_the_network(run):
    settings = (FUSED, BLOCKS, STEPS["synapses"])
    run("decode", *settings)
    expected = labels_of(run.results)
    shutil.rmtree(run.results)
    for index in range(2):
        run("decode", *settings, f"system.shard={index}/3")
    part = sorted((run.results / "blocks/labels/thresholds").rglob("*.npz"))[0]
    part.write_bytes(part.read_bytes()[:-3])
    assert "1 made again" in run("decode", *settings)
    assert np.array_equal(labels_of(run.results)[0], expected[0])


@pytest.mark.slow
def test_other_processes_give_the_same(run, monkeypatch):
    here = Path.cwd()
    monkeypatch.undo()
    monkeypatch.chdir(here)
    steps = STEPS["fixed"].replace("adapt: false", "hysteresis: [0.5, 0.51], adapt: false")
    settings = (FUSED, BLOCKS, steps)
    run("decode", *settings)
    expected = labels_of(run.results)[0]
    shutil.rmtree(run.results)
    run("decode", *settings, "system.executor={name: processes, workers: 2}")
    assert np.array_equal(labels_of(run.results)[0], expected)
