"""What `provide` does with any artifact: leaves it, makes it anew, goes on with it or refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from connectomics.blocks import open_ledger, working_on
from connectomics.data.cache_key import CacheKey, key_in
from connectomics.errors import DataError, MachineError
from connectomics.geometry import Triple
from connectomics.keeping import replacing
from connectomics.pipeline import artifact
from connectomics.pipeline.artifact import Artifact, provide, with_block

SIZE = (2, 4, 4)


@dataclass
class Note(Artifact):
    """A text file that says what it was made from."""

    file: Path
    parts: dict[str, Any]
    made: list[str] = field(default_factory=list)
    after: Sequence[Artifact] = ()
    size: Triple | None = None
    given: bool = False
    lack: str = ""
    whole: bool = True
    stage: ClassVar[str] = "write"
    making: ClassVar[str] = "writing"

    @property
    def path(self) -> Path:
        return self.file

    @property
    def block_is_given(self) -> bool:
        return self.given

    def upstream(self) -> Sequence[Artifact]:
        return self.after

    def made_from(self) -> CacheKey | None:
        return key_in(json.loads(self.path.read_text())) if self.path.exists() else None

    def block(self) -> Triple | None:
        return self.size

    def key(self, block: Triple | None) -> CacheKey:
        return CacheKey(with_block(self.parts, block))

    def lacks(self) -> str:
        return self.lack

    def make(self, key: CacheKey, block: Triple | None) -> bool:
        if block is not None:
            open_ledger(self.in_progress, key.parts, "notes")
        self.made.append(self.path.stem)
        if self.whole:
            with replacing(self.path) as (new,):
                new.write_text(json.dumps(key.attributes()))
        return self.whole


@pytest.fixture
def note(tmp_path: Path) -> Note:
    return Note(tmp_path / "note.json", {"thres": 0.5})


def test_it_is_made_once(note: Note, capsys: pytest.CaptureFixture[str]) -> None:
    assert provide(note)
    assert "up to date" not in capsys.readouterr().out
    assert provide(note)
    assert capsys.readouterr().out == f"write: {note.path} is up to date\n"
    assert note.made == ["note"]


def test_another_is_made_anew_and_the_earlier_kept(note: Note, capsys) -> None:
    provide(note)
    before = note.path.read_text()
    note.parts = {"thres": 0.7}
    assert provide(note)
    said, kept = capsys.readouterr().out.splitlines()
    assert said == (
        f"write: {note.path} was made with other settings or data: thres was 0.5 and is 0.7; "
        "writing anew, the earlier goes to earlier/"
    )
    (earlier,) = note.path.parent.glob("earlier/*/note.json")
    assert str(earlier.parent) in kept
    assert earlier.read_text() == before


def test_what_is_not_whole_is_made_anew(note: Note, capsys) -> None:
    provide(note)
    note.lack = "lacks a page"
    provide(note)
    assert f"{note.path} lacks a page; writing anew" in capsys.readouterr().out
    assert note.made == ["note", "note"]


def test_one_that_does_not_say_what_it_was_made_from_is_kept(note: Note, capsys) -> None:
    note.path.write_text('{"of an earlier version": 1}')
    provide(note)
    assert "was made with" not in capsys.readouterr().out
    (earlier,) = note.path.parent.glob("earlier/*/note.json")
    assert "an earlier version" in earlier.read_text()


def test_any_size_of_blocks_will_do_unless_one_is_given(note: Note) -> None:
    note.size = SIZE
    provide(note)
    assert not note.in_progress.exists()
    note.size = None
    provide(note)
    assert note.made == ["note"]
    note.given = True
    provide(note)
    assert note.made == ["note", "note"]


def test_what_is_begun_is_finished_with_the_same_key_or_refused(note: Note) -> None:
    note.size, note.whole = SIZE, False
    assert not provide(note)
    assert note.in_progress.is_dir()
    note.whole = True
    note.parts = {"thres": 0.7}
    with pytest.raises(DataError, match=r"begun with other .*: thres was 0.5 and is 0.7"):
        provide(note)
    note.parts = {"thres": 0.5}
    assert provide(note)
    assert not note.in_progress.exists()


def test_blocks_that_are_begun_with_other_settings_outlive_what_is_up_to_date(note: Note) -> None:
    provide(note)
    now, note.parts, note.size, note.whole = note.parts, {"thres": 0.7}, SIZE, False
    assert not provide(note)
    begun = json.loads((note.in_progress / "key.json").read_text())
    note.parts, note.size = now, None
    assert provide(note)
    assert note.made == ["note", "note"]
    assert json.loads((note.in_progress / "key.json").read_text()) == begun
    # What was killed when it was through with this very one has left nothing of worth.
    (note.in_progress / "key.json").write_text(json.dumps(now))
    assert provide(note)
    assert not note.in_progress.exists()


def test_one_command_at_a_time_makes_it_at_once_or_by_block(note: Note) -> None:
    for note.size in (None, SIZE):
        with working_on(note.in_progress), pytest.raises(MachineError, match="another command"):
            provide(note)
        assert note.made == []
    with working_on(note.in_progress):
        pass
    note.size = None
    assert provide(note)
    assert not note.in_progress.exists()


def test_what_another_command_has_just_made_is_not_made_again(note: Note, monkeypatch) -> None:
    other = Note(note.path, note.parts)
    with monkeypatch.context() as patch:

        def made_before(folder: Path, shard: object) -> AbstractContextManager[None]:
            patch.undo()
            provide(other)
            return working_on(folder)

        patch.setattr(artifact, "working_on", made_before)
        assert provide(note)
    assert (other.made, note.made) == (["note"], [])


def test_what_others_are_made_from_comes_first_of_all(note: Note, tmp_path: Path) -> None:
    made: list[str] = []
    ups = [Note(tmp_path / f"up_{i}.json", {}, made) for i in range(2)]
    downs = [Note(tmp_path / f"down_{i}.json", {}, made, [ups[i]]) for i in range(2)]
    assert provide(*downs)
    assert made == ["up_0", "up_1", "down_0", "down_1"]


def test_nothing_is_made_of_what_other_shards_have_yet_to_finish(note: Note, tmp_path) -> None:
    note.whole = False
    down = Note(tmp_path / "down.json", {}, after=[note])
    assert not provide(down)
    assert (note.made, down.made) == (["note"], [])
