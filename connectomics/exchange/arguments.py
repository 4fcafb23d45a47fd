"""The command that gets public datasets: its arguments, and whom it asks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from connectomics.exchange.records import Dataset

DESCRIPTION = """\
Get a public dataset ready for its tutorials: download it, check it, unpack it and make of it what
they read. A download that broke off goes on where it stands.
"""


def download_data(arguments: Sequence[str], program: str) -> None:
    """Do what the arguments say.

    Args:
        arguments: Of the command line.
        program: What the command is called.

    Raises:
        ConnectomicsError: What can be put right.
    """
    from connectomics.exchange import DATASETS, obtain

    listed = "\n".join(
        f"  {one.name:<8}{one.title.partition(': ')[2]} → {one.folder}" for one in DATASETS.values()
    )
    parser = argparse.ArgumentParser(
        prog=program,
        description=DESCRIPTION,
        epilog=f"datasets:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("dataset", choices=DATASETS, help="one of those below")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="where it goes")
    parser.add_argument(
        "--from",
        dest="sources",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="archives, files or a folder that are here already, instead of a download",
    )
    parser.add_argument(
        "--accept-licence",
        "--accept-license",
        dest="accepts",
        action="store_true",
        help="accept the licence without being asked",
    )
    parser.add_argument("--mirror", metavar="URL", help="another address of the same files")
    options = parser.parse_args(arguments)
    dataset = _at(DATASETS[options.dataset], options.mirror)
    obtain(dataset, options.to, options.sources, accepts=lambda: options.accepts or _asked(dataset))


def _at(dataset: Dataset, mirror: str | None) -> Dataset:
    """The dataset with its files at another address."""
    if mirror is None:
        return dataset
    base = mirror.rstrip("/")
    files = tuple(replace(one, url=f"{base}/{one.name}") for one in dataset.files)
    return replace(dataset, files=files)


def _asked(dataset: Dataset) -> bool:
    """Ask on a terminal; nobody else can accept anything."""
    if not sys.stdin.isatty():
        return False
    try:
        answer = input(f"Do you accept the terms of {dataset.name}? [yes/no] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")
