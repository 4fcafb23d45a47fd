"""What a person is told once the data are there: what was made, and how to train on it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from connectomics.config.inheritance import tutorial_path
from connectomics.exchange.dataset_yaml import RECORD
from connectomics.exchange.records import Account, Dataset
from connectomics.geometry import Triple
from connectomics.process.called import to_type

PLAIN_PATH = re.compile(r"[A-Za-z0-9_./:-]+")
"""What needs no quotes on the command line."""


def told(
    dataset: Dataset, to: Path, sums: Sequence[Mapping[str, Any]], account: Account
) -> list[str]:
    """The account, for a person."""
    lines = [f"{dataset.name}: {to}"]
    lines += [f"  {name}: {what}" for name, what in account.made.items()]
    for entry in sums:
        if "sha256" in entry:
            lines.append(f"  {entry['file']}: SHA-256 {entry['sha256']} ({entry['checksum']})")
    lines.append(f"  {to / RECORD} says where they come from")
    if account.differs:
        lines += ["what differs from what is known:", *(f"  {text}" for text in account.differs)]
    if not account.missing:
        lines += _to_train(dataset, to, account)
    return lines


def _to_train(dataset: Dataset, to: Path, account: Account) -> Iterator[str]:
    """A command for each tutorial that there are enough sections for."""
    overrides = [*_moved(dataset, to), *account.overrides]
    short = False
    for intro, tutorial in zip(("to train", "on a CPU"), dataset.tutorials, strict=False):
        config = tutorial_path(tutorial)
        deep = _patch_size(tutorial)[0]
        if account.learned is None or account.learned >= deep:
            yield f"{intro}: {to_type('train', config, *overrides)}"
        else:
            short = True
            yield f"{intro}: too few sections for {config}, whose patches are {deep} deep"
    if short:
        files = [str(to / PurePosixPath(name)) for name in dataset.needed]
        yield f"a config for what there is: {to_type('init', None, *files)}"


def _patch_size(tutorial: str) -> Triple:
    from connectomics.config import load_config
    from connectomics.config.inheritance import TUTORIALS

    return load_config(TUTORIALS / f"{tutorial}.yaml").config.data.dataloader.patch_size


def _moved(dataset: Dataset, to: Path) -> list[str]:
    """What the tutorial has to be told of data in another folder than it names."""
    if to.resolve() == dataset.folder.resolve():
        return []
    from connectomics.config import load_config
    from connectomics.config.inheritance import TUTORIALS
    from connectomics.config.overrides import override_texts

    data = load_config(TUTORIALS / f"{dataset.tutorials[0]}.yaml").config.data
    told = []
    for split in ("train", "test"):
        section = getattr(data, split)
        for key in ("image", "label"):
            paths = [
                str(to / PurePosixPath(path).relative_to(dataset.folder.as_posix()))
                for path in getattr(section, key)
            ]
            name, value = f"data.{split}.{key}", paths[0] if len(paths) == 1 else paths
            if all(PLAIN_PATH.fullmatch(path) for path in paths):
                listed = ",".join(paths)
                told.append(f"{name}={listed if len(paths) == 1 else f'[{listed}]'}")
            else:
                told += override_texts({name: value})
    return told
