from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from connectomics.errors import CheckpointError, DataError
from connectomics.pipeline.results import require_checkpoint, run_of
from connectomics.runs import (
    RunFolder,
    git_revision,
    new_run,
    provenance_of,
    run_of_checkpoint,
    write_provenance,
)


def test_two_runs_never_share_a_folder(tmp_path):
    runs = {new_run(tmp_path / "exp").path for _ in range(3)}
    assert len(runs) == 3
    assert all(path.is_dir() and path.parent == tmp_path / "exp" for path in runs)


def test_a_save_path_that_is_a_file_is_named(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(DataError, match=r"taken.*cannot be written"):
        new_run(tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


def test_the_run_of_a_checkpoint_is_found_by_its_config(tmp_path):
    run = RunFolder(tmp_path / "run")
    checkpoint = run.path / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert run_of_checkpoint(checkpoint) is None
    (run.path / "config.yaml").touch()
    assert run_of_checkpoint(checkpoint) == run
    assert run_of_checkpoint(tmp_path / "last.ckpt") is None


def test_a_run_is_called_as_it_is_typed_from_here(tmp_path, monkeypatch):
    run = new_run(tmp_path / "outputs" / "my")
    (run.path / "checkpoints").mkdir()
    (run.path / "config.yaml").touch()
    checkpoint = run.path / "checkpoints" / "last.ckpt"
    name = Path("outputs/my") / run.path.name
    elsewhere = run_of(Path("other.ckpt"), str(tmp_path / "outputs" / "my"))
    assert elsewhere.path == tmp_path / "outputs" / "my" / "other"
    monkeypatch.chdir(tmp_path)
    for typed in (checkpoint, name / "checkpoints" / "last.ckpt"):
        found = run_of_checkpoint(typed)
        assert found
        assert found.path == run_of(typed, "").path == name
    assert run_of(Path("other.ckpt"), str(tmp_path / "outputs")).path == Path("outputs/other")
    checkpoint.touch()
    with pytest.raises(CheckpointError, match="needs one") as error:
        require_checkpoint(None, str(tmp_path / "outputs" / "my"), "test")
    assert f"--checkpoint {name / 'checkpoints' / 'last.ckpt'}, the newest" in str(error.value)


def test_provenance_says_how_a_result_came_about(tmp_path):
    about = provenance_of("system: {seed: 3}\n", seed=3, notes={"resumed_from": "x.ckpt"})
    write_provenance(tmp_path, about)
    assert (tmp_path / "config.yaml").read_text() == "system: {seed: 3}\n"
    provenance = yaml.safe_load((tmp_path / "provenance.yaml").read_text())
    assert provenance["seed"] == 3
    assert provenance["resumed_from"] == "x.ckpt"
    assert provenance["packages"]["numpy"][0].isdigit()
    assert provenance["git_revision"] == git_revision()
    assert provenance["command"]
    one = about.one_text()
    assert yaml.safe_load(one) == {"system": {"seed": 3}}
    comments = "\n".join(line.removeprefix("# ") for line in one.partition("\n\n")[0].splitlines())
    assert yaml.safe_load(comments) == provenance
