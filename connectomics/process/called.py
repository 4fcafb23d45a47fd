"""How this process was called, and commands to type next in the same words."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

SCRIPTS = ("main.py", "download_data.py", "view.py")


def is_installed() -> bool:
    """Whether this process was called as the command `connectomics`."""
    return Path(sys.argv[0]).stem == "connectomics"


def python_to_type(code: str) -> str:
    r"""A command that runs a line of Python, as it is easiest to read.

    >>> python_to_type("print('x')")
    'python -c "print(\'x\')"'
    """
    plain = not set(code) & set('"$`\\!')
    return f'python -c "{code}"' if plain else shlex.join(["python", "-c", code])


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
    called = Path(sys.argv[0])
    script = called.with_name("main.py") if called.name in SCRIPTS else "scripts/main.py"
    chosen = {"train": [], "check": ["--check"], "init": ["--init"]}.get(mode, ["--mode", mode])
    return shlex.join(["python", str(script), *named, *chosen, *words])
