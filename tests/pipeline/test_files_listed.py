"""docs/tables.md lists whatever a run leaves."""

from __future__ import annotations

import re
import shutil
from fnmatch import fnmatch
from pathlib import Path

from tests.pipeline.tiny_run import TinyRun

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def listed() -> list[str]:
    """The files of the first table, the names of volumes and of the best checkpoint left open."""
    table = PAGE.read_text(encoding="utf-8").partition("| file |")[2].partition("\n\n")[0]
    found = []
    for row in table.splitlines()[2:]:
        names = re.findall(r"`([^`]*)`", row.split("|")[1])
        folder = names[0].rpartition("/")[0]
        for name in names:
            if name.startswith("."):  # the same in another form
                name = names[0].rpartition(".")[0] + name
            alone = name != names[0] and "/" not in name[:-1]
            place = f"{folder}/{name}" if alone and folder else name
            found.append(re.sub("<[^>]*>", "*", place) + ("*" if place.endswith("/") else ""))
    return found


def test_every_file_of_a_run_is_listed(trained, tmp_path, monkeypatch, capsys) -> None:
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    tiny = TinyRun(capsys)
    names = listed()
    for thres in ("0.6", "0.7"):  # the second goes in the place of the first
        step = f"decoding.steps=[{{name: polarity2instance, kwargs: {{thres: {thres}}}}}]"
        tiny("test", step, "decoding.exports=[cave,cremi,neuroglancer]")
    files = [str(p.relative_to(tiny.run)) for p in tiny.run.rglob("*") if p.is_file()]
    assert [file for file in files if not any(fnmatch(file, name) for name in names)] == []
    for file in ("results/vol/labels.config.yaml", "results/vol/neuroglancer/", "results/earlier/"):
        assert any(one.startswith(file) for one in files)
