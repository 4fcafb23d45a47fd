from __future__ import annotations

import pickle

import pytest

from connectomics.errors import (
    CheckpointError,
    ConfigError,
    ConnectomicsError,
    DataError,
    Fault,
    did_you_mean,
)


def test_a_fault_says_place_problem_and_remedy() -> None:
    assert str(Fault("raw.h5", "no such file.", "Check.")) == "raw.h5: no such file.\n  Check."
    assert str(Fault("raw.h5", "no such file.")) == "raw.h5: no such file."
    assert str(Fault("", "no such file.")) == "no such file."


@pytest.mark.parametrize("kind", [ConfigError, DataError, CheckpointError])
def test_an_error_names_its_kind(kind: type[ConnectomicsError]) -> None:
    error = kind("here", "broken.", "Mend it.")
    assert str(error) == f"{kind.__name__}: here: broken.\n  Mend it."
    assert isinstance(error, ConnectomicsError)


def test_several_faults_are_told_at_once() -> None:
    faults = [Fault("a", "one.", "x"), Fault("b", "two.")]
    error = ConfigError.of(iter(faults))
    assert isinstance(error, ConfigError)
    assert error.faults == tuple(faults)
    assert str(error) == "ConfigError: a: one.\n  x\nConfigError: b: two."


def test_errors_survive_the_way_between_processes() -> None:
    error = ConfigError.of([Fault("a", "one."), Fault("b", "two.")])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is ConfigError
    assert str(again) == str(error)


@pytest.mark.parametrize(
    ("word", "choices", "expected"),
    [
        ("patch_sise", ["patch_size", "batch_size"], "Did you mean 'patch_size'?"),
        ("zebra", ["pre", "post"], "Choices: post, pre."),
        (
            "zebra",
            [f"c{n:03d}" for n in range(300)],
            f"Choices: {', '.join(f'c{n:03d}' for n in range(60))} and 240 more.",
        ),
        ("dice", {"DiceLoss": 1, "dice_loss": 2}, "Choices: DiceLoss, dice_loss."),
    ],
)
def test_did_you_mean(word: str, choices: list[str], expected: str) -> None:
    assert did_you_mean(word, choices) == expected


def test_a_word_that_would_fill_the_screen_is_cut():
    text = str(Fault("tune.metric", f"there is no score {'x' * 5000!r}.", "Choices: dice."))
    assert len(text) < 700
    assert text.endswith("x...\n  Choices: dice.")
