"""The command line of a checkout; an installed package has it as `connectomics MODE ...`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

try:
    from connectomics.command import main
    from connectomics.process.outcome import in_process
except ModuleNotFoundError as error:
    runpy.run_path(str(Path(__file__).with_name("missing.py")))["end"](error)
    raise

__all__ = ["main"]

if __name__ == "__main__":
    with in_process():
        sys.exit(main())
