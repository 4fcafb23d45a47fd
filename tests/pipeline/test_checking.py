"""`--check` of a training and of a test, on a tiny network that is trained already."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path

import pytest
from main import main

from connectomics.data.volumes import MemoryVolume
from connectomics.pipeline.checking import _try_training
from connectomics.pipeline.components import read_config


@pytest.fixture
def there(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder with volumes, `my.yaml` and a run."""
    folder = tmp_path / "tiny"
    shutil.copytree(trained, folder)
    monkeypatch.chdir(folder)
    return folder


def test_a_test_is_looked_at_with_its_checkpoint(there: Path, capsys) -> None:
    (run,) = (path.parent for path in there.glob("outputs/tiny/*/checkpoints"))
    named = str(run.relative_to(there))
    before = set(run.rglob("*"))
    assert main(["--config", "my.yaml", "--check", "--mode", "test", "--checkpoint", named]) == 0
    said = capsys.readouterr().out
    assert "test      vol.h5: 14 x 50 x 46 voxels of 30 x 8 x 8 nm" in said
    assert "train " not in said
    assert "note      vol: training learned from" in said
    assert "plan: vol (14, 50, 46): at once" in said
    assert "plan:   memory: " in said
    assert "pictures  outputs/tiny/check/test.png" in said
    assert (there / "outputs/tiny/check/test.png").is_file()
    command = f"scripts/main.py --config my.yaml --mode test --checkpoint {named}/checkpoints/"
    assert command in said
    assert set(run.rglob("*")) == before  # nothing is predicted yet


def test_without_a_checkpoint_the_newest_is_offered(there: Path, capsys) -> None:
    command = ["--config", "my.yaml", "--check", "--mode", "test"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "a --checkpoint tells how long a test takes" in said
    assert "also learned from" in said  # vol.h5 is trained and tested on
    assert "--mode test --checkpoint outputs/tiny/" in said
    shutil.rmtree("outputs")
    assert main(command) == 0
    assert capsys.readouterr().out.endswith(
        "to train first:\n    python scripts/main.py --config my.yaml\n"
    )


def test_what_a_test_would_refuse_is_refused(there: Path, capsys) -> None:
    check = ["--config", "my.yaml", "--check"]
    assert main([*check, "--mode", "test", "data.test.label=none.h5"]) == 2
    assert "none.h5: no such file" in capsys.readouterr().err
    assert main([*check, "--mode", "tune"]) == 2
    assert "looks at a training or at a test, not at tune" in capsys.readouterr().err
    assert main([*check, "--checkpoint", "outputs/tiny"]) == 2
    assert "or look at a test: --mode test" in capsys.readouterr().err


def test_of_a_training_that_was_tried_nothing_stays_in_memory(there: Path) -> None:
    tried = _try_training(read_config("my.yaml").config, there / "check")
    gc.collect()
    held = [one for one in gc.get_objects() if isinstance(one, MemoryVolume)]
    assert [one.name for one in held if one.name.startswith(("vol", "syn"))] == []
    assert [volume.name for volume in tried.learned] == ["vol"]
