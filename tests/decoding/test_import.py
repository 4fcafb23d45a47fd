"""The package is quick to import."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "numba", "scipy", "pandas", "pydantic", "skimage", "hydra", "h5py")


def test_importing_the_decoder_imports_nothing_heavy():
    program = (
        "import sys; from connectomics.decoding import polarity2instance; "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
