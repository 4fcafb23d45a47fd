"""Get a public dataset ready for its tutorials: `download_data.py em_r50|cremi|vnc`."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

try:
    from connectomics.exchange.arguments import download_data
    from connectomics.process.outcome import in_process, reported, require_current_folder
except ModuleNotFoundError as error:
    runpy.run_path(str(Path(__file__).with_name("missing.py")))["end"](error)
    raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; see `connectomics.command.main` for what it returns."""
    given = sys.argv[1:] if arguments is None else arguments
    with reported() as outcome:
        require_current_folder()
        download_data(given, "download_data.py")
    return outcome.status


if __name__ == "__main__":
    with in_process():
        sys.exit(main())
