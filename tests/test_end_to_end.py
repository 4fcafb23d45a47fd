"""The command line, from a config to scores, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from main import main

from connectomics.data.io import open_volume, read_volume, save_volume
from connectomics.phantom import make_phantom

REPOSITORY = Path(__file__).parent.parent
TUTORIAL = REPOSITORY / "tutorials" / "syn_em_r50.yaml"

SMALL = [  # what makes the tutorial fit a test; everything else is as a user gets it
    "model/rsunet=small",
    "data.dataloader.patch_size=[8,64,64]",
    "data.dataloader.batch_size=1",
    "data.dataloader.num_workers=0",
    "data.num_val_patches=1",
    "optimization.max_steps=2",
    "optimization.n_steps_per_epoch=2",
    "inference.window.window_size=[8,64,64]",
    "inference.test_time_augmentation.enabled=false",
    "system.num_threads=1",
]
EXCLUSIVE = [
    "data.label_transform.targets[0].kwargs.exclusive=true",
    "model.loss.losses=[{function: WeightedCE, kwargs: {class_weights: [1, 10, 10]}}]",
]


@pytest.fixture(scope="module")
def em_r50(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files laid out as those of EM-R50: one dataset each, semantic labels."""
    folder = tmp_path_factory.mktemp("em_r50")
    phantom = make_phantom((100, 96, 96), seed=5, synapse_density_um3=6.0)
    semantic = np.where(phantom.label > 0, 2 - phantom.label % 2, 0).astype(np.uint8)
    files = folder / "datasets" / "jwr15"
    files.mkdir(parents=True)
    save_volume(files / "img.h5", phantom.image)
    save_volume(files / "syn.h5", semantic)
    return folder


@pytest.mark.parametrize("variant", [[], EXCLUSIVE], ids=["non-exclusive", "exclusive"])
def test_the_tutorial_trains_and_tests(em_r50, variant, monkeypatch, capsys):
    monkeypatch.chdir(em_r50)

    def run(*arguments: str) -> str:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["main.py", *arguments])
        status = main()
        out, err = capsys.readouterr()
        assert status == 0, out + err
        return out + err

    save_path = f"save_path=outputs/{'exclusive' if variant else 'independent'}"
    options = ["--config", str(TUTORIAL), *SMALL, *variant, save_path]
    trained = run(*options)
    assert "train: 2 of 2 steps" in trained
    (checkpoint,) = em_r50.glob(f"{save_path.partition('=')[2]}/*/checkpoints/last.ckpt")
    folder = checkpoint.parent.parent

    # A barely trained network finds no synapse, or everything: what it finds is not the point.
    tested = run(*options, "--mode", "test", "--checkpoint", str(checkpoint))
    assert "F1_pol" in tested
    assert "semantic" in tested.lower()  # that the truth was grouped into instances is said

    (results,) = (path.parent for path in folder.glob("results/*/probabilities.h5"))
    with open_volume(results / "probabilities.h5") as probabilities:
        sections = probabilities.shape[1]
        assert probabilities.shape == (3, sections, 96, 96)
        channels = ["background", "pre", "post"] if variant else ["pre", "post", "union"]
        assert probabilities.attributes["channels"] == channels
        assert probabilities.offset_nm == (76 * 30, 0, 0)  # the tutorial tests on the last sections
        values = probabilities.read().astype(np.float32)
    assert values.min() >= 0
    assert values.max() <= 1
    if variant:
        np.testing.assert_allclose(values.sum(axis=0), 1, atol=2e-3)
    assert read_volume(results / "labels.h5").shape == (sections, 96, 96)
    assert (results / "synapses.csv").is_file()
    assert (results / "comparison.png").stat().st_size > 10_000
    scores = json.loads((folder / "results" / "scores.json").read_text())
    assert set(scores["pooled"]) == {"polarity"}
    for name in ("scores.txt", "matches.csv", "report.html", "config.yaml", "provenance.yaml"):
        assert (folder / "results" / name).is_file()

    if variant:
        return  # what follows has nothing to do with channels

    # Decoding again with another threshold uses the probabilities and keeps the older labels.
    before = (results / "probabilities.h5").stat().st_mtime_ns
    again = ["--mode", "decode", "--checkpoint", str(checkpoint)]
    run(*options, *again, "decoding.steps[0].kwargs.thres=0.4")
    assert (results / "probabilities.h5").stat().st_mtime_ns == before
    assert len(list(results.glob("earlier/*/labels.h5"))) == 1

    # The run folder's own config is enough to test again, and finds everything up to date.
    config = ["--config", str(folder / "config.yaml")]
    repeated = run(*config, "--mode", "infer", "--checkpoint", str(checkpoint))
    assert "up to date" in repeated
    provenance = yaml.safe_load((folder / "provenance.yaml").read_text())
    assert provenance["seed"] == 0
    assert "syn_em_r50.yaml" in provenance["command"]
