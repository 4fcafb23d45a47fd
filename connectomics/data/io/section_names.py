"""The numbers of sections, from the names of their files."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

# A minus sign may be a dash: first it is a sign only where no letter or digit comes before it.
READINGS = (
    re.compile(r"((?:(?<![0-9A-Za-z])[-+])?[0-9]+(?:\.[0-9]+)?)"),
    re.compile(r"((?:(?<![0-9])-)?[0-9]+(?:\.[0-9]+)?)"),
    re.compile(r"([0-9]+)"),
)
MINUS_SIGN = "\N{MINUS SIGN}"
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
    stems = _stems(files)
    if not any(re.search("[0-9]", stem) for stem in stems):
        return ()
    parts, column = _find_column(stems)
    if not column:
        raise ValueError(_why_not(files, stems))
    endings = [(ending, n) for ending, n in _endings(parts, column).items() if n > 1]
    if len(endings) > 1 and all(ending for ending, _ in endings):
        one, other, *_ = (_first_with(ending, files, parts, column) for ending, _ in endings)
        raise ValueError(_several(one, other))
    return _numbers(parts, column)


def doubts(files: Sequence[Path]) -> list[tuple[str, str]]:
    """What may make the order of sections another than their numbers say.

    Args:
        files: Sections that `section_numbers` has an answer for, in any order.

    Returns:
        Problem and remedy of each doubt.

    >>> [problem for problem, _ in doubts([Path("z-1.png"), Path("z-2.png")])]
    ['counts z-1.png before z-2.png: - is taken for a hyphen, and may be a minus sign.']
    >>> doubts([Path("z-01.png"), Path("z-02.png")]), doubts([Path("z1.png"), Path("z2.png")])
    ([], [])
    """
    parts, column = _find_column(_stems(files))
    if not column or len(files) < 2:
        return []
    numbers = _numbers(parts, column)
    order = sorted(range(len(files)), key=numbers.__getitem__)
    first, second = (files[i].name for i in order[:2])
    found = []
    if reads := _sign_or_hyphen(parts, column):
        remedy = "If it is one, number them without it; if not, write _ in its place."
        found.append((f"counts {first} before {second}: {reads}.", remedy))
    endings = _endings(parts, column)
    if len(endings) > 1:
        one, other, *_ = (_first_with(ending, files, parts, column) for ending in endings)
        problem = f"counts {one.name} and {other.name} as sections of one series."
        word = max(endings, key=bool).split()[-1]
        word = next(iter(re.findall(re.escape(word), one.name + other.name, re.IGNORECASE)), word)
        remedy = f"If they are of two, choose one with a pattern, such as {one.parent}/*{word}*."
        found.append((problem, remedy))
    if rival := _rival(parts, column, order):
        a, b = (files[i].name for i in rival)
        problem = f"counts {a} before {b}, by one of the numbers in their names; by another it is"
        remedy = "If that is not their order or they are of two series, rename them or choose with"
        found.append((f"{problem} the other way round.", f"{remedy} a pattern."))
    return found


def _stems(files: Sequence[Path]) -> list[str]:
    return [
        file.name.removesuffix(file.suffix).casefold().replace(MINUS_SIGN, "-") for file in files
    ]


def _find_column(stems: Sequence[str]) -> tuple[list[list[str]], int]:
    """The names as text, number, text, ..., and which number is that of the section; 0 if none."""
    for reading in READINGS:
        parts = [reading.split(stem) for stem in stems]
        for column in range(1, min(map(len, parts)), 2):
            if len({part[column - 1] for part in parts}) > 1:
                break
            if len(set(_numbers(parts, column))) == len(stems):
                if _count_parts([part[column] for part in parts]):
                    break
                return parts, column
    return [], 0


def _numbers(parts: Sequence[Sequence[str]], column: int) -> tuple[Decimal, ...]:
    return tuple(Decimal(part[column]) for part in parts)


def _endings(parts: Sequence[Sequence[str]], column: int) -> Counter[str]:
    """The words that follow the number, and how many names have them.

    Words with digits do not count: they are times, sums, or places of tiles.
    """
    return Counter(_ending(part, column) for part in parts)


def _ending(part: Sequence[str], column: int) -> str:
    words = re.split(r"[\W_]+", "".join(part[column + 1 :]))
    return " ".join(word for word in words if word.isalpha())


def _first_with(
    ending: str, files: Sequence[Path], parts: Sequence[Sequence[str]], column: int
) -> Path:
    return next(f for f, part in zip(files, parts, strict=True) if _ending(part, column) == ending)


def _sign_or_hyphen(parts: Sequence[Sequence[str]], column: int) -> str:
    """Say how a - before every number is read, where it may be meant otherwise.

    Zero has no sign, numbers with leading zeros are seldom negative, and a word as in `slice-1` has
    a hyphen; after a single letter, as in `z-1`, it may be a coordinate.
    """
    texts = [part[column] for part in parts]
    if all(text[0] == "-" for text in texts):
        doubled = all(part[column - 1].endswith("-") for part in parts)
        return "- is taken for a minus sign, and may be a hyphen" if doubled else ""
    padded = any(text[:1] == "0" and text[1:2] != "." for text in texts)
    if padded or not all(re.search(r"(?<![^\W\d_])[^\W\d_]-$", part[column - 1]) for part in parts):
        return ""
    return "- is taken for a hyphen, and may be a minus sign"


def _rival(
    parts: Sequence[Sequence[str]], column: int, order: Sequence[int]
) -> tuple[int, int] | None:
    """Two neighbours, where another number in their names puts them the other way round.

    Numbers before that of the section, such as those of wafers or a date, are taken together, and
    may be the same for several. One after it is a rival only if it counts, and the first does not.
    """
    shared = [
        i for i in range(1, min(map(len, parts)), 2) if len({part[i - 1] for part in parts}) == 1
    ]
    chosen = _numbers(parts, column)
    before = [_numbers(parts, i) for i in shared if i < column]
    after = [_numbers(parts, i) for i in shared if i > column and not _counts(chosen)]
    rivals: list[Sequence[Any]] = [one for one in after if _counts(one)]
    if before:
        rivals.append(list(zip(*before, strict=True)))
    for numbers in rivals:
        for a, b in itertools.pairwise(order):
            if numbers[b] < numbers[a]:
                return a, b
    return None


def _counts(numbers: Sequence[Decimal]) -> bool:
    ordered = sorted(numbers)
    return all(b - a == 1 for a, b in itertools.pairwise(ordered))


def _count_parts(texts: Sequence[str]) -> bool:
    """Whether 1.9 comes before 1.10, as in the numbers of versions."""
    fractions = {text.partition(".")[2] for text in texts} - {""}
    return len({*map(len, fractions)}) > 1 and any(f[1:].endswith("0") for f in fractions)


def _why_not(files: Sequence[Path], stems: Sequence[str]) -> str:
    """Say of names in which no number differs between all of them what they have in common."""
    parts = [READINGS[0].split(stem) for stem in stems]
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
