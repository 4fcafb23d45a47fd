"""Settings of the optimisation and of its monitoring that only make sense together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from connectomics.config.schema import Config
from connectomics.errors import Fault, did_you_mean

MONITORED = {"val_loss": "min", "val_dice": "max", "train_loss": "min"}
"""Scores that training logs and that can be watched, and which way is better."""


def check_schedule(config: Config) -> Iterator[Fault]:
    """The learning rate falls, and warm-up ends before training does."""
    scheduler, optimizer = config.optimization.scheduler, config.optimization.optimizer
    if scheduler.min_lr > optimizer.lr:
        yield Fault(
            "optimization.scheduler.min_lr",
            f"{scheduler.min_lr} is above optimizer.lr, {optimizer.lr}.",
            "The schedule falls from lr to min_lr.",
        )
    if scheduler.warmup_steps >= config.optimization.max_steps:
        yield Fault(
            "optimization.scheduler.warmup_steps",
            f"{scheduler.warmup_steps} steps of warm-up leave none of max_steps, "
            f"{config.optimization.max_steps}.",
            "Lower it, or raise max_steps.",
        )


class Watching(Protocol):
    """A section that names a score to watch, and which way is better."""

    @property
    def monitor(self) -> str:
        """One of `MONITORED`."""
        ...

    @property
    def mode(self) -> str:
        """Which way is better: "min" or "max"."""
        ...


def watched_scores(config: Config) -> dict[str, Watching]:
    """The sections that watch a score in this run, by their place in the config."""
    watched: dict[str, Watching] = {"monitor.checkpoint": config.monitor.checkpoint}
    if config.monitor.early_stopping.enabled:
        watched["monitor.early_stopping"] = config.monitor.early_stopping
    if config.optimization.scheduler.name == "ReduceLROnPlateau":
        watched["optimization.scheduler"] = config.optimization.scheduler
    return watched


def check_monitor(config: Config) -> Iterator[Fault]:
    """What is watched exists, and is watched the right way round."""
    for where, section in watched_scores(config).items():
        score = section.monitor
        if score not in MONITORED:
            hint = did_you_mean(score, MONITORED)
            yield Fault(f"{where}.monitor", f"training logs no {score!r}.", hint)
        elif section.mode != MONITORED[score]:
            right = MONITORED[score]
            yield Fault(f"{where}.mode", f"{score} is better the other way.", f"Set mode: {right}.")
