"""`--check --mode test`: what a test would use, and what it would take, before it does."""

from __future__ import annotations

from pathlib import Path

from connectomics.checkpoints import LAST, newest
from connectomics.config import Config, Resolved
from connectomics.data.oddities import oddities
from connectomics.data.overlap import learned_faults
from connectomics.data.processing import channel_names
from connectomics.data.volumes import LabelledVolume
from connectomics.naming import seen_from_here
from connectomics.pipeline.planning import plan
from connectomics.pipeline.results import run_of
from connectomics.pipeline.stages import require_testable
from connectomics.pipeline.validating import notes_on_training
from connectomics.pipeline.volume_lines import draw_section, show, volume_lines
from connectomics.process.called import to_type


def check_test(resolved: Resolved, checkpoint: Path | None) -> None:
    """Show what a test uses, with a picture; with a checkpoint, what it takes.

    Args:
        resolved: The config, for `test`.
        checkpoint: That the test would use, if there is one.

    Raises:
        ConfigError: The config cannot be tested.
        DataError: Its volumes cannot.
        CheckpointError: The checkpoint is of another network.
    """
    config = resolved.config
    print(f"check: {resolved.file}: reading what is tested on", flush=True)
    volumes = require_testable(resolved)
    sided = "pre" in channel_names(config.data.label_transform.targets)
    for volume in volumes:
        show("test", list(volume_lines(volume, config.evaluation.truth_encoding)))
    for note in _notes(config, volumes, checkpoint):
        show("note", [note])
    faults = [*dict.fromkeys(oddities(volumes, sided=sided))]
    if checkpoint is None:
        faults += learned_faults(config.data.test, "data.test", resolved.training.data)
    for text in map(str, faults) if faults else ["nothing"]:
        show("odd", text.splitlines())
    folder = seen_from_here(config.save_path) / "check"
    show("pictures", [str(draw_section(volumes[0], folder, sided=sided))])
    if checkpoint is not None:
        plan(resolved, checkpoint)
    print(f"\ncheck: {_next(resolved, checkpoint)}")


def _next(resolved: Resolved, checkpoint: Path | None) -> str:
    """What to type next."""
    file, words = resolved.file, resolved.overrides
    found = checkpoint or newest(resolved.config.save_path, f"*/checkpoints/{LAST}")
    if found is None:
        return f"to train first:\n    {to_type('train', file, *words)}"
    named = "--checkpoint", str(seen_from_here(found))
    return f"to test:\n    {to_type('test', file, *named, *words)}"


def _notes(config: Config, volumes: list[LabelledVolume], checkpoint: Path | None) -> list[str]:
    """What is known of the network, and what it has seen of the volumes."""
    if checkpoint is None:
        how = "a --checkpoint tells how long a test takes, and how much memory"
        return [f"{how}, once there is one"]
    seen = notes_on_training(config.data.test, run_of(checkpoint, config.save_path))
    pairs = zip(volumes, seen, strict=False)
    return [f"{volume.name}: {note}" for volume, note in pairs if note]
