"""`--init` and `--check` through the command line, on files as users have them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest
from main import main
from PIL import Image

from connectomics.data.build import build_datamodule
from connectomics.data.io import save_volume
from connectomics.phantom import make_phantom
from connectomics.pipeline.components import read_config

SIZE = "resolution=[30,8,8]"
USES = ("learn from", "validate on", "test on")


@pytest.fixture(scope="module")
def phantom():
    return make_phantom((40, 192, 192), seed=5, synapse_density_um3=4.0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here: Path, capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str, code: int = 0) -> str:
        assert main(arguments) == code
        captured = capsys.readouterr()
        return captured.out if code == 0 else captured.err

    return run


def semantic(phantom) -> np.ndarray:
    return np.where(phantom.label > 0, 2 - phantom.label % 2, 0).astype(np.uint8)


def em_r50(phantom) -> None:
    with h5py.File("img.h5", "w") as image, h5py.File("syn.h5", "w") as label:
        image["main"], label["main"] = phantom.image, semantic(phantom)


def test_two_files_become_a_config_that_loads(run, phantom) -> None:
    em_r50(phantom)
    said = run("--init", "img.h5", "syn.h5", SIZE, "machine=cpu")
    assert "semantic (1 pre, 2 post; what touches is one synapse)" in said
    assert "--config my.yaml --check" in said
    uses = [re.search(rf"init: to {use}: (\d+) synapses?, ", said) for use in USES]
    learned, held, tested = (int(found[1]) for found in uses if found)
    assert f"init: few: {learned} to learn from" in said
    assert f"init: few: {tested} to test on, so that one found or missed moves" in said
    assert "A second volume with test in its name is tested on as a whole." in said
    assert f"held back with {held} synapses or parts of some, and {learned} are" in " ".join(
        Path("my.yaml").read_text().split()
    )
    config = read_config("my.yaml").config
    assert config.description == "Synapses, learned from img"  # heads reports of other volumes
    train, test = config.data.train, config.data.test
    assert train
    assert test
    assert train.image == test.image == ("img.h5",)
    assert train.z_range
    assert test.z_range
    assert train.resolution == (30, 8, 8)
    apart = max(test.z_range[0] - train.z_range[1], train.z_range[0] - test.z_range[1])
    assert apart > 0
    text = Path("my.yaml").read_text()
    assert re.search(r"held back with \d+ synapses or parts of some, and \d+ are\s", text)
    assert config.data.val_gap  # a patch would be more than a sixth
    assert config.data.val_gap < config.data.dataloader.patch_size
    assert config.experiment_name == "my"
    assert config.model.out_channels == 3
    assert config.evaluation.truth_encoding == "semantic"
    (step,) = config.decoding.steps
    small = re.search(r"Small\s+labelled\s+synapses\s+have ([\d,]+) nm³", text.replace("#", ""))
    assert small
    assert step.kwargs["min_synapse_nm3"] == pytest.approx(
        int(small[1].replace(",", "")) / 3, rel=0.05
    )
    # What the checkpoint knows is of those that no cut has made smaller.
    data = build_datamodule(config.data, seed=0)
    data.setup()
    assert data.small_synapse_nm3 == pytest.approx(3 * step.kwargs["min_synapse_nm3"], rel=0.5)
    # As the preset for a CPU, not as the tutorial:
    assert config.optimization.max_steps == 4000


def test_few_to_test_on_in_a_volume_of_its_own_take_more_labels(run, phantom) -> None:
    em_r50(phantom)
    save_volume("img_test.h5", phantom.image)
    save_volume("syn_test.h5", semantic(phantom))
    said = run("--init", "img.h5", "syn.h5", "img_test.h5", "syn_test.h5", SIZE, "machine=cpu")
    assert "Label more to test on." in said
    assert "A second volume" not in said


def test_nothing_is_overwritten(run, here: Path, phantom) -> None:
    em_r50(phantom)
    (here / "my.yaml").write_text("mine")
    said = run("--init", "img.h5", "syn.h5", SIZE, code=2)
    assert "output=my.yaml: is there already" in said
    assert (here / "my.yaml").read_text() == "mine"


def test_a_cremi_file_becomes_a_config_of_clefts(run, phantom) -> None:
    clefts = np.where(phantom.label > 0, (phantom.label + 1) // 2, np.uint64(2**64 - 1))
    with h5py.File("sample_A.hdf", "w") as file:
        for name, values in (("raw", phantom.image), ("labels/clefts", clefts)):
            file[f"volumes/{name}"] = values
            file[f"volumes/{name}"].attrs["resolution"] = [40.0, 4.0, 4.0]
        file["volumes/labels/neuron_ids"] = phantom.neurons.astype(np.uint64)
        file["annotations/locations"] = np.zeros((4, 3))
    said = run("--init", "sample_A.hdf", "output=cremi.yaml", "machine=cpu")
    assert "instance, with CREMI's marks" in said
    config = read_config("cremi.yaml", mode="test").config
    assert config.data.test
    assert config.data.test.label == ("sample_A.hdf::volumes/labels/clefts",)
    assert [metric.name for metric in config.evaluation.metrics][-1] == "cremi_clefts"


def test_folders_of_sections_and_unlabelled_images(run, here: Path, phantom) -> None:
    for name, values in (("raw", phantom.image), ("synapses", (phantom.label > 0) * np.uint8(255))):
        (here / "stack" / name).mkdir(parents=True)
        for z, section in enumerate(values):
            Image.fromarray(section).save(here / "stack" / name / f"z{z}.png")
    save_volume("new_em.h5", phantom.image[:20])
    said = run("--init", "stack", "new_em.h5", SIZE, "machine=cpu")
    assert "binary (a mask of synapses, no sides; what touches" in said
    assert "new_em.h5: image without labels, left out" in said
    assert "data.test.image=new_em.h5" in (here / "my.yaml").read_text()


def test_two_masks_are_joined_when_asked(run, phantom) -> None:
    save_volume("raw.h5", phantom.image, resolution=(30, 8, 8))
    save_volume("pre.h5", (semantic(phantom) == 1).astype(np.uint8))
    save_volume("post.h5", (semantic(phantom) == 2).astype(np.uint8))
    files = ("raw.h5", "pre.h5", "post.h5")
    assert "To write it, 1 for pre and 2 for post: joined=syn.h5" in run("--init", *files, code=2)
    run("--init", *files, "joined=syn.h5", "machine=cpu")
    config = read_config("my.yaml").config
    assert config.data.train
    assert config.data.train.label == ("syn.h5",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["img.h5", "syn.h5"], "img.h5: does not say its voxel size.\n  Give it, nm"),
        (["img.h5", "nothing.h5"], "nothing.h5: no such file"),
        (["img.h5", SIZE], "no labels were found"),
        (["img.h5", SIZE], "or say which it is: image=img.h5 label=FILE."),
        (["img.h5", "cut.h5", SIZE], "cut.h5: has 39 x 192 x 192 voxels, and img.h5 40 x 192 x"),
        (["img.h5", "syn.h5", "resolution=8"], "[z, y, x], nm per voxel: [8, 8, 8]"),
        (["syn.h5", SIZE], "none of these is an image"),
        (["img.h5", "broken.h5", SIZE], "broken.h5: "),
        (["img.h5", "syn.h5", "resolutoin=[30,8,8]"], "Did you mean 'resolution'?"),
        (["img.h5", "syn.h5", SIZE, "output=my.txt"], "my.txt is no YAML file"),
        (["two.h5", SIZE], "2 volumes may be its label"),
        (["image=img.h5"], "0 for 1 images"),
        (["image=img.h5", "two.h5", "joined=new.h5"], "are named without image= and label="),
        (["img.h5", "syn.h5", "machine=abacus"], "command line: machine: "),
        (["image=img.h5", "label=none.h5", SIZE], "none.h5: labels no synapse, so that nothing"),
        (["turned.h5", SIZE], "its sections seem to lie along its last axis"),
        (["turned.h5", SIZE], "h5py.File('turned.h5', 'r+')['/syn'].attrs['axes'] = 'xyz'\""),
        (["nan.h5", "syn.h5", SIZE], "nan.h5: the image holds nan at voxel (3, 4, 5) (z, y, x)"),
        (["cut.h5", "img.h5", SIZE], "cut the larger one, or fill the labels up with 0."),
        (["img.h5", "syn_prob.h5", SIZE], "left out: holds fractions, and labels are whole"),
        (["img.h5", "sides.h5", SIZE], "left out: has 2 channels, where an image has one, and"),
        (["img.npy", "syn.h5"], "numpy.load('img.npy')"),
        (["xyz.h5", "syn.h5"], "if it is right, say so: resolution=[8,8,30]"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(
    run, here: Path, phantom, arguments: list[str], message: str
) -> None:
    em_r50(phantom)
    (here / "broken.h5").write_text("no HDF5")
    save_volume("cut.h5", semantic(phantom)[1:])
    save_volume("none.h5", semantic(phantom) * 0)
    save_volume("syn_prob.h5", (semantic(phantom) / 3).astype(np.float32))
    save_volume("sides.h5", np.stack([semantic(phantom) == 1, semantic(phantom) == 2]).view("u1"))
    np.save("img.npy", phantom.image)
    nan = phantom.image.astype(np.float32)
    nan[3, 4, 5] = np.nan
    save_volume("nan.h5", nan)
    save_volume("xyz.h5", phantom.image, resolution=(8, 8, 30))
    with h5py.File("two.h5", "w") as two, h5py.File("turned.h5", "w") as turned:
        two["raw"], two["a"], two["b"] = phantom.image, semantic(phantom), semantic(phantom)
        turned["raw"], turned["syn"] = phantom.image.T, semantic(phantom).T
    assert message in run("--init", *arguments, code=2)
    assert not list(here.glob("*.yaml"))


def test_the_machine_that_is_typed_is_said_to_be_beaten(run, phantom, capsys) -> None:
    em_r50(phantom)
    run("--init", "img.h5", "syn.h5", SIZE, "machine=cpu")
    note = "my.yaml still says data.dataloader.patch_size=[16,"
    for typed, said in ((["machine=gpu"], True), ([], False)):
        assert main(["--config", "my.yaml", *typed, "--print-config"]) == 0
        assert (note in capsys.readouterr().err) is said
    typed = ["machine=gpu", "data.dataloader.patch_size=[18,64,64]"]
    assert main(["--config", "my.yaml", *typed, "--print-config"]) == 0
    assert "patch_size" not in capsys.readouterr().err


def test_init_goes_with_files_alone(run) -> None:
    assert "--config: does not go with --init" in run("--config", "a.yaml", "--init", "b", code=2)
    assert "--plan: does not go with --init" in run("--plan", "--init", "b", code=2)
    assert "--init: names no file" in run("--init", "output=a.yaml", code=2)


def test_a_check_plans_nothing(run) -> None:
    assert "--plan: does not go with --check" in run("--config", "a", "--check", "--plan", code=2)


FEW = ["optimization.max_steps=4", "optimization.n_steps_per_epoch=4", "model/rsunet=small"]
LITTLE = ["data.dataloader.patch_size=[8,64,64]", "data.dataloader.num_workers=0"]
LITTLE += ["data.num_val_patches=1", "inference.window.window_size=[8,64,64]"]


@pytest.mark.slow
def test_from_files_to_a_report_in_four_commands(run, here: Path, phantom) -> None:
    em_r50(phantom)
    run("--init", "img.h5", "syn.h5", SIZE, "machine=cpu")
    settings = [*FEW, *LITTLE]
    said = run("--config", "my.yaml", "--check", *settings)
    for line in ("train     img.h5", "validate  img.h5", "test      img.h5", "balance   pre "):
        assert line in said
    assert "voxels between train and validate are left out" in said
    assert "odd       nothing" in said
    assert "1,000 steps take about" in said
    pictures = [here / "outputs" / "my" / "check" / name for name in ("patches.png", "test.png")]
    for picture in pictures:
        assert np.asarray(Image.open(picture)).std() > 10
    said = run("--config", "my.yaml", *settings)
    (run_folder,) = (path.parent for path in (here / "outputs" / "my").glob("*/checkpoints"))
    _, _, command = said.partition("train: to test:\n    python scripts/main.py ")
    typed = shlex.split(command)
    assert typed[4:6] == ["--checkpoint", str(run_folder.relative_to(here))]
    said = run(*typed)
    page = run_folder.relative_to(here) / "results" / "report.html"
    assert said.endswith(f"evaluate: to look at, in a browser: {page}\n")
    assert (run_folder / "results" / "report.html").is_file()
