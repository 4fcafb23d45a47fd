"""The command that gets datasets: from a server or from files, to tutorials that run."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import yaml
from download_data import main as download_data
from main import main

from connectomics import command, exchange
from connectomics.config import load_config
from connectomics.config.inheritance import TUTORIALS
from connectomics.data.checks import check_data
from connectomics.data.io import read_volume, save_volume
from tests.exchange.conftest import Server, server  # noqa: F401
from tests.exchange.layouts import boxes, cremi, em_r50, polarity_volume, semantic, vnc, zipped

pytest.importorskip("pooch")
ACCEPT = "--accept-licence"
SHAPE = (100, 24, 16)
LABEL = np.where(boxes(SHAPE) > 0, 1 + (np.arange(16) % 2), 0).astype(np.uint8)
IMAGE = np.random.default_rng(4).integers(0, 255, SHAPE, np.uint8)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to run in."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def run(here, capsys):
    """Run the command: exit status, standard output, standard error."""

    def run(*arguments):
        status = download_data([str(word) for word in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return status, said.out, said.err

    return run


@pytest.fixture
def archive(tmp_path):
    folder = em_r50(tmp_path / "a", {"jwr15/{}": (IMAGE, LABEL)})
    return zipped(tmp_path / "jwr15_synapse.zip", folder)


def files_in(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_dataset_is_downloaded_and_made(run, here, archive, server):  # noqa: F811
    file = server.add(archive.name, archive.read_bytes())
    status, out, err = run("em_r50", ACCEPT, "--mirror", server.url)
    assert (status, err) == (0, "")
    to = here / "datasets" / "jwr15"
    np.testing.assert_array_equal(read_volume(to / "img.h5"), IMAGE)
    np.testing.assert_array_equal(read_volume(to / "syn.h5"), LABEL)
    assert files_in(to) == [
        "dataset.yaml", "download/.lock", "download/jwr15_synapse.zip", "img.h5", "syn.h5",
    ]  # fmt: skip
    record = yaml.safe_load((to / "dataset.yaml").read_text())
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert record["sources"] == [
        {
            "file": archive.name,
            "bytes": archive.stat().st_size,
            "sha256": digest,
            "url": f"{server.url}/{archive.name}",
            "checksum": "none is published for it; the one above was seen",
        }
    ]
    assert record["cite"].startswith("Lin, Wei, Jang")
    assert digest in out
    assert "(100, 1400, 700) is known" in out
    config = TUTORIALS / "syn_em_r50.yaml"
    assert out.endswith(f"to train: python scripts/main.py --config {config}\n")

    status, out, err = run("em_r50", "--mirror", server.url)  # not asked again, nor made again
    assert (status, out, err) == (0, "em_r50: datasets/jwr15 is complete\n", "")
    assert len(file.asked) == 1


def test_a_tutorial_without_its_data_says_how_to_get_them(here, capsys):
    assert main(["--config", str(TUTORIALS / "syn_vnc.yaml")]) == 2
    assert "python scripts/download_data.py NAME" in capsys.readouterr().err


def test_the_licence_is_shown_and_has_to_be_accepted(run, here, archive):
    status, out, err = run("em_r50", "--from", archive)
    assert status == 2
    assert "licence: The archive states none" in out
    assert "cite: Lin" in out
    assert "add --accept-licence" in err
    assert files_in(here) == []


def test_the_licence_is_asked_for_on_a_terminal(run, archive, monkeypatch):
    answers = iter(["no", "yes"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    assert run("em_r50", "--from", archive)[0] == 2
    assert run("em_r50", "--from", archive)[0] == 0


def test_the_installed_command_downloads_too(here, archive, capsys):
    arguments = ["download", "em_r50", "--from", str(archive), ACCEPT]
    assert command.main(arguments, installed=True) == 0
    assert (here / "datasets" / "jwr15" / "img.h5").is_file()


@pytest.mark.parametrize("kind", ["archive", "folder", "tar"])
def test_what_is_here_already_is_used_and_left_as_it_is(run, here, archive, tmp_path, kind):
    source = {"archive": archive, "folder": tmp_path / "a", "tar": tmp_path / "b.tar.gz"}[kind]
    if kind == "tar":
        import tarfile

        with tarfile.open(source, "w:gz") as file:
            file.add(tmp_path / "a", "jwr15_synapse")
    before = files_in(tmp_path / "a"), archive.read_bytes()
    status, _, err = run("em_r50", "--from", source, "--to", "mine", ACCEPT)
    assert (status, err) == (0, "")
    assert files_in(here / "mine") == ["dataset.yaml", "img.h5", "syn.h5"]
    assert (files_in(tmp_path / "a"), archive.read_bytes()) == before


def truncated(archive):
    archive.write_bytes(archive.read_bytes()[:-2000])


def flipped(archive):
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 255
    archive.write_bytes(content)


def web_page(archive):
    archive.write_text("<!DOCTYPE html><html>Log in to the network</html>")


def climbing(archive):
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("../../evil.h5", b"evil")


def linked(archive):
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(info, "/etc")


def damaged_inside(archive):
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("img.h5", b"\x89HDF\r\n\x1a\n" + bytes(100))
        file.writestr("syn.h5", b"")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (truncated, "is a damaged or incomplete zip file"),
        (flipped, "cannot be unpacked"),
        (web_page, "is a web page, not the file"),
        (lambda archive: archive.write_bytes(b""), "is empty"),
        (climbing, "would be written outside the folder"),
        (linked, "is a link"),
        (damaged_inside, "img.h5"),
    ],
    ids=["truncated", "corrupt", "web page", "empty", "climbing", "link", "damaged inside"],
)
def test_nothing_is_made_of_what_is_damaged_or_hostile(run, here, archive, tmp_path, spoil, said):
    spoil(archive)
    outside = files_in(tmp_path)
    status, _, err = run("em_r50", "--from", archive, ACCEPT)
    assert status == 2
    assert said in err
    assert files_in(here) == ["datasets/jwr15/dataset.yaml"]  # what was accepted
    assert set(files_in(tmp_path)) - set(outside) == {"here/datasets/jwr15/dataset.yaml"}


@pytest.mark.parametrize("spoil", [truncated, flipped, web_page])
def test_a_damaged_download_is_out_of_the_way(run, here, archive, server, spoil):  # noqa: F811
    good = archive.read_bytes()
    spoil(archive)
    server.add(archive.name, archive.read_bytes())
    status, _, err = run("em_r50", "--mirror", server.url, ACCEPT)
    assert status == 2
    assert "It has been removed: give the command again." in err
    assert "datasets/jwr15/download/jwr15_synapse.zip" not in files_in(here)
    server.add(archive.name, good)
    assert run("em_r50", "--mirror", server.url, ACCEPT)[0] == 0


def test_a_bomb_is_not_set_off(run, here, archive, monkeypatch):
    bounds = replace(exchange.EM_R50.bounds, unpacked=10_000)
    monkeypatch.setitem(exchange.DATASETS, "em_r50", replace(exchange.EM_R50, bounds=bounds))
    status, _, err = run("em_r50", "--from", archive, ACCEPT)
    assert status == 2
    assert "would take more than 10 kB unpacked" in err


@pytest.mark.parametrize("name", ["em_r50", "vnc", "cremi"])
def test_what_was_stopped_while_it_moved_files_goes_on(run, here, tmp_path, name):
    sources = tutorial_sources(name, tmp_path, random_volume)
    status, out, _ = run(name, ACCEPT, "--from", *sources)
    assert status == 0
    (to,) = (here / "datasets").iterdir()
    made, record = files_in(to), yaml.safe_load((to / "dataset.yaml").read_text())
    (to / "dataset.yaml").unlink()
    (to / sorted(record["made"])[0]).unlink()
    assert run(name, ACCEPT, "--from", *sources) == (0, out, "")
    assert files_in(to) == made
    assert yaml.safe_load((to / "dataset.yaml").read_text())["made"] == record["made"]


def test_nothing_is_overwritten(run, here, archive):
    to = here / "datasets" / "jwr15"
    save_volume(to / "img.h5", IMAGE[:5])
    status, _, err = run("em_r50", "--from", archive, ACCEPT)
    assert status == 2
    assert "datasets/jwr15/img.h5: is there already." in err
    assert read_volume(to / "img.h5").shape[0] == 5
    assert not (to / "syn.h5").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("em_r50", "--from", "none.zip", ACCEPT), "none.zip: no such file or folder."),
        (("em_r50", "--to", "file", "--from", "none.zip", ACCEPT), "file"),
    ],
)
def test_places_that_are_none(run, here, arguments, said):
    (here / "file").write_text("")
    status, _, err = run(*arguments)
    assert status == 2
    assert said in err


def test_a_folder_of_another_dataset(run, here, archive, tmp_path):
    assert run("em_r50", "--from", archive, "--to", "mine", ACCEPT)[0] == 0
    status, _, err = run("vnc", "--from", archive, "--to", "mine", ACCEPT)
    assert status == 2
    assert "mine: holds another dataset, em_r50." in err


@pytest.fixture
def samples(tmp_path, monkeypatch, server):  # noqa: F811
    """The three samples of CREMI on a server, and their sums in the record."""
    (tmp_path / "samples").mkdir()
    image, label = np.tile(IMAGE[:40], (1, 1, 1)), boxes((40, 24, 16))
    files, remotes = {}, []
    for remote in exchange.CREMI.files:
        file = cremi(tmp_path / "samples" / remote.name, image, label)
        files[remote.name] = server.add(remote.name, file.read_bytes())
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        remotes.append(replace(remote, url=f"{server.url}/{remote.name}", sha256=digest))
    dataset = replace(exchange.CREMI, files=tuple(remotes))
    monkeypatch.setitem(exchange.DATASETS, "cremi", dataset)
    return files


NAMES = [f"sample_{letter}_20160501.hdf" for letter in "ABC"]


def test_samples_are_downloaded_and_compared_with_their_sums(run, here, samples):
    status, out, err = run("cremi", ACCEPT)
    assert (status, err) == (0, "")
    assert out.count("(as torch-em records it)") == 3
    to = here / "datasets" / "cremi"
    assert files_in(to) == ["dataset.yaml", "download/.lock", *NAMES]


def test_a_damaged_sample_is_removed_and_the_others_are_kept(run, here, samples):
    whole = samples[NAMES[1]].content
    samples[NAMES[1]].content = whole[:-1] + b"x"
    status, _, err = run("cremi", ACCEPT)
    assert status == 2
    assert "torch-em records" in err
    to = here / "datasets" / "cremi"
    assert set(files_in(to / "download")) == {".lock", NAMES[0], NAMES[2]}
    samples[NAMES[1]].content = whole
    assert run("cremi")[0] == 0
    assert [len(samples[name].asked) for name in NAMES] == [1, 2, 1]


def test_an_interrupted_download_goes_on(run, here, samples):
    samples[NAMES[2]].breaks = [10_000] + [0] * 10
    status, _, err = run("cremi", ACCEPT)
    assert status == 2
    assert "The same command goes on where it stands." in err
    samples[NAMES[2]].breaks = []
    assert run("cremi")[0] == 0
    assert samples[NAMES[2]].asked[-1] == "bytes=10000-"


def test_samples_may_come_one_by_one(run, here, samples, tmp_path):
    folder = tmp_path / "samples"
    status, _, err = run("cremi", ACCEPT, "--from", folder / NAMES[0], folder / NAMES[2])
    assert status == 2
    assert f"{NAMES[1]} is still missing for syn_cremi" in err
    status, _, err = run("cremi", "--from", folder / NAMES[1])
    assert (status, err) == (0, "")
    record = yaml.safe_load((here / "datasets" / "cremi" / "dataset.yaml").read_text())
    assert sorted(record["made"]) == NAMES
    assert sorted(entry["file"] for entry in record["sources"]) == NAMES


def test_a_renamed_sample_is_known_by_its_sum(run, samples, tmp_path):
    renamed = (tmp_path / "samples" / NAMES[0]).rename(tmp_path / "sample_A_mine.hdf")
    _, out, _ = run("cremi", ACCEPT, "--from", renamed)
    assert "(as torch-em records it)" in out
    assert "sample_A_mine.hdf stands for sample_A_20160501.hdf" in out


def test_another_sum_of_an_archive_packed_on_demand_is_said(run, tmp_path, server):  # noqa: F811
    shape = (20, 24, 16)
    folder = vnc(tmp_path / "v", IMAGE[:20], boxes(shape))
    name = exchange.VNC.files[0].name
    server.add(name, zipped(tmp_path / name, folder, "master/").read_bytes())
    status, out, err = run("vnc", ACCEPT, "--mirror", server.url)
    assert (status, err) == (0, "")
    assert "torch-em records f7bd0db0" in out
    assert "packs it anew" in out


SMALL = [
    "model/rsunet=small",
    "data/augmentation=light",
    "data.dataloader.patch_size=[6,48,48]",
    "data.dataloader.batch_size=1",
    "data.dataloader.num_workers=0",
    "data.num_val_patches=1",
    "optimization.max_steps=2",
    "optimization.n_steps_per_epoch=2",
    "inference.window.window_size=[6,48,48]",
    "inference.test_time_augmentation.enabled=false",
    "system.num_threads=1",
]


def random_volume(shape=(100, 24, 16)):
    """An image and labels that nobody could learn."""
    label = boxes(shape)
    image = np.random.default_rng(4).integers(0, 255, shape, np.uint8)
    return image, np.where(label > 0, 2 * label - np.arange(shape[2]) % 2, 0)


def tutorial_sources(name, tmp_path, volume):
    """The archive, or the files, of a dataset in a small form."""
    if name == "em_r50":
        image, label = volume()
        folder = em_r50(tmp_path / "s", {"vol3/{}_Yx2": (image, semantic(label))})
        return [zipped(tmp_path / "jwr15_synapse.zip", folder)]
    if name == "vnc":
        image, label = volume((20, 128, 128))
        return [zipped(tmp_path / "vnc.zip", vnc(tmp_path / "s", image, label), "master/")]
    (tmp_path / "s").mkdir()
    image, label = volume((20, 128, 128))
    names = (NAMES[0], "sample_B_padded_20160501.hdf", NAMES[2])
    return [
        cremi(tmp_path / "s" / n, image, (label + 1) // 2, padding=(3 * ("padded" in n),) * 3)
        for n in names
    ]


@pytest.mark.parametrize(
    ("name", "to"), [("em_r50", "it's mine"), ("vnc", None), ("cremi", "mine")]
)
def test_the_tutorial_finds_what_was_made(run, tmp_path, name, to):
    sources = tutorial_sources(name, tmp_path, random_volume)
    place = ["--to", to] if to else []
    status, out, err = run(name, ACCEPT, *place, "--from", *sources)
    assert (status, err) == (0, "")
    commands = list(told(out))
    assert len(commands) == (2 if name == "vnc" else 1)  # one for a CPU, too
    for tutorial, *overrides in commands:
        assert bool(overrides) == bool(to)
        config = load_config(tutorial, mode="test", overrides=overrides).config
        assert check_data(config.data, "test") == []


def told(out):
    """The tutorial and the overrides of each command that was printed."""
    for typed in re.findall(r"^(?:to train|on a CPU): python scripts/main.py (.*)$", out, re.M):
        words = shlex.split(typed)
        assert words[0] == "--config"
        yield words[1:]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["em_r50", "vnc", "cremi"])
def test_the_tutorial_runs_on_what_was_made(run, here, tmp_path, name, capsys):
    status, out, _ = run(name, ACCEPT, "--from", *tutorial_sources(name, tmp_path, polarity_volume))
    assert status == 0
    (tutorial, *overrides), *_ = told(out)
    options = ["--config", tutorial, *overrides, *SMALL]
    assert main(options) == 0, capsys.readouterr().err
    (checkpoint,) = here.glob("outputs/*/*/checkpoints/last.ckpt")
    assert main([*options, "--mode", "test", "--checkpoint", str(checkpoint)]) == 0
    scores = json.loads((checkpoint.parents[1] / "results" / "scores.json").read_text())
    assert scores["pooled"]
