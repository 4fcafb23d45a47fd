"""The command line of a checkout; an installed package has it as `connectomics MODE ...`."""

from __future__ import annotations

import sys

from connectomics.command import in_process, main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(in_process(main))
