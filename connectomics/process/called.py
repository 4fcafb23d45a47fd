"""How this process was called, and commands to type next in the same words."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def is_installed() -> bool:
    """Whether this process was called as the command `connectomics`."""
    return Path(sys.argv[0]).stem == "connectomics"


def to_type(mode: str, config: str | Path | None, *words: str) -> str:
    """A command to type next, in the words in which this program was called.

    Args:
        mode: One of the modes, `init` or `check`.
        config: The YAML file, if any.
        words: What follows.

    >>> to_type("test", "my file.yaml", "--checkpoint", "CKPT")
    "python scripts/main.py --config 'my file.yaml' --mode test --checkpoint CKPT"
    """
    named = [] if config is None else ["--config", str(config)]
    if is_installed():
        return shlex.join(["connectomics", mode, *named, *words])
    script = sys.argv[0] if Path(sys.argv[0]).name == "main.py" else "scripts/main.py"
    chosen = {"train": [], "check": ["--check"], "init": ["--init"]}.get(mode, ["--mode", mode])
    return shlex.join(["python", script, *named, *chosen, *words])
