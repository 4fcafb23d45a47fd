"""The numbers of sections, from the names of their files."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

# A minus sign may be a dash: first it is a sign only where no letter or digit comes before it.
READINGS = (
    re.compile(r"((?:(?<![0-9A-Za-z])-)?[0-9]+(?:\.[0-9]+)?)"),
    re.compile(r"((?:(?<![0-9])-)?[0-9]+(?:\.[0-9]+)?)"),
    re.compile(r"([0-9]+)"),
)
MOST_GAPS = 3
"""Numbers that leave out more than this many times what there is are no counter, but times, say."""


def section_numbers(files: Sequence[Path]) -> tuple[Decimal, ...]:
    """The number of each section: the first in the names that differs between all of them.

    Numbers may be negative or have fractions: `sec_-1`, `z-0.5`, `z1.5`.

    Returns:
        One number per file, none at all where no name has one.

    Raises:
        ValueError: The names are of several series, or two have the same number.

    >>> [str(n) for n in section_numbers([Path("em2_z10.png"), Path("em2_z9.png")])]
    ['10', '9']
    """
    stems = [file.name.removesuffix(file.suffix) for file in files]
    if not any(re.search("[0-9]", stem) for stem in stems):
        return ()
    for reading in READINGS:
        if numbers := _numbers(stems, reading):
            return numbers
    raise ValueError(_why_not(files, stems))


def _numbers(stems: Sequence[str], reading: re.Pattern[str]) -> tuple[Decimal, ...]:
    parts = [reading.split(stem.casefold()) for stem in stems]  # text, number, text, number, text
    for column in range(1, min(map(len, parts)), 2):
        if len({part[column - 1] for part in parts}) > 1:
            break
        texts = [part[column] for part in parts]
        numbers = tuple(Decimal(text) for text in texts)
        if len(set(numbers)) == len(stems):
            return () if _count_parts(texts) else numbers
    return ()


def _count_parts(texts: Sequence[str]) -> bool:
    """Whether 1.9 comes before 1.10, as in the numbers of versions."""
    fractions = {text.partition(".")[2] for text in texts} - {""}
    return len({*map(len, fractions)}) > 1 and any(f[1:].endswith("0") for f in fractions)


def _why_not(files: Sequence[Path], stems: Sequence[str]) -> str:
    """Say of names in which no number differs between all of them what they have in common."""
    parts = [READINGS[0].split(stem.casefold()) for stem in stems]
    shared = 0  # how many numbers all names have, with the same text before them
    while len({tuple(p[: 2 * shared + 1 : 2]) for p in parts}) == 1 and all(
        len(p) > 2 * shared + 1 for p in parts
    ):
        shared += 1
    numbers = [tuple(Decimal(n) for n in p[1 : 2 * shared : 2]) for p in parts]
    for length in range(shared, 0, -1):
        seen: dict[tuple[Decimal, ...], Path] = {}
        for file, number in zip(files, numbers, strict=True):
            other = seen.setdefault(number[:length], file)
            if other != file and length == shared:
                which = numbers_text(number[length - 1 : length])
                return f"both {other.name} and {file.name} are section {which}"
            if other != file:
                return _several(other, file)
    kinds = [(p[0], len(p) > 1) for p in parts]
    return _several(files[0], files[next(i for i, kind in enumerate(kinds) if kind != kinds[0])])


def _several(one: Path, other: Path) -> str:
    return f"holds sections of several series, such as {one.name} and {other.name}"


def missing_numbers(numbers: Sequence[Decimal]) -> list[Decimal]:
    """The numbers that a series leaves out, by its own step.

    >>> [int(n) for n in missing_numbers([Decimal(n) for n in (2, 4, 6, 12)])]
    [8, 10]
    """
    ordered = sorted(numbers)
    steps = [b - a for a, b in itertools.pairwise(ordered)]
    if not steps or any(step % min(steps) for step in steps):
        return []
    step = min(steps)
    if sum(steps) / step - len(steps) > MOST_GAPS * len(ordered):
        return []
    return [
        before + step * n
        for before, gap in zip(ordered, steps, strict=False)
        for n in range(1, int(gap / step))
    ]


def numbers_text(numbers: Sequence[Decimal], at_most: int = 5) -> str:
    """Some numbers as text.

    >>> numbers_text([Decimal(n) for n in range(8)])
    '0, 1, 2, 3, 4 and 3 more'
    """
    shown = ", ".join(f"{number.normalize():f}" for number in numbers[:at_most])
    more = len(numbers) - at_most
    return f"{shown} and {more} more" if more > 0 else shown
