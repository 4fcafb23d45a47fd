"""What decoding by block consists of: passes of tasks, between which a small state is reduced.

Nothing here reads or writes files. A runner gives `read` and `parts`, stores the part that each
task leaves, and may run the tasks of a pass in any order, in other processes, and again:

    state = {}
    for step in passes(...):
        for task in step.tasks(state):                 # a generator: never all tasks at once
            store(step.name, task.name, step.run(task, read, parts))
        state = step.combine(state, stored_parts(step))   # pairs (task, part), in any order

Tasks carry what they need of the state (`Task.work`), so that workers never hold the state. The
tasks of a pass follow from the state alone: a resumed run lists the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from connectomics.geometry import Box

Part = Mapping[str, np.ndarray]
"""What a task leaves: plain arrays by name. It grows with the foreground of a block."""

State = Mapping[str, np.ndarray]
"""What is known of the whole volume: plain arrays by name. It grows with the number of blocks,
components and synapses, never with that of voxels."""

Read = Callable[[Box], np.ndarray]
"""The probabilities (C, z, y, x), or the neurons (z, y, x), of a box inside the volume."""

Parts = Callable[[str, str], Part]
"""The part of an earlier pass, by the name of the pass and of the task. A mapping that loads an
array when it is asked for (as `np.load` gives of an .npz) saves reading."""


@dataclass(frozen=True)
class Task:
    """One independent piece of work; it can be pickled.

    Attributes:
        name: Unique in its pass, and fit for the name of a file.
        box: The block it is about, where it is about one.
        work: What it needs to know of the state.
    """

    name: str
    box: Box | None = None
    work: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Pass:
    """Tasks that do not depend on each other, and what is made of their parts.

    Attributes:
        name: Of the pass; a folder of parts may be called so.
        tasks: Lists the tasks, from the state so far.
        run: Does one task. It can be pickled where the `Read` of the neurons can.
        combine: The next state, from the state and the parts, which it holds one at a time.
    """

    name: str
    tasks: Callable[[State], Iterable[Task]]
    run: Callable[[Task, Read, Parts], Part]
    combine: Callable[[State, Iterable[tuple[Task, Part]]], State]
