"""What a test leaves in its run folder, and which run a stage works in.

    results/
        <volume>/probabilities.h5    infer
        <volume>/labels.h5           decode
        <volume>/synapses.csv        decode, where the labels have sides
        <volume>/synapses_*, ...     decode, the exports asked for
        <volume>/partners.csv        decode, where the neurons are known
        <volume>/blocks/             what is made block by block, until it is whole
        <volume>/*.config.yaml       the config that each of the two was made with, and how
        <volume>/comparison.png      evaluate
        scores.txt, scores.json, matches.csv, precision_recall.*
        config.yaml, provenance.yaml of the scores
        earlier/, <volume>/earlier/  what later results have replaced
    tuning/
        <volume>/probabilities.h5    of the volumes to validate on
        decoding/tuned.yaml          the best settings, a preset for `decoding=tuned`
        study.journal, trials.csv, search.png, config.yaml, provenance.yaml
        earlier/                     searches of other settings or for other scores

What is made block by block is `probabilities.zarr` and `labels.zarr`; one form takes the place of
the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from connectomics.checkpoints import LAST, newest
from connectomics.data.cache_key import key_of
from connectomics.decoding import EXPORTS
from connectomics.errors import CheckpointError, DataError
from connectomics.naming import seen_from_here
from connectomics.runs import RunFolder, run_of_checkpoint

FILES_REMEDY = """\
  Labels that were not made in a run need no config:
    python scripts/main.py --mode decode labels=FILE output=FOLDER
    python scripts/main.py --mode evaluate truth=FILE prediction=FILE"""
SCORES = ("scores.txt", "scores.json", "matches.csv")
CURVES = ("precision_recall.csv", "precision_recall.png")
PAGE = "report.html"
PROBABILITIES, LABELS = "probabilities", "labels"


@dataclass(frozen=True)
class VolumeResults:
    """The files made from one test volume."""

    folder: Path

    @property
    def probabilities(self) -> Path:
        """(C, Z, Y, X) probabilities, in the form they are there."""
        return self._there(PROBABILITIES)

    @property
    def labels(self) -> Path:
        """(Z, Y, X) labels, in the form they are there."""
        return self._there(LABELS)

    def forms(self, name: str) -> tuple[Path, Path]:
        """Where `PROBABILITIES` or `LABELS` lie, made at once or block by block."""
        return self.folder / f"{name}.h5", self.folder / f"{name}.zarr"

    def in_progress(self, name: str) -> Path:
        """The folder in which `PROBABILITIES` or `LABELS` are made block by block."""
        return self.folder / "blocks" / name

    def _there(self, name: str) -> Path:
        at_once, by_block = self.forms(name)
        return by_block if by_block.exists() else at_once

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
    def first(self) -> Path:
        """What says which volume the others are of."""
        return self.probabilities if self.probabilities.exists() else self.labels

    @property
    def picture(self) -> Path:
        """EM, truth and prediction side by side."""
        return self.folder / "comparison.png"

    def config(self, result: Path) -> Path:
        """The config that probabilities or labels were made with."""
        return result.with_suffix(".config.yaml")

    def of_labels(self) -> list[Path]:
        """What goes with the labels when these are made anew, there or not."""
        exports = [self.export(name) for name in EXPORTS]
        labels = self.forms(LABELS)
        return [*labels, self.config(self.labels), self.table, self.partners, *exports]

    def of_probabilities(self) -> list[Path]:
        """What goes with the probabilities when these are made anew, there or not.

        Labels that another program put there are nobody's but the user's.
        """
        return [] if key_of(self.labels) is None else [*self.of_labels(), self.picture]

    def replaced_by_labels(self) -> list[Path]:
        """What other labels say nothing of that were made without keeping probabilities."""
        there = self.forms(PROBABILITIES)
        return [*there, self.config(there[0]), self.picture]

    def made(self) -> bool:
        """Whether there is anything to decode or to score."""
        return self.first.exists()

    def describe(self) -> str:
        """Name the folder, and the volume that its results are of if they say it."""
        key = key_of(self.first)
        known = f" ({key.image.describe()})" if key and key.image else ""
        return f"{self.folder.name}{known}"


def require_checkpoint(checkpoint: Path | None, save_path: str, mode: str) -> Path:
    """Insist on a checkpoint, and offer the newest one where none was given.

    Raises:
        CheckpointError: None was given.
    """
    if checkpoint is not None:
        return checkpoint
    found = newest(save_path, f"*/checkpoints/{LAST}")
    remedy = (
        f"Add --checkpoint {seen_from_here(found)}, the newest of this experiment."
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
        elsewhere = RunFolder(seen_from_here(save_path) / checkpoint.stem)
        return run_of_checkpoint(checkpoint) or elsewhere
    found = _newest(save_path, "results", PROBABILITIES) or _newest(save_path, "results", LABELS)
    if found is None:
        raise DataError(
            save_path,
            "no run there has probabilities.",
            f"Make them first with --mode infer, or name a run's --checkpoint.\n{FILES_REMEDY}",
        )
    return RunFolder(seen_from_here(found.parent.parent))


def tuned_run(checkpoint: Path | None, save_path: str) -> RunFolder:
    """Find the run folder in which to tune: as `run_of`, by the probabilities of validation.

    Raises:
        CheckpointError: Without a checkpoint, where no run has such probabilities.
    """
    found = None if checkpoint else _newest(save_path, "tuning", PROBABILITIES)
    if found is not None:
        return RunFolder(seen_from_here(found.parent.parent))
    return run_of(require_checkpoint(checkpoint, save_path, "tune"), save_path)


def _newest(save_path: str, part: str, name: str) -> Path | None:
    """The folder of a volume whose `PROBABILITIES` or `LABELS` are the newest of all runs."""
    folders = {}
    for file, depth in ((f"{name}.h5", 0), (f"{name}.zarr/zarr.json", 1)):
        found = newest(save_path, f"*/{part}/*/{file}")
        if found is not None:
            folders[found.stat().st_mtime] = found.parents[depth]
    return folders[max(folders)] if folders else None
