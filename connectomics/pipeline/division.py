"""What to train on and what to test on: whole volumes, or sections with a gap between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from connectomics.data.holding_back import SPARED
from connectomics.data.recognition import own_words
from connectomics.errors import DataError
from connectomics.pipeline.inspection import Labels, large_span

SHARE = 0.25
"""How much of the synapses and of the sections is kept aside for testing, about."""

LEAST, MOST = 0.15, 0.4
FEWEST_SECTIONS = 8

TEST = {"test", "testing", "eval", "evaluation", "heldout", "holdout"}
VALIDATION = {"val", "valid", "validation"}


@dataclass(frozen=True)
class Division:
    """The volumes of each split, and the sections of one that is split.

    Attributes:
        train: Numbers of the volumes to train on.
        val: To validate on; where there are none, training holds some back.
        test: To test on.
        learned: Sections [first, stop) to train on, where training and test share a volume.
        tested: Sections to test on.
        why: What was considered, for a comment.
    """

    train: tuple[int, ...]
    test: tuple[int, ...]
    val: tuple[int, ...] = ()
    learned: tuple[int, int] | None = None
    tested: tuple[int, int] | None = None
    why: str = ""


def divide_volumes(found: Sequence[Labels]) -> Division:
    """Decide what is trained on and what is tested on.

    Names that say so are believed: `test`, `val`. Else the volume that holds nearest to a quarter
    of all synapses is kept aside, and of a single volume about a quarter of its sections.

    Args:
        found: What the labels of each volume hold.

    Raises:
        DataError: No synapse is labelled, or there are too few sections to keep some aside.
    """
    if not any(len(labels.sizes) for labels in found):
        names = ", ".join(labels.source for labels in found)
        raise DataError(names, "no voxel is labelled.", "Check that it is the right file.")
    if len(found) == 1:
        return _by_sections(found[0])
    words = [own_words(labels.source) | own_words(labels.image) for labels in found]
    test = tuple(n for n, own in enumerate(words) if own & TEST)
    val = tuple(n for n, own in enumerate(words) if own & VALIDATION and n not in test)
    train = tuple(n for n in range(len(found)) if n not in (*test, *val))
    if test and train:
        return Division(train, test, val, why="The names of the files say what is for testing.")
    counts = np.array([len(labels.sizes) for labels in found])
    shares = counts / counts.sum()
    distance = np.where(counts > 0, np.abs(shares - SHARE), np.inf)
    chosen = int(np.argmin(distance))
    if shares[chosen] > 0.6:  # the others hold next to nothing
        chosen = int(np.argmin(np.where(counts > 0, shares, np.inf)))
    why = (
        f"One of {len(found)} volumes is kept aside to test on: it holds "
        f"{shares[chosen]:.0%} of the synapses, which is nearest to a quarter."
    )
    depth, reach = found[chosen].volume.shape[0], large_span(found)[0]
    if depth < min(reach, FEWEST_SECTIONS):
        why += (
            f" It has {depth} section{'s' * (depth > 1)}, and large synapses span {reach}: scores "
            "tell little of depth. If another is meant for it, put test into its name."
        )
    train = tuple(n for n in range(len(found)) if n != chosen)
    return Division(train, (chosen,), why=why)


def _by_sections(labels: Labels) -> Division:
    """Keep sections of a volume aside, at the end or at the beginning, whichever is fairer."""
    depth, count = labels.volume.shape[0], len(labels.sizes)
    if depth < FEWEST_SECTIONS:
        sections = f"{depth} section{'s' * (depth > 1)}"
        problem = f"has {sections}, too few to keep some of them aside for testing."
        raise DataError(labels.image, problem, "Name a second volume with labels.")
    reach = large_span([labels])[0]
    gap = max(1, min(reach, depth // SPARED))
    choices = []
    for sections in range(max(2, round(LEAST * depth)), int(MOST * depth) + 1):
        for at_end in (True, False):
            first, stop = (depth - sections, depth) if at_end else (0, sections)
            learned = (0, first - gap) if at_end else (stop + gap, depth)
            tested, left = labels.between(first, stop), labels.between(*learned)
            lost = (count - tested - left) / count
            unfair = abs(tested / count - SHARE) + abs(sections / depth - SHARE) + lost
            lacking = (tested < max(1, LEAST * count)) + (left < max(1, LEAST * count))
            choices.append((lacking, unfair, not at_end, learned, (first, stop), tested))
    _, _, _, learned, kept, tested = min(choices)
    spans = f"large synapses span {reach}, and no more can be spared" if reach > gap else (
        "as many as a large synapse spans, so that none is both learned and tested"
    )  # fmt: skip
    why = (
        f"Sections {kept[0]}-{kept[1] - 1} are kept aside to test on: {tested / count:.0%} of the "
        f"synapses have their middle there. {gap} beside them are left out: {spans}."
    )
    return Division((0,), (0,), learned=learned, tested=kept, why=why)
