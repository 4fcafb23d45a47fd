"""Labels against labels, against numpy and against a dense assignment."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from baselines.plain_scores import count_pairs, dense_matching
from evaluation import synapses
from timing import Row, versus

from connectomics.evaluation import contingency_table, match_objects


def rows(small: bool) -> Iterator[Row]:
    """Measure counting and matching."""
    shape, count = ((16, 256, 256), 40) if small else ((64, 1024, 1024), 200)
    truth = synapses(shape, count, seed=0)
    prediction = np.roll(truth, (2, 1), (1, 2))

    yield versus(
        "contingency table",
        f"{' x '.join(map(str, shape))} uint16",
        lambda: contingency_table(truth, prediction),
        ("np.unique of pairs in the foreground", lambda: count_pairs(truth, prediction)),
    )
    objects = 500 if small else 3000
    rng = np.random.default_rng(0)
    crowd = np.repeat(np.arange(objects), rng.integers(20, 60, objects)) + 1
    table = contingency_table(crowd, np.sort(rng.integers(1, objects + 1, crowd.size)))
    yield versus(
        "matching at IoU 0.1",
        f"{objects} objects, crowded",
        lambda: match_objects(table, 0.1),
        ("linear_sum_assignment on a dense matrix", lambda: dense_matching(table, 0.1)),
        repeats=1,
    )
