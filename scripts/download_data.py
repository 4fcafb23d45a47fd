"""Get a public dataset ready for its tutorials: `download_data.py em_r50|cremi|vnc`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from connectomics.command import guarded, in_process
from connectomics.exchange.arguments import download_data


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; see `connectomics.command.main` for what it returns."""
    given = sys.argv[1:] if arguments is None else arguments
    return guarded(lambda: download_data(given, "download_data.py"))


if __name__ == "__main__":
    sys.exit(in_process(main))
