"""Decoders tuned on one phantom or several, scored on others that tuning has not seen.

    python benchmarks/tuning.py
    python benchmarks/tuning.py --validation-seeds 1 5 6
    python benchmarks/tuning.py --trials 20 --shape 24 256 256

No network is run: `benchmarks/simulated_network.py` draws what one might say of the phantoms. The
untuned baseline is `polarity2instance` as it comes. Printed is F1_pol at IoU 0.3, 0.5 and 0.75,
pooled over the test phantoms, and their mean, which is what tuning maximises. About five minutes
on one CPU.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from simulated_network import simulate_network

from connectomics.config import Config
from connectomics.config.derived import derive
from connectomics.evaluation import PolarityScores, PolaritySweep
from connectomics.phantom import make_phantom
from connectomics.pipeline.components import KNOWN
from connectomics.tuning import ValidationVolume, build_search, open_search, trials_of
from connectomics.tuning.study import best_of

DECODERS = ("polarity2instance", "synapses")
THRESHOLDS = (0.3, 0.5, 0.75)


def main() -> None:
    """Tune both decoders, and print how they do before and after."""
    parser = argparse.ArgumentParser(description="Measure what tuning is worth.")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--shape", type=int, nargs=3, default=[64, 512, 512])
    parser.add_argument("--validation-seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--test-seeds", type=int, nargs="+", default=[2, 3, 4])
    options = parser.parse_args()
    if {*options.validation_seeds} & {*options.test_seeds}:
        parser.error("a validation phantom must not be tested on")
    logging.disable(logging.WARNING)
    validation = [simulated(seed, options.shape) for seed in options.validation_seeds]
    tested = [simulated(seed, options.shape) for seed in options.test_seeds]
    print_head()
    for name in DECODERS:
        config = config_of(name)
        search = build_search(config, validation)
        with tempfile.TemporaryDirectory() as folder:
            study = open_search(Path(folder), search)
            if search.run(study, options.trials):
                parser.exit(130, "Interrupted.\n")
            trials = trials_of(study)
        on_tests = build_search(config, tested).objective
        for tuned, trial in (("as it comes", trials[0]), ("tuned", best_of(trials))):
            score = None
            for volume in on_tests.volumes:
                own = on_tests.score(volume, on_tests.decode(volume, trial.settings))
                score = own if score is None else score + own
            assert isinstance(score, PolaritySweep)
            print_row(f"{name}, {tuned}", trial.score or 0.0, score.scores)


def config_of(decoder: str) -> Config:
    """The config that a user would write: a decoder, and nothing about tuning."""
    return derive(
        Config.model_validate(
            {
                "model": {"out_channels": 3},
                "decoding": {"steps": [decoder]},
                "evaluation": {"truth_encoding": "polarity"},
                "tune": {"iou_thresholds": THRESHOLDS},
            }
        ),
        KNOWN,
    )


def simulated(seed: int, shape: Sequence[int]) -> ValidationVolume:
    """A phantom as the demo's, and what a network might say of it."""
    phantom = make_phantom((shape[0], shape[1], shape[2]), seed=seed)
    probabilities = simulate_network(phantom, seed)
    return ValidationVolume(f"phantom_{seed}", probabilities, phantom.label, phantom.resolution)


def print_head() -> None:
    """Print the head of the table."""
    columns = ["validation", *(f"test, {t:g}" for t in THRESHOLDS), "test, mean", "TP/FP/FN at .5"]
    print(f"| {'F1_pol':30} | {' | '.join(f'{name:>14}' for name in columns)} |")
    print(f"|{'-' * 32}|" + f"{'-' * 15}:|" * len(columns))


def print_row(name: str, validation: float, scores: Sequence[PolarityScores]) -> None:
    """Print what one decoder scores on the validation phantom and on the others."""
    values = [score.f1_pol for score in scores]
    cells = [f"{value:.3f}" for value in (validation, *values, float(np.mean(values)))]
    cells.append(str(scores[THRESHOLDS.index(0.5)].polarity))
    print(f"| {name:30} | {' | '.join(f'{cell:>14}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
