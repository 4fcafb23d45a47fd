"""Settings of the decoder, searched on the validation volumes.

A decoder brings along what is searched (`Decoder.space`); `GOALS` are the scores to maximise.
Optuna is imported when a search begins.
"""

from __future__ import annotations

from connectomics.tuning.build import build_search, tuned_steps
from connectomics.tuning.checks import check_search, check_tuning
from connectomics.tuning.objective import GOALS, Goal, Objective, ValidationVolume
from connectomics.tuning.outcome import Outcome, command_to_test, write_outcome
from connectomics.tuning.search import Search, open_search
from connectomics.tuning.spaces import Choices, Range, default_space
from connectomics.tuning.study import (
    FIGURE_FILE,
    Trial,
    best_of,
    open_study,
    require_optuna,
    trials_of,
)

__all__ = [
    "FIGURE_FILE",
    "GOALS",
    "Choices",
    "Goal",
    "Objective",
    "Outcome",
    "Range",
    "Search",
    "Trial",
    "ValidationVolume",
    "best_of",
    "build_search",
    "check_search",
    "check_tuning",
    "command_to_test",
    "default_space",
    "open_search",
    "open_study",
    "require_optuna",
    "trials_of",
    "tuned_steps",
    "write_outcome",
]
