"""Whether training ends before pre and post have parted."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from connectomics.config.schema import Config
from connectomics.process.progress import say
from connectomics.training.module import SynapseModule
from connectomics.training.scores import Sides

EMPTY = 0.01
"""A side of which less is found, of what there is, is empty."""

EQUAL = 0.8
"""Sides that share more of their voxels (Dice) are one."""


def remedy(config: Config) -> str:
    """Say what would part the sides sooner that a config does not do yet."""
    losses = {term.function: term.kwargs for term in config.model.loss.losses}
    ways = ["train longer (optimization.max_steps)"]
    if not {"SideLoss", "WeightedCE"} & losses.keys():
        ways.append("compare them with each other ({function: SideLoss} in model.loss.losses)")
    if config.data.dataloader.foreground_fraction < 0.6:
        ways.append("let more patches lie on synapses (data.dataloader.foreground_fraction=0.6)")
    for function, key, value in WEIGHTS:
        if function in losses and losses[function].get(key) is None:
            ways.append(f"give foreground more weight ({function} with kwargs: {{{key}: {value}}})")
    listed = " or ".join(filter(None, [", ".join(ways[:-1]), ways[-1]]))
    return f"The union is found first, and the sides part later: {listed}."


WEIGHTS = (
    ("WeightedBCEWithLogitsLoss", "pos_weight", "2"),
    ("WeightedCE", "class_weights", "[1, 10, 10]"),
)


def collapse(sides: Sides) -> str | None:
    """Say what is wrong with the sides, if anything.

    >>> collapse(Sides(accuracy=0.5, shared=0.93, pre=0.8, post=0.9))
    'pre and post fire together: they share 93 % of their voxels'
    """
    empty = [name for name in ("pre", "post") if getattr(sides, name) < EMPTY]
    if empty:
        return f"the network finds next to nothing that is {' or '.join(empty)}"
    if sides.shared > EQUAL:
        return f"pre and post fire together: they share {sides.shared * 100:.0f} % of their voxels"
    return None


EARLIEST = 300
"""Steps before which no network has parted them."""

LATEST = 3000
"""Steps by which every training that parted them had, however long: twice those of the slowest
(1,500, of synthetic EM whose sides look alike)."""


class WatchSides(pl.Callback):
    """Warns, once, of sides that are empty or equal at a time when they should have parted.

    Every training goes through that, so it is said when three validations in a row have found it
    and a quarter of the steps is done, or `LATEST`, or when two have at the end of training, but
    not of a trial.

    Args:
        remedy: What to do then.
    """

    def __init__(self, remedy: str) -> None:
        self._remedy = remedy
        self._times = 0
        self._warned = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the latest counts."""
        assert isinstance(pl_module, SynapseModule)
        sides, step, steps = pl_module.told_apart, trainer.global_step, trainer.max_steps
        problem = collapse(sides) if sides else None
        self._times = self._times + 1 if problem else 0
        late = step >= min(steps / 4, LATEST)
        due = (self._times >= 3 and late) or (self._times >= 2 and step >= steps)
        due = due and step >= EARLIEST
        if problem and due and not self._warned and trainer.is_global_zero:
            self._warned = True
            text = f"train: warning: after {step:,} of {steps:,} steps {problem}. {self._remedy}"
            say(text)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run has to know."""
        return {"times": self._times, "warned": self._warned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self._times, self._warned = state_dict["times"], state_dict["warned"]
