"""Names of files and folders: what `~` stands for, and names that are safe and no two the same."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path

LONGEST = 80
RESERVED = (
    *("earlier", "decoding", "config.yaml", "provenance.yaml"),
    *("scores.txt", "scores.json", "matches.csv", "report.html"),
    *("precision_recall.csv", "precision_recall.png"),
    *("study.journal", "trials.csv", "search.png"),
)
"""What else lies where the folders are made."""

DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def at_home(path: str) -> str:
    """Read `~/x` and `~user/x` as a shell does; any other path stays as it is.

    Raises:
        ValueError: It is nobody's home.

    >>> at_home("a/~/b"), at_home("./~b.h5")
    ('a/~/b', './~b.h5')
    """
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        raise ValueError(f"{path.partition('/')[0]!r} is nobody's home here") from None


def seen_from_here(path: str | Path) -> Path:
    """A path as a person types it: from the current folder where it lies below, else in full.

    >>> seen_from_here(Path.cwd() / "outputs" / "my"), seen_from_here("/elsewhere/my")
    (PosixPath('outputs/my'), PosixPath('/elsewhere/my'))
    """
    absolute, here = Path(path).absolute(), Path.cwd()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else absolute


def safe_name(name: str) -> str:
    """Make of any text the name of a folder, itself where it is one.

    >>> [safe_name(name) for name in ("raw", "..", "a/b", "scores.txt", "")]
    ['raw', 'volume', 'a_b', 'scores.txt_volume', 'volume']
    """
    text = unicodedata.normalize("NFC", name)
    text = re.sub(r'[/\\:*?"<>|\x00-\x1f\x7f\ud800-\udfff]', "_", text).strip(" .")
    if not text:
        return "volume"
    if text.casefold() in RESERVED or DEVICES.fullmatch(text):
        text = f"{text}_volume"
    if len(text.encode()) > LONGEST:
        number = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        text = f"{text.encode()[:LONGEST].decode(errors='ignore')}_{number}"
    return text


def folder_names(names: Sequence[str], taken: Collection[str] = ()) -> list[str]:
    """Give each name a folder name of its own; what is used twice gets a number.

    Args:
        names: Of any text. The first of a kind has the name itself, whatever stands before it.
        taken: Names of folders that are others'.

    >>> folder_names(["raw", "raw", "raw_2", "Raw"], taken=["raw_3"])
    ['raw', 'raw_4', 'raw_2', 'Raw_5']
    """
    used = {name.casefold() for name in taken}
    safe = [safe_name(name) for name in names]
    given = dict[int, str]()
    for i, name in enumerate(safe):
        if name.casefold() not in used:
            used.add(name.casefold())
            given[i] = name
    for i, name in enumerate(safe):
        number = 2
        while i not in given:
            numbered = f"{name}_{number}"
            if numbered.casefold() not in used:
                used.add(numbered.casefold())
                given[i] = numbered
            number += 1
    return [given[i] for i in range(len(names))]
