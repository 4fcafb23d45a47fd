"""What is known of a public dataset: where it lies, whose it is, and how it becomes volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

ANOTHER_FOLDER = "Free some space, or choose a folder you may write to: --to FOLDER"


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server.

    Attributes:
        name: What it is called once it is here.
        url: Where it lies.
        sha256: Of its bytes, or None where nobody publishes one.
        known_from: Who says so.
        steady: Whether the server always sends the same bytes. An archive that is made on demand
            may differ in bytes and hold the same files.
    """

    name: str
    url: str
    sha256: str | None = None
    known_from: str = ""
    steady: bool = True


@dataclass(frozen=True)
class Bounds:
    """What a dataset cannot exceed; more is an error, or an attack.

    Attributes:
        file: Bytes of one download.
        unpacked: Bytes of all that an archive holds.
        members: How many files an archive holds.
    """

    file: int
    unpacked: int
    members: int


@dataclass(frozen=True)
class Material:
    """The files that a dataset is made from, as somebody packed them.

    Attributes:
        source: What messages call them.
        files: By their paths inside the archive or folder.
        ours: Whether they were downloaded or unpacked here, and may be moved.
    """

    source: str
    files: Mapping[PurePosixPath, Path]
    ours: bool = False


@dataclass
class Account:
    """What was made of a dataset, and where it is not what was expected.

    Attributes:
        made: One line for each file that was made, by its name.
        differs: What is not as expected.
        overrides: What the tutorial has to be told because of that.
        missing: What the tutorial still lacks.
        learned: How many sections are left to learn from, where it is not those of the tutorial; 0
            where none would be left to test on.
    """

    made: dict[str, str] = field(default_factory=dict)
    differs: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    learned: int | None = None

    def divide(self, depth: int, learned: int, tested: int) -> None:
        """Have the tutorial learn from the first sections and test from `tested` on.

        >>> account = Account()
        >>> account.divide(10, 7, 8)
        >>> account.overrides
        ['data.train.z_range=[0,7]', 'data.test.z_range=[8,10]']
        """
        self.learned = learned if tested < depth else 0
        if self.learned:
            self.overrides += [
                f"data.train.z_range=[0,{learned}]",
                f"data.test.z_range=[{tested},{depth}]",
            ]


Convert = Callable[[Material, Path], Account]
"""Makes, in an empty folder, the files that the tutorials name."""


@dataclass(frozen=True)
class Dataset:
    """A public dataset.

    Attributes:
        name: On the command line.
        title: In a sentence.
        files: To download.
        folder: Where the tutorials look for it.
        needed: The files there that the tutorials name.
        licence: What its owners allow.
        citation: Whom to cite.
        homepage: Where to read on, and to download by hand.
        tutorials: The usual one, then, where there is one, that in a size for a CPU.
        convert: From what was downloaded to what the tutorials name.
        bounds: What it cannot exceed.
    """

    name: str
    title: str
    files: tuple[RemoteFile, ...]
    folder: Path
    needed: tuple[str, ...]
    licence: str
    citation: str
    homepage: str
    tutorials: tuple[str, ...]
    convert: Convert
    bounds: Bounds


def nm_text(resolution: Sequence[float]) -> str:
    """A voxel size for a person.

    >>> nm_text((50.0, 4.6, 4.6))
    '50 x 4.6 x 4.6 nm'
    """
    return f"{' x '.join(f'{n:g}' for n in resolution)} nm"
