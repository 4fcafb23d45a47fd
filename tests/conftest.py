"""Lets tests import the command line, `from main import main`, without a process of its own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
