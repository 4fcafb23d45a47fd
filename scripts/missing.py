"""What is said where a Python lacks this program.

The scripts run this file by its place, as such a Python need not look into this folder either.
"""

from __future__ import annotations

import sys


def end(error: ModuleNotFoundError) -> None:
    """Say what to do and end, unless it is a module of our own that is missing: that is a fault."""
    if (error.name or "").startswith("connectomics."):
        return
    print(
        f"{sys.executable}: has no {error.name}, which this program needs.\n"
        "  Use the Python it was installed for: `. .venv/bin/activate`, once in each terminal, "
        "where `make demo` made that folder; else install it: pip install -e .",
        file=sys.stderr,
    )
    sys.exit(2)
