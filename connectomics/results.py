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

from connectomics.config.schema import SplitSection
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.location import format_of, parse_location
from connectomics.data.io.sections import find_sections
from connectomics.data.volumes import LabelledVolume, Volume
from connectomics.decoding import EXPORTS
from connectomics.errors import CheckpointError, DataError
from connectomics.files import writing_to
from connectomics.runs import RunFolder, keep_earlier, newest, run_of_checkpoint

KEY = "config_hash"
NEW = ".new_"
"""What the name of a folder begins with whose files are not whole yet."""

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
    return list(zip(volumes, _folders(parent, [volume.name for volume in volumes]), strict=True))


def _folders(parent: Path, names: Sequence[str]) -> list[VolumeResults]:
    before = [names[:i].count(name) for i, name in enumerate(names)]
    numbered = [f"{n}_{k + 1}" if k else n for n, k in zip(names, before, strict=True)]
    return [VolumeResults(parent / name) for name in numbered]


def existing_results(run: RunFolder, split: SplitSection | None) -> list[VolumeResults]:
    """Find the volumes whose probabilities lie in a run folder.

    Args:
        run: The folder.
        split: Names the volumes to find, which need not be there themselves; all are found where
            it names none.

    Raises:
        DataError: There are none.
    """
    named = _folders(run.results, _names(split))
    there = [VolumeResults(p.parent) for p in sorted(run.results.glob("*/probabilities.h5"))]
    found = [one for one in named or there if one in there]
    if not found:
        problem = "holds no probabilities."
        if there:
            wanted, others = (", ".join(one.folder.name for one in r) for r in (named, there))
            problem = f"holds no probabilities of {wanted} (data.test), only of {others}."
        remedy = f"Make them first with --mode infer.\n{FILES_REMEDY}"
        raise DataError(str(run.results), problem, remedy)
    for one in named:
        if one not in found:
            print(f"  {one.probabilities} is not there; make it with --mode infer")
    return found


def _names(split: SplitSection | None) -> list[str]:
    """What `open_split` calls the volumes of a split."""
    if split is None:
        return []
    if split.phantom is not None:
        return [f"phantom_{split.phantom.seed}"]
    return [parse_location(source).name for source in split.image or ()]


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


def state_of(volume: Volume) -> list[Any]:
    """What tells a volume on disk from others, and from a later state of the same files.

    Of several files, the time of the newest counts. Chunks of a Zarr array that are written
    anew one by one do not count.
    """
    assert isinstance(volume, LazyVolume)
    place = [volume.resolution, volume.offset_nm]
    return [volume.source, volume.shape, volume.origin, place, _changed(volume)]


def _changed(volume: LazyVolume) -> int:
    location = parse_location(volume.source)
    match format_of(location):
        case "sections":
            files = find_sections(location)
        case "zarr":
            files = (location.path / volume.dataset).iterdir()
        case _:
            files = (location.path,)
    return max(file.stat().st_mtime_ns for file in files)


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
        paths: Final places, all in one folder. The first takes its name last.
        stale: What was made from the earlier results and goes with them.

    Yields:
        Files of the same names, all in one new folder.
    """
    parent = paths[0].parent
    with writing_to(parent):
        parent.mkdir(parents=True, exist_ok=True)
        for left in sorted(parent.glob(f"{NEW}*")):
            print(f"  {left} is what a run that was killed left; if none is going on, delete it")
        folder = TemporaryDirectory(prefix=NEW, dir=parent)
    with folder as name:
        new = [Path(name) / path.name for path in paths]
        yield new
        for path in dict.fromkeys((*paths, *stale)):
            kept = keep_earlier(path)
            if kept:
                print(f"  the earlier {path.name} is kept as {kept}")
        # The first carries the digest, so it comes last: a run that is killed here begins anew.
        for path, written in reversed(list(zip(paths, new, strict=True))):
            written.rename(path)
