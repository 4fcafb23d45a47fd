"""Which run folder a stage works in: that of its checkpoint, or the newest that has results."""

from __future__ import annotations

from pathlib import Path

from connectomics.checkpoints import LAST, newest
from connectomics.errors import CheckpointError, DataError
from connectomics.naming import seen_from_here
from connectomics.pipeline.results import FILES_REMEDY, LABELS, PROBABILITIES
from connectomics.runs import RunFolder, run_of_checkpoint


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
