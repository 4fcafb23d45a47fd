"""What a test leaves in its run folder, and where each stage finds what the one before made.

    results/
        config.yaml, provenance.yaml
        <volume>/probabilities.h5    infer
        <volume>/labels.h5           decode
        <volume>/synapses.csv        decode, where the labels have sides
        <volume>/synapses_*, ...     decode, the exports asked for
        <volume>/partners.csv        decode, where the neurons are known
        <volume>/comparison.png      evaluate
        scores.txt, scores.json, matches.csv, precision_recall.*
        earlier/                     what a later stage with other settings has replaced
    tuning/
        <volume>/probabilities.h5    of the volumes to validate on
        decoding/tuned.yaml          the best settings, a preset for `decoding=tuned`
        study.journal, trials.csv, search.png
        earlier/                     searches of other settings or for other scores

Probabilities and labels carry a `config_hash`: a digest of everything they depend on. A stage
that finds its result under the same hash leaves it; under another, it keeps the old one in
`earlier/`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.volumes import LabelledVolume
from connectomics.decoding import EXPORTS
from connectomics.errors import CheckpointError, DataError
from connectomics.files import writing_to
from connectomics.runs import RunFolder, keep_earlier, newest, run_of_checkpoint

KEY = "config_hash"
FILES_REMEDY = """\
  Labels that were not made in a run need no config:
    python scripts/main.py --mode decode labels=FILE output=FOLDER
    python scripts/main.py --mode evaluate truth=FILE prediction=FILE"""
SCORES = ("scores.txt", "scores.json", "matches.csv")
CURVES = ("precision_recall.csv", "precision_recall.png")


@dataclass(frozen=True)
class VolumeResults:
    """The files made from one test volume."""

    folder: Path

    @property
    def probabilities(self) -> Path:
        """(C, Z, Y, X) probabilities."""
        return self.folder / "probabilities.h5"

    @property
    def labels(self) -> Path:
        """(Z, Y, X) labels."""
        return self.folder / "labels.h5"

    @property
    def table(self) -> Path:
        """One row per synapse."""
        return self.folder / "synapses.csv"

    @property
    def partners(self) -> Path:
        """One row per synapse: its neurons, and how sure that is."""
        return self.folder / "partners.csv"

    def export(self, name: str) -> Path:
        """The table in another program's form, by its name in `EXPORTS`."""
        return self.folder / EXPORTS[name].file_name

    @property
    def picture(self) -> Path:
        """EM, truth and prediction side by side."""
        return self.folder / "comparison.png"


def results_of_volumes(
    run: RunFolder, volumes: Sequence[LabelledVolume]
) -> list[tuple[LabelledVolume, VolumeResults]]:
    """Give each test volume its folder."""
    return folders_of_volumes(run.results, volumes)


def folders_of_volumes(
    parent: Path, volumes: Sequence[LabelledVolume]
) -> list[tuple[LabelledVolume, VolumeResults]]:
    """Give each volume a folder, named after it; a name used twice gets a number."""
    used: dict[str, int] = {}
    pairs = []
    for volume in volumes:
        used[volume.name] = used.get(volume.name, 0) + 1
        number = f"_{used[volume.name]}" if used[volume.name] > 1 else ""
        pairs.append((volume, VolumeResults(parent / f"{volume.name}{number}")))
    return pairs


def existing_results(run: RunFolder) -> list[VolumeResults]:
    """Find the volumes whose probabilities lie in a run folder.

    Raises:
        DataError: There are none.
    """
    found = [VolumeResults(p.parent) for p in sorted(run.results.glob("*/probabilities.h5"))]
    if not found:
        raise DataError(
            str(run.results),
            "holds no probabilities.",
            f"Make them first with --mode infer.\n{FILES_REMEDY}",
        )
    return found


def require_checkpoint(checkpoint: Path | None, save_path: str, mode: str) -> Path:
    """Insist on a checkpoint, and offer the newest one where none was given.

    Raises:
        CheckpointError: None was given.
    """
    if checkpoint is not None:
        return checkpoint
    found = newest(save_path, "*/checkpoints/last.ckpt")
    remedy = (
        f"Add --checkpoint {found}, the newest of this experiment."
        if found
        else f"There is none under {save_path} yet: train first, with --mode train."
    )
    raise CheckpointError("--checkpoint", f"--mode {mode} needs one.", remedy)


def run_of(checkpoint: Path | None, save_path: str) -> RunFolder:
    """Find the run folder whose results a stage reads or writes.

    It is the one the checkpoint lies in; for a checkpoint from elsewhere, a folder of its name
    under the save path; without a checkpoint, the run with the newest probabilities.

    Raises:
        DataError: Without a checkpoint, where no run has results.
    """
    if checkpoint is not None:
        return run_of_checkpoint(checkpoint) or RunFolder(Path(save_path) / checkpoint.stem)
    found = newest(save_path, "*/results/*/probabilities.h5")
    if found is None:
        raise DataError(
            save_path,
            "no run there has probabilities.",
            f"Make them first with --mode infer, or name a run's --checkpoint.\n{FILES_REMEDY}",
        )
    return RunFolder(found.parent.parent.parent)


def tuned_run(checkpoint: Path | None, save_path: str) -> RunFolder:
    """Find the run folder in which to tune: as `run_of`, by the probabilities of validation.

    Raises:
        CheckpointError: Without a checkpoint, where no run has such probabilities.
    """
    found = None if checkpoint else newest(save_path, "*/tuning/*/probabilities.h5")
    if found is not None:
        return RunFolder(found.parent.parent.parent)
    return run_of(require_checkpoint(checkpoint, save_path, "tune"), save_path)


def digest(*parts: Any) -> str:
    """Sum up settings and file contents in twelve characters.

    >>> digest({"thres": 0.5}) == digest({"thres": 0.5}) != digest({"thres": 0.4})
    True
    """
    text = hashlib.sha256()
    for part in parts:
        text.update(
            part.read_bytes()
            if isinstance(part, Path)
            else json.dumps(part, sort_keys=True).encode()
        )
    return text.hexdigest()[:12]


def state_of(volume: LazyVolume) -> list[Any]:
    """What tells a volume on disk from others, and from a later state of the same file."""
    file = Path(volume.source.partition("::")[0]).expanduser()
    changed = file.stat().st_mtime_ns if file.is_file() else None
    return [volume.source, volume.shape, volume.origin, changed]


def is_made_from(path: Path, key: str) -> bool:
    """Tell whether a result stands at `path` and was made from just this."""
    if not path.is_file():
        return False
    with open_volume(path) as volume:
        return volume.attributes.get(KEY) == key


@contextmanager
def replacing(*paths: Path, stale: Iterable[Path] = ()) -> Iterator[list[Path]]:
    """Give places to write new results; once all are whole, they take the names `paths`.

    What stood there goes to `earlier/`, and it is said where; if writing fails, it stays.

    Args:
        paths: Final places, all in one folder.
        stale: What was made from the earlier results and goes with them.

    Yields:
        Files of the same names, all in one new folder.
    """
    parent = paths[0].parent
    with writing_to(parent):
        parent.mkdir(parents=True, exist_ok=True)
        folder = TemporaryDirectory(prefix=".new_", dir=parent)
    with folder as name:
        new = [Path(name) / path.name for path in paths]
        yield new
        for path in dict.fromkeys((*paths, *stale)):
            kept = keep_earlier(path)
            if kept:
                print(f"  the earlier {path.name} is kept as {kept}")
        for path, written in zip(paths, new, strict=True):
            written.rename(path)
