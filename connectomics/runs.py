"""The run folder: where a training and everything made from it is kept.

<save_path>/<timestamp>/
    config.yaml        the config; running from it reproduces the run
    provenance.yaml    command, versions, git revision, seed
    checkpoints/       last.ckpt and the best ones
    measured/          what reading large training volumes whole has found
    tensorboard/
    results/           probabilities, labels, scores and pictures of tests
    tuning/            searches for decoder settings, and the presets they gave
"""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from connectomics.checkpoints import FOLDER
from connectomics.files import atomic_path, writing_to
from connectomics.naming import seen_from_here

PACKAGES = (
    "connectomics",
    "torch",
    "pytorch-lightning",
    "monai",
    "numpy",
    "scipy",
    "numba",
    "h5py",
    "optuna",
)


@dataclass(frozen=True)
class RunFolder:
    """The places inside one run folder."""

    path: Path

    @property
    def tensorboard(self) -> Path:
        """Where TensorBoard looks."""
        return self.path / "tensorboard"

    @property
    def results(self) -> Path:
        """Where tests write."""
        return self.path / "results"

    @property
    def tuning(self) -> Path:
        """Where tuning writes, and where presets are found."""
        return self.path / "tuning"


def new_run(save_path: str | Path) -> RunFolder:
    """Make a run folder named by the time; two runs never share one.

    Raises:
        DataError: The folder cannot be made.
    """
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    with writing_to(save_path):
        for suffix in ("", *(f"_{number}" for number in range(2, 1000))):
            path = Path(save_path) / f"{stamp}{suffix}"
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                if not path.is_dir():
                    raise
                continue
            return RunFolder(path)
    raise RuntimeError(f"a thousand runs in one second under {save_path}")


def run_of_checkpoint(checkpoint: Path) -> RunFolder | None:
    """Find the run folder a checkpoint lies in, if it lies in one.

    >>> run_of_checkpoint(Path("model.ckpt")) is None
    True
    """
    folder = checkpoint.absolute().parent
    if folder.name == FOLDER and (folder.parent / "config.yaml").is_file():
        return RunFolder(seen_from_here(folder.parent))
    return None


def presets_of(checkpoint: Path | None) -> list[Path]:
    """Where the presets are that were made for a checkpoint."""
    run = run_of_checkpoint(checkpoint) if checkpoint else None
    return [run.tuning] if run else []


@dataclass(frozen=True)
class Provenance:
    """What is needed to know how a result came about, and to repeat it.

    Attributes:
        config_yaml: The document that reproduces the run.
        facts: Command, versions, seed and whatever else is worth keeping, as plain values.
    """

    config_yaml: str
    facts: dict[str, Any]

    def texts(self) -> dict[str, str]:
        """Two files by name."""
        return {
            "config.yaml": self.config_yaml,
            "provenance.yaml": yaml.safe_dump(self.facts, sort_keys=False),
        }

    def one_text(self) -> str:
        """Both in one: a config that begins with comments."""
        facts = yaml.safe_dump(self.facts, sort_keys=False, width=1000)
        return "".join(f"# {line}\n" for line in facts.splitlines()) + f"\n{self.config_yaml}"


def provenance_of(config_yaml: str, *, seed: int, notes: dict[str, Any]) -> Provenance:
    """Note what this program is about to do.

    Args:
        config_yaml: The document that reproduces the run.
        seed: The seed of the run.
        notes: Anything else worth keeping, such as the checkpoint started from.
    """
    facts = {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.executable).name, *sys.argv]),
        "git_revision": git_revision(),
        "seed": seed,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        **notes,
    }
    return Provenance(config_yaml, facts)


def write_provenance(folder: Path, provenance: Provenance) -> None:
    """Write `config.yaml` and `provenance.yaml` into a folder; older ones are replaced."""
    for name, text in provenance.texts().items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def git_revision() -> str:
    """Name the commit of the package's checkout; `+changes` when files differ from it."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--abbrev=12", "--dirty=+changes"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
