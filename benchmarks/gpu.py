"""Fills the rows of a GPU in the table of benchmarks: one command, under eight minutes, no network.

    python benchmarks/gpu.py            # writes benchmarks/table.json
    python benchmarks/gpu.py --check    # compares with it

Needs PyTorch with a GPU, MONAI and this package; rows that cannot be measured stay as they are.
"""

from __future__ import annotations

import sys

from bench import main

if __name__ == "__main__":
    sys.exit(main(["--gpu", *sys.argv[1:]]))
