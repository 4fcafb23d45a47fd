"""The run folder: where a training and everything made from it is kept.

<save_path>/<timestamp>/
    config.yaml        the config; running from it reproduces the run
    provenance.yaml    command, versions, git revision, seed
    checkpoints/       last.ckpt and the best ones
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

from connectomics.errors import CheckpointError
from connectomics.files import atomic_path, writing_to

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
EARLIER = "earlier"
LAST = "last.ckpt"
"""The checkpoint of the last validation, or of the step at which a training was stopped."""


@dataclass(frozen=True)
class RunFolder:
    """The places inside one run folder."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are written."""
        return self.path / "checkpoints"

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
    if folder.name == "checkpoints" and (folder.parent / "config.yaml").is_file():
        return RunFolder(folder.parent)
    return None


def find_checkpoint(path: Path) -> Path:
    """Find the checkpoint that a path names: itself, or the last one of a run's folder.

    Args:
        path: A checkpoint, a run folder or its `checkpoints` folder.

    Raises:
        CheckpointError: It is a folder without a `last.ckpt`.
    """
    if not path.is_dir():
        return path
    for found in (path / LAST, path / "checkpoints" / LAST):
        if found.is_file():
            print(f"checkpoint: {found}", file=sys.stderr)
            return found
    other = newest(path, f"*/checkpoints/{LAST}")
    raise CheckpointError(
        str(path),
        f"is a folder without {LAST} or checkpoints/{LAST}.",
        f"The newest below it is --checkpoint {other}" if other else "Name a .ckpt file.",
    )


def newest(save_path: str | Path, pattern: str) -> Path | None:
    """Find the newest file under a save path that matches, such as `*/checkpoints/last.ckpt`."""
    found = [path for path in Path(save_path).glob(pattern) if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def write_provenance(folder: Path, config_yaml: str, *, seed: int, notes: dict[str, Any]) -> None:
    """Write what is needed to know how a result came about, and to repeat it.

    Args:
        folder: Receives `config.yaml` and `provenance.yaml`; older ones are replaced.
        config_yaml: The document that reproduces the run.
        seed: The seed of the run.
        notes: Anything else worth keeping, such as the checkpoint started from.
    """
    provenance = {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.executable).name, *sys.argv]),
        "git_revision": git_revision(),
        "seed": seed,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        **notes,
    }
    for name, text in (
        ("config.yaml", config_yaml),
        ("provenance.yaml", yaml.safe_dump(provenance, sort_keys=False)),
    ):
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


def keep_earlier(path: Path, *companions: Path) -> Path | None:
    """Move what stands at `path` aside, so that a new result can take its name.

    It goes to `earlier/<its own time>/` in the same folder. Nothing a user made is lost.

    Args:
        path: A file or folder.
        companions: What was made together with it, and goes to the same place where it exists.

    Returns:
        Where it went, or None where nothing stood there.
    """
    if not path.exists():
        return None
    stamp = datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y-%m-%d_%H-%M-%S")
    moved = [path, *(other for other in companions if other.exists())]
    with writing_to(path):
        for suffix in ("", *(f"_{number}" for number in range(2, 1000))):
            folder = path.parent / EARLIER / f"{stamp}{suffix}"
            if not any((folder / one.name).exists() for one in moved):
                folder.mkdir(parents=True, exist_ok=True)
                for one in moved:
                    one.rename(folder / one.name)
                return folder / path.name
    raise RuntimeError(f"a thousand earlier versions of {path}")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
