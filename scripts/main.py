"""The command line of a checkout; an installed package has it as `connectomics MODE ...`."""

from __future__ import annotations

import sys

from connectomics.command import main
from connectomics.process.outcome import in_process

__all__ = ["main"]

if __name__ == "__main__":
    with in_process():
        sys.exit(main())
