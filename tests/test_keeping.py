"""What becomes of earlier results when new ones take their names."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from connectomics.keeping import keep_earlier, replacing
from connectomics.process.signals import Stopped, stopping


def test_an_older_result_is_kept_when_a_new_one_takes_its_name(tmp_path):
    result = tmp_path / "labels.h5"
    assert keep_earlier(result) is None
    kept = []
    for text in ("first", "second"):
        result.write_text(text)
        os.utime(result, (1_000_000, 1_000_000))  # both of the same second
        kept.append(keep_earlier(result))
    assert not result.exists()
    assert [path.read_text() for path in kept] == ["first", "second"]
    assert all(path.parent.parent == tmp_path / "earlier" for path in kept)


def test_a_companion_overwrites_none_that_was_kept_in_the_same_second(tmp_path):
    table, labels = tmp_path / "synapses.csv", tmp_path / "labels.h5"
    for text in ("first", "second"):
        for path in (labels, table):
            path.write_text(text)
            os.utime(path, (1_000_000, 1_000_000))
        if text == "second":
            labels, table = table, labels  # now the table leads
        keep_earlier(labels, table)
    kept = sorted((tmp_path / "earlier").glob("*/*"))
    assert [path.read_text() for path in kept] == ["first", "first", "second", "second"]


def test_what_was_made_together_is_kept_together(tmp_path):
    study, preset = tmp_path / "study", tmp_path / "decoding" / "tuned.yaml"
    preset.parent.mkdir()
    study.write_text("study")
    preset.write_text("preset")
    kept = keep_earlier(study, preset, tmp_path / "not there")
    assert kept is not None
    assert (kept.parent / "decoding" / "tuned.yaml").read_text() == "preset"
    assert not preset.exists()
    preset.write_text("another")
    assert keep_earlier(study, preset) is None  # no study, so this preset belongs to none
    assert preset.exists()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_of_new_results_takes_its_name_last(folder, monkeypatch):
    """It carries the digest by which the others count as made."""
    names, rename = [], Path.rename

    def noted(path: Path, target: Path) -> Path:
        names.append(Path(target).name)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", noted)
    with replacing(folder / "labels.h5", folder / "synapses.csv") as new:
        for path in new:
            path.touch()
    assert names[-2:] == ["synapses.csv", "labels.h5"]


def write(*paths: Path, text: str, about: str = "", stale: tuple[Path, ...] = ()) -> None:
    config = {paths[0].with_suffix(".config.yaml"): about}
    with replacing(*paths, stale=stale, about=config) as new:
        for path in new:
            path.write_text(text)


def files(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in found}


def test_one_act_of_keeping_is_one_folder_with_its_config_and_one_line(folder, capsys):
    scores, picture, curve = (folder / name for name in ("s.txt", "vol/c.png", "curve.csv"))
    write(scores, picture, curve, text="first", about="config of the first")
    for age, path in enumerate((picture, scores, curve)):
        os.utime(path, (10**6 * (age + 1),) * 2)
    write(scores, picture, text="second", about="config of the second", stale=(curve,))
    (kept,) = (folder / "earlier").iterdir()
    said = ["first"] * 3
    names = ["curve.csv", "s.config.yaml", "s.txt", "vol/c.png"]
    texts = ["first", "config of the first", *said[:2]]
    assert files(kept) == dict(zip(names, texts, strict=True))
    there = {"s.config.yaml": "config of the second", "s.txt": "second", "vol/c.png": "second"}
    assert {k: v for k, v in files(folder).items() if not k.startswith("earlier")} == there
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith(f"is kept in {kept}")


def test_what_is_the_same_stays_as_it_is(folder, capsys):
    paths = folder / "s.txt", folder / "m.csv"
    write(*paths, text="first", about="then")
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    write(*paths, text="first", about="now")
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    said = "  what was there (s.txt, m.csv) is the same to the last bit, and stays\n"
    assert capsys.readouterr().out == said


def test_where_writing_fails_everything_stays(folder):
    write(folder / "s.txt", text="first", about="then")
    before = files(folder)

    def fail() -> None:
        with replacing(folder / "s.txt") as (new,):
            new.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert files(folder) == before


def test_what_says_how_it_came_about_is_written_first(tmp_path):
    text, labels = tmp_path / "labels.config.yaml", tmp_path / "labels.zarr"
    with replacing(labels, about={text: "steps: []"}) as (new,):
        assert new.with_name(text.name).read_text() == "steps: []"
        new.mkdir()
        (new / "zarr.json").write_text("{}")
    assert labels.is_dir()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_waits_until_all_have_taken_their_places(tmp_path, monkeypatch, number):
    paths = [tmp_path / "labels.h5", tmp_path / "synapses.csv"]
    for path in paths:
        path.write_text("first")
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        os.kill(os.getpid(), number)
        return rename(self, target)

    def work() -> None:
        with stopping(), replacing(*paths) as new:
            for path in new:
                path.write_text("second")
            monkeypatch.setattr(Path, "rename", interrupted)
        time.sleep(5)

    with pytest.raises(Stopped):
        work()
    assert [path.read_text() for path in paths] == ["second", "second"]
    kept = sorted((tmp_path / "earlier").glob("*/*"))
    assert [path.read_text() for path in kept] == ["first", "first"]
