"""The search: seeded, resumable, pruned, interruptible, never mixed with another."""

from __future__ import annotations

import os
import re
import signal
import threading

import pytest

from connectomics.errors import ConfigError, DataError
from connectomics.process.signals import STOPPING
from connectomics.tuning import Choices, Range, best_of, open_search, require_optuna, trials_of
from connectomics.tuning.search import STARTUP_TRIALS
from connectomics.tuning.study import STUDY_FILE


def run(search, folder, trials):
    """The trials after a search, without how long they took."""
    study = open_search(folder, search)
    search.run(study, trials, progress=False)
    return [trial._replace(seconds=0.0) for trial in trials_of(study)]


def test_it_finds_the_top(hill, make_search, tmp_path):
    trials = run(make_search(hill(0.7)), tmp_path, 40)
    assert len(trials) == 40
    assert best_of(trials).score > 0.98
    assert [trial.number for trial in trials] == list(range(40))


def test_trial_0_has_the_configured_settings_to_the_last_digit(hill, make_search, tmp_path):
    trials = run(make_search(hill(0.5), configured={"x": 0.123456789}), tmp_path, 2)
    assert trials[0].settings == {"x": 0.123456789}
    assert trials[1].settings != trials[0].settings


@pytest.mark.parametrize("configured", [1.5, 0.0])
def test_also_where_they_are_not_in_the_space(hill, make_search, tmp_path, configured):
    space = {"x": Range(0.1, 1.0, log=True)}
    search = make_search(hill(configured), space=space, configured={"x": configured})
    trials = run(search, tmp_path, 12)
    assert trials[0].settings == {"x": configured}
    assert best_of(trials) == trials[0]  # nothing in the space is as good
    assert all(0.1 <= trial.settings["x"] <= 1 for trial in trials[1:])


def test_of_equals_the_first_is_the_best(hill, make_search, tmp_path):
    flat = hill(0.3)
    flat.decode = lambda volume, settings: 0.5
    assert best_of(run(make_search(flat), tmp_path, 12)).number == 0


def test_going_on_is_as_if_it_had_not_stopped(hill, make_search, tmp_path):
    whole = run(make_search(hill(0.7)), tmp_path / "whole", 24)
    for trials in (3, 11, 24, 24):
        parts = run(make_search(hill(0.7)), tmp_path / "parts", trials)
        assert parts == whole[:trials]
    assert run(make_search(hill(0.7), seed=4), tmp_path / "other", 24)[1:] != whole[1:]


def test_a_study_that_has_its_trials_is_left(hill, make_search, tmp_path):
    run(make_search(hill(0.7)), tmp_path, 5)
    again = hill(0.7)
    assert len(run(make_search(again), tmp_path, 4)) == 5
    assert again.visits == 1  # the best settings, to see that they still score the same


def test_settings_that_come_again_are_not_decoded_again(hill, make_search, tmp_path):
    few = hill(1.0)
    search = make_search(few, space={"x": Choices((0.0, 0.5, 1.0))}, configured={"x": 0.5})
    trials = run(search, tmp_path, 25)
    assert few.visits == 3
    assert best_of(trials).settings == {"x": 1.0}


def test_with_several_volumes_bad_trials_are_cut_short(hill, make_search, tmp_path):
    seen = hill(0.9, 0.8, 0.7)
    trials = run(make_search(seen), tmp_path, 40)
    pruned = [trial for trial in trials if trial.state == "pruned"]
    complete = [trial.settings["x"] for trial in trials if trial.state == "complete"]
    again = len(complete) - len(set(complete))
    assert pruned
    assert seen.visits == 3 * (40 - again) - sum(_unseen(trial) for trial in pruned)
    assert all(trial.number > STARTUP_TRIALS for trial in pruned)
    best = best_of(trials)
    assert best.state == "complete"
    assert all(trial.score < best.score for trial in pruned)


def _unseen(trial) -> int:
    """How many of the three volumes a pruned trial did not see."""
    tops, x = (0.9, 0.8, 0.7), trial.settings["x"]
    first = 1 - abs(x - tops[0])
    return 2 if trial.score == pytest.approx(first) else 1


def test_one_volume_is_never_cut_short(hill, make_search, tmp_path):
    assert {trial.state for trial in run(make_search(hill(0.9)), tmp_path, 30)} == {"complete"}


def test_settings_that_the_decoder_refuses_are_bad_ones(hill, make_search, tmp_path):
    picky = hill(0.7)
    decode = picky.decode

    def refuse(volume, settings):
        if settings["x"] > 0.5:
            raise ConfigError("decode.x", "is too large.")
        return decode(volume, settings)

    picky.decode = refuse
    trials = run(make_search(picky), tmp_path / "a", 15)
    refused = [trial for trial in trials if trial.settings["x"] > 0.5]
    assert refused
    assert all(trial.score is None and trial.state == "pruned" for trial in refused)
    with pytest.raises(ConfigError, match="too large"):  # what is configured has to work
        run(make_search(picky, configured={"x": 0.6}), tmp_path / "b", 15)


# Another search ------------------------------------------------------------------------------


def test_the_study_of_another_search_is_set_aside(hill, make_search, tmp_path, capsys):
    first = run(make_search(hill(0.7)), tmp_path, 4)
    for name in ("trials.csv", "search.png", "decoding/tuned.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    capsys.readouterr()
    other = make_search(hill(0.2), identity={"decoder": "hill", "metric": "PQ"})
    second = run(other, tmp_path, 3)
    assert "with other settings or data: metric was" in capsys.readouterr().out
    assert len(second) == 3
    (kept,) = (tmp_path / "earlier").iterdir()
    assert {path.relative_to(kept).as_posix() for path in kept.rglob("*.*")} == {
        STUDY_FILE, "trials.csv", "search.png", "decoding/tuned.yaml",
    }  # fmt: skip
    # What was set aside is whole, and can be gone on with.
    (tmp_path / STUDY_FILE).unlink()
    (kept / STUDY_FILE).rename(tmp_path / STUDY_FILE)
    assert run(make_search(hill(0.7)), tmp_path, 4) == first


def test_so_is_one_that_other_code_has_scored(hill, make_search, tmp_path, capsys):
    run(make_search(hill(0.7)), tmp_path, 4)
    run(make_search(hill(0.69)), tmp_path, 2)
    assert "made by other code: its best settings scored 0." in capsys.readouterr().out
    assert list((tmp_path / "earlier").iterdir())


def test_a_damaged_study_is_named(hill, make_search, tmp_path):
    (tmp_path / STUDY_FILE).write_text("not a study\nat all\n")
    with pytest.raises(DataError, match=r"study\.journal: holds no study"):
        open_search(tmp_path, make_search(hill(0.7)))


def test_a_folder_that_cannot_be_written_is_named(hill, make_search, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        open_search(tmp_path / "file", make_search(hill(0.7)))


def test_without_optuna_the_message_says_how_to_get_it(monkeypatch):
    require_optuna()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "optuna>=4\.4"'):
        require_optuna()


# Stopping ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_loses_the_trial_under_way_and_nothing_else(hill, make_search, tmp_path, number):
    whole = run(make_search(hill(0.7)), tmp_path / "whole", 6)
    before = signal.getsignal(number)

    def stop(visits: int) -> None:
        if visits == 4:
            os.kill(os.getpid(), number)

    search = make_search(hill(0.7, hook=stop))
    study = open_search(tmp_path / "stopped", search)
    assert search.run(study, 6, progress=False) is number
    assert [t.settings for t in trials_of(study)] == [t.settings for t in whole[:3]]
    assert signal.getsignal(number) is before
    assert run(make_search(hill(0.7)), tmp_path / "stopped", 6) == whole


def test_a_search_without_signals(hill, make_search, tmp_path):
    """Only the main thread gets any."""
    search, found = make_search(hill(0.7)), []
    thread = threading.Thread(target=lambda: found.extend(run(search, tmp_path, 3)))
    thread.start()
    thread.join()
    assert len(found) == 3


# What is shown -------------------------------------------------------------------------------


def test_a_log_gets_a_line_for_each_better_trial(hill, make_search, tmp_path, capsys):
    search = make_search(hill(0.7))
    study = open_search(tmp_path, search)
    search.run(study, 30)
    every = capsys.readouterr().err.splitlines()
    shown = [re.match(r"tune: (\d+) of 30 trials, best ([\d.]+) \(trial (\d+)\)", x) for x in every]
    assert all(shown)
    done, scores, _ = zip(*(one.groups() for one in shown if one), strict=True)
    assert (done[0], scores[0]) == ("1", "0.350")
    assert {"10", "20", "30"} <= {*done}  # so that it is seen to go on
    assert sorted(map(float, scores)) == [*map(float, scores)]
    assert len(every) < 18


def test_a_terminal_gets_a_line_with_the_best_score(
    hill, make_search, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    search = make_search(hill(0.7))
    search.run(open_search(tmp_path, search), 4)
    shown = capsys.readouterr().err
    assert "tune: 4 of 4 trials, best" in shown
    assert "best 0." in shown
    assert "the best so far" not in shown
