"""The search itself: sampled settings, one trial after another, into the study."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, Any

import numpy as np

from connectomics.errors import ConfigError
from connectomics.files import writing_to
from connectomics.keeping import keep_earlier
from connectomics.process.progress import Progress
from connectomics.tuning.objective import Objective
from connectomics.tuning.spaces import Settings, Space
from connectomics.tuning.stopping import Stop, TrialInterruptedError, listening_for_stop
from connectomics.tuning.study import (
    FIGURE_FILE,
    PRESET_FILE,
    STARTUP_TRIALS,
    STUDY_FILE,
    TRIALS_FILE,
    Trial,
    best_of,
    changed_since,
    file_of,
    next_trial,
    open_study,
    trials_of,
)

if TYPE_CHECKING:
    import optuna

LINE_EVERY = 10
"""Trials after which a log file gets a line even if none was better."""


@dataclass(frozen=True)
class Search:
    """What is searched, and by what it is judged.

    Attributes:
        space: Dimensions by name.
        configured: The configured value of each.
        objective: From values of all dimensions to their score.
        seed: Of the sampler.
        identity: What makes the search this one and no other, as plain values: only trials of
            one search can be compared.
        score: What is maximised, in words.
        on: What is decoded for it, in words.
        objects: How many true objects there are to find.
        exclusive: Whether the channels that are decoded are background, pre and post.
    """

    space: Space
    configured: Settings
    objective: Objective
    seed: int = 0
    identity: Mapping[str, Any] = field(default_factory=dict)
    score: str = "score"
    on: str = ""
    objects: int = 0
    exclusive: bool = False

    def describe(self) -> str:
        """What is about to be searched, a line for each setting."""
        width = max(map(len, self.space))
        lines = [f"    {name:{width}}  {dimension}" for name, dimension in self.space.items()]
        alone = len(self.objective.volumes) == 1
        note = "with one volume, no trial is pruned" if alone else "pruned volume by volume"
        return "\n".join([f"{self.score} on {self.on}; {note}", *lines])

    def run(self, study: optuna.Study, trials: int, *, progress: bool = True) -> Signals | None:
        """Go on until the study has a number of finished trials, or a signal arrives.

        Trial 0 has the configured settings. The others are chosen by a tree-structured Parzen
        estimator (Bergstra et al. 2011). With several volumes, one is pruned that after the first
        ones scores below the median of the trials before it. Each trial follows from the seed and
        the trials before it alone, so that a search that was stopped goes on as if it had not
        been.

        Args:
            study: Gets the trials.
            trials: How many it shall have in the end.
            progress: Say how far it is, with the best score; in a log file, at each better one,
                and now and then.

        Returns:
            The signal that stopped it, if one did.

        Raises:
            DataError: The disk is full; the trials before are kept. Or another program is at work
                on the study.
        """
        from connectomics.tuning.journal import alone_with

        shown = _Progress(trials_of(study), trials, visible=progress)
        with alone_with(file_of(study)), listening_for_stop() as stop, shown, _quiet():
            while (done := len(trials_of(study))) < trials and stop.received is None:
                self._try(study, done, stop)
                shown.show(trials_of(study))
        return stop.received

    def _try(self, study: optuna.Study, done: int, stop: Stop) -> None:
        """Make one trial."""
        from optuna.trial import TrialState

        copy, take_over = next_trial(study, _sampler(self.seed, done))
        if done == 0:
            nearest = {name: d.nearest(self.configured[name]) for name, d in self.space.items()}
            copy.enqueue_trial(nearest)
        trial = copy.ask({name: d.distribution() for name, d in self.space.items()})
        chosen = {name: d.setting(trial.params[name]) for name, d in self.space.items()}
        settings = chosen if done else self.configured
        began = time.perf_counter()
        try:
            with stop.interrupting():
                score = self._score(copy, trial, settings)
        except TrialInterruptedError:
            return
        except ConfigError:
            if done == 0:
                raise
            score = None  # such as a low threshold above the high one
        trial.set_user_attr("settings", settings)
        trial.set_user_attr("seconds", round(time.perf_counter() - began, 3))
        copy.tell(trial, score, state=TrialState.PRUNED if score is None else TrialState.COMPLETE)
        with writing_to(file_of(study)):
            take_over()

    def _score(self, study: optuna.Study, trial: optuna.Trial, settings: Settings) -> float | None:
        """The score of settings; None where they look too bad to go on."""
        known = {_text(t.settings): t.score for t in trials_of(study) if t.state == "complete"}
        if _text(settings) in known:
            return known[_text(settings)]
        value, volumes = 0.0, len(self.objective.volumes)
        for seen, value in enumerate(self.objective.running(settings), start=1):
            if seen < volumes:
                trial.report(value, seen)
                if trial.should_prune():
                    return None
        return value


def open_search(folder: Path, search: Search) -> optuna.Study:
    """Open the study of a search to go on with it, or begin it.

    The study of another search that stands there goes to `earlier/` with what was made from it,
    and it is said why. So does one whose best settings no longer have the score they had, for
    the code has changed since.

    Args:
        folder: Where the study and what is made from it lie.
        search: The search to go on with.

    Raises:
        DataError: The study cannot be read or written.
    """
    file = folder / STUDY_FILE
    study = open_study(file, search.identity)
    reason = _difference(study, search)
    if not reason:
        return study
    names = (TRIALS_FILE, FIGURE_FILE, PRESET_FILE, "config.yaml", "provenance.yaml")
    made = [folder / name for name in names]
    with writing_to(folder):
        kept = keep_earlier(file, *made)
    assert kept is not None
    print(f"tune: {file} {reason}; searching anew, the earlier goes to {kept.parent}")
    return open_study(file, search.identity)


def _difference(study: optuna.Study, search: Search) -> str:
    """Why the trials of a study cannot be compared with those of a search; empty if they can."""
    changed, trials = changed_since(study, search.identity), trials_of(study)
    if changed or not trials:
        return f"was made with other settings or data: {'; '.join(changed)}" if changed else ""
    best = best_of(trials)
    with _quiet():
        score = search.objective(best.settings)
    if best.score == score:
        return ""
    return f"was made by other code: its best settings scored {best.score:.4f}, now {score:.4f}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Let decoders keep to themselves what they think of settings that are only tried."""
    logger = logging.getLogger("connectomics.decoding")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _sampler(seed: int, done: int) -> optuna.samplers.BaseSampler:
    """The sampler of one trial: its randomness does not depend on when the program began."""
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import TPESampler

    own = int(np.random.SeedSequence([seed, done]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # `multivariate`, before Optuna 5
        return TPESampler(
            seed=own, multivariate=True, n_startup_trials=STARTUP_TRIALS, constant_liar=False
        )


def _text(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)


class _Progress:
    """How far the search is, and the best so far."""

    def __init__(self, before: list[Trial], trials: int, *, visible: bool) -> None:
        self.best = best_of(before) if before else None
        self.line = Progress("tune", trials, "trials", done=len(before), visible=visible)

    def __enter__(self) -> _Progress:
        self._note()
        return self

    def __exit__(self, *_: object) -> None:
        self.line.end(keep=True)

    def show(self, trials: list[Trial]) -> None:
        """Show where the search stands."""
        if not trials:
            return
        before, self.best = self.best, best_of(trials)
        self._note()
        self.line.add(len(trials) - int(self.line.done))
        if self.best != before or (len(trials) % LINE_EVERY == 0 and not self.line.on_terminal):
            self.line.show()

    def _note(self) -> None:
        if self.best is not None:
            self.line.note = f"best {self.best.score:.3f} (trial {self.best.number})"
