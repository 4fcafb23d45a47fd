"""The command line of a checkout; an installed package has it as `connectomics MODE ...`."""

from __future__ import annotations

import sys

try:
    from connectomics.command import main
    from connectomics.process.outcome import in_process
except ModuleNotFoundError as error:
    if (error.name or "").startswith("connectomics."):
        raise
    print(
        f"{sys.executable}: has no {error.name}, which this program needs.\n"
        "  Use the Python it was installed for: `. .venv/bin/activate`, once in each terminal, "
        "where `make demo` made that folder; else install it: pip install -e .",
        file=sys.stderr,
    )
    sys.exit(2)

__all__ = ["main"]

if __name__ == "__main__":
    with in_process():
        sys.exit(main())
