"""The file of a study: torn, killed, on a full disk, or in use; nothing is lost or made twice."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable

import pytest

from connectomics.errors import DataError
from connectomics.tuning import open_search, trials_of
from connectomics.tuning.journal import alone_with
from connectomics.tuning.study import STUDY_FILE

TRIALS = 14  # some by the sampler, which begins after ten


def run(search, folder, trials=TRIALS):
    study = open_search(folder, search)
    search.run(study, trials, progress=False)
    return [trial._replace(seconds=0.0) for trial in trials_of(study)]


def in_a_process(work: Callable[[], object]) -> int:
    """The status with which a copy of this process ends after some work."""
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.fixture
def search(hill, make_search):
    return lambda **changes: make_search(hill(0.7, 0.6), **changes)


def test_a_finished_trial_is_one_line(search, tmp_path):
    run(search(), tmp_path, 3)
    before = (tmp_path / STUDY_FILE).read_bytes().splitlines()
    run(search(), tmp_path, 4)
    after = (tmp_path / STUDY_FILE).read_bytes().splitlines()
    assert after[:-1] == before


def test_a_file_cut_at_any_byte_goes_on_as_if_nothing_had_happened(search, tmp_path, capsys):
    whole = run(search(), tmp_path)
    content = (tmp_path / STUDY_FILE).read_bytes()
    last = content.rstrip(b"\n").rfind(b"\n") + 1
    for cut in (0, 3, 40, len(content) // 2, last - 1, last + 1, len(content) - 1):
        capsys.readouterr()
        (tmp_path / STUDY_FILE).write_bytes(content[:cut])
        assert run(search(), tmp_path) == whole
        assert ("was cut short, and is left out" in capsys.readouterr().out) == (cut > 0)
    assert not (tmp_path / "earlier").exists()


def test_what_follows_a_broken_line_is_kept(search, tmp_path, capsys):
    whole = run(search(), tmp_path)
    file = tmp_path / STUDY_FILE
    lines = file.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*lines[:6], lines[6][:20] + lines[7], *lines[8:]])
    file.write_bytes(damaged)
    assert run(search(), tmp_path) == whole
    assert "is damaged, and goes on from what is whole" in capsys.readouterr().out
    (kept,) = tmp_path.glob(f"earlier/*/{STUDY_FILE}")
    assert kept.read_bytes() == damaged


@pytest.mark.parametrize("kills_at", [1, 4, 13])
def test_killed_in_a_trial_or_while_it_is_written(search, hill, make_search, tmp_path, kills_at):
    whole = run(search(), tmp_path / "whole")

    def kill(visits: int) -> None:
        if visits == 2 * kills_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def kill_in_writing() -> None:
        os.fsync = lambda number: os.kill(os.getpid(), signal.SIGKILL)
        run(search(), tmp_path / "killed")

    killed = make_search(hill(0.7, 0.6, hook=kill))
    assert in_a_process(lambda: run(killed, tmp_path / "killed")) == signal.SIGKILL
    assert in_a_process(kill_in_writing) == signal.SIGKILL
    assert run(search(), tmp_path / "killed") == whole


def test_a_lock_that_a_killed_program_of_optuna_left_is_no_obstacle(search, tmp_path):
    whole = run(search(), tmp_path)
    (tmp_path / f"{STUDY_FILE}.lock").symlink_to(tmp_path / STUDY_FILE)
    assert run(search(), tmp_path) == whole


def test_a_full_disk_loses_the_trial_under_way_and_nothing_else(
    search, hill, make_search, tmp_path
):
    whole = run(search(), tmp_path / "whole")
    file = tmp_path / "full" / STUDY_FILE
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(visits: int) -> None:
        if visits == 8:  # a part of the next line fits
            limit = file.stat().st_size + 100
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))

    full = make_search(hill(0.7, 0.6, hook=fill))
    try:
        with pytest.raises(DataError, match=r"study\.journal: cannot be written"):
            run(full, tmp_path / "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.read_bytes().endswith(b"}\n")
    assert run(search(), tmp_path / "full", 4) == whole[:4]
    assert run(search(), tmp_path / "full") == whole


def test_two_programs_do_not_share_a_study(search, tmp_path):
    run(search(), tmp_path, 2)
    study = open_search(tmp_path, search())
    with (
        alone_with(tmp_path / STUDY_FILE),
        pytest.raises(DataError, match="being searched by another program"),
    ):
        open_search(tmp_path, search())
    with (
        alone_with(tmp_path / STUDY_FILE),
        pytest.raises(DataError, match="being searched by another program"),
    ):
        search().run(study, 3, progress=False)
