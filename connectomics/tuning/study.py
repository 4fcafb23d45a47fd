"""The study: every trial of a search, in a file that outlives the program."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from connectomics.digests import changes
from connectomics.errors import ConfigError, DataError
from connectomics.files import writing_to

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

STUDY_FILE = "study.journal"
TRIALS_FILE = "trials.csv"
FIGURE_FILE = "search.png"
PRESET_FILE = "decoding/tuned.yaml"
"""A preset of the config group `decoding`, for whom the folder is on the search path."""

STARTUP_TRIALS = 10
"""Trials before the sampler has something to go by, and before a trial is cut short."""

_NAME = "decoder settings"
_IDENTITY = "search"
_SETTINGS = "settings"
_SECONDS = "seconds"


class Trial(NamedTuple):
    """One try.

    Attributes:
        number: Counts from 0; trial 0 has the configured settings.
        state: "pruned" trials were cut short; their score is that of the volumes they saw, or
            None where the decoder refused the settings.
        score: The number that is maximised.
        settings: The searched settings, by name.
        seconds: How long it took.
    """

    number: int
    state: Literal["complete", "pruned"]
    score: float | None
    settings: dict[str, Any]
    seconds: float


def require_optuna() -> None:
    """Insist on Optuna.

    Raises:
        ConfigError: It is not installed.
    """
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError(
            "--mode tune",
            "needs Optuna, which is not installed.",
            'Run: pip install "optuna>=4.4", or in a clone pip install -e ".[tune]"',
        )


def open_study(file: Path, identity: Mapping[str, Any]) -> Study:
    """Open the study of a search, or begin it.

    Args:
        file: Where it is kept.
        identity: What makes the search this one and no other, as plain values.

    Raises:
        DataError: The file cannot be read or written, holds no study, or is in use.
    """
    import optuna
    from optuna.storages.journal import JournalStorage

    from connectomics.tuning.journal import Journal, alone_with, cut_torn_end

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with alone_with(file), writing_to(file):
            cut_torn_end(file)
            storage = JournalStorage(Journal(file))
            if not storage.get_all_studies():
                optuna.create_study(storage=storage, study_name=_NAME, direction="maximize")
            study = optuna.load_study(storage=storage, study_name=_NAME)
            if not trials_of(study):
                study.set_user_attr(_IDENTITY, _plain(identity))
    except (ValueError, KeyError) as error:  # what the journal makes of a damaged file
        raise DataError(
            str(file), "holds no study that can be read.", "Move it away; tuning begins anew."
        ) from error
    return study


def next_trial(study: Study, sampler: BaseSampler) -> tuple[Study, Callable[[], None]]:
    """Give a copy of a study in memory, to make a trial in, and what takes over that trial.

    So only finished trials come into the file, each at once: a search that was killed at any
    moment goes on as if it had not been.
    """
    import optuna

    copy = optuna.create_study(
        direction="maximize",
        sampler=sampler,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
    )
    copy.add_trials(_finished(study))
    return copy, lambda: study.add_trial(copy.get_trials(deepcopy=False)[-1])


def file_of(study: Study) -> Path:
    """Where a study from `open_study` is kept."""
    return study._storage._backend.file  # type: ignore[attr-defined]


def changed_since(study: Study, identity: Mapping[str, Any]) -> list[str]:
    """What a search has other than the study's, in words, what the rest follows from first."""
    return list(changes(study.user_attrs[_IDENTITY], _plain(identity)))


def trials_of(study: Study) -> list[Trial]:
    """The finished trials of a study, without those that were interrupted, numbered in order."""
    from optuna.trial import TrialState

    return [
        Trial(
            number,
            "complete" if trial.state is TrialState.COMPLETE else "pruned",
            trial.value,
            trial.user_attrs[_SETTINGS],
            trial.user_attrs[_SECONDS],
        )
        for number, trial in enumerate(_finished(study))
    ]


def _finished(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def best_of(trials: Sequence[Trial]) -> Trial:
    """The best trial, of equals the first: the configured settings stay unless one beats them."""
    complete = [trial for trial in trials if trial.state == "complete"]
    return max(complete, key=lambda trial: (trial.score, -trial.number))


def _plain(identity: Mapping[str, Any]) -> dict[str, Any]:
    """As it comes back from the file."""
    return json.loads(json.dumps(identity))
