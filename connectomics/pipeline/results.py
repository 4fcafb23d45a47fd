"""What a test leaves in its run folder, and which volume each of it is of.

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

Probabilities and labels say what they were made from (`Origin`): the voxels of the volume, the
settings, the code. A stage that finds its result made from just that leaves it. What is of
another volume is never taken for it, whatever the folder is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from connectomics.checkpoints import LAST, newest
from connectomics.config.schema import SplitSection
from connectomics.data.build import find_images
from connectomics.data.identity import Identity, canonical, identify
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.location import parse_location
from connectomics.data.origin import origin_of
from connectomics.data.volumes import LabelledVolume
from connectomics.decoding import EXPORTS
from connectomics.digests import file_digest
from connectomics.errors import CheckpointError, DataError
from connectomics.naming import folder_names
from connectomics.pipeline.by_block import known_volumes
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

    def begun(self, name: str) -> Path:
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
        return [] if origin_of(self.labels) is None else [*self.of_labels(), self.picture]

    def replaced_by_labels(self) -> list[Path]:
        """What other labels say nothing of that were made without keeping probabilities."""
        there = self.forms(PROBABILITIES)
        return [*there, self.config(there[0]), self.picture]

    def made(self) -> bool:
        """Whether there is anything to decode or to score."""
        return self.first.exists()

    def describe(self) -> str:
        """Name the folder, and the volume that its results are of if they say it."""
        origin = origin_of(self.first)
        known = f" ({origin.image.describe()})" if origin and origin.image else ""
        return f"{self.folder.name}{known}"


@dataclass(frozen=True)
class Asked:
    """A volume whose results are asked for.

    Attributes:
        name: Its folder is named after it.
        source: As the user wrote it.
        image: None where the volume is not there any more, and only its results are.
        z_range: The sections asked for.
    """

    name: str
    source: str
    image: LazyVolume | None = None
    z_range: tuple[int, int] | None = None

    def describe(self, known: Identity | None = None) -> str:
        """Name it, with its sections where these are known."""
        return self.source if self.image is None else identify(self.image, known).describe()


def ask(volume: LabelledVolume) -> Asked:
    """Ask for the results of an open volume."""
    image = volume.image
    assert isinstance(image, LazyVolume)
    return Asked(volume.name, image.source, image)


def asked_of(split: SplitSection | None) -> list[Asked]:
    """The volumes that a split names, whether they are there or not.

    Raises:
        DataError: One is there, and something is wrong with it.
    """
    if split is None:
        return []
    return [Asked(*found, z_range=split.z_range) for found in find_images(split, "data.test")]


def results_of_volumes(
    parent: Path, volumes: Sequence[LabelledVolume]
) -> list[tuple[LabelledVolume, VolumeResults]]:
    """Give each volume the folder of its results, see `folders_of`."""
    return list(zip(volumes, folders_of(parent, [ask(one) for one in volumes]), strict=True))


def folders_of(parent: Path, asked: Sequence[Asked]) -> list[VolumeResults]:
    """Give each volume the folder of its results, there or to be made.

    Where results are of the volume, that is the one, whatever it is called and whatever other
    volumes are asked for. Else it is a new one, named after the volume; or one of that name
    whose results do not say which volume they are of.
    """
    there = _known_results(parent)
    chosen: dict[int, VolumeResults] = {}
    for is_of in (_is_at, _is_same):
        for i, one in enumerate(asked):
            free = (found for found in there if i not in chosen and found not in chosen.values())
            found = next((found for found in free if is_of(there[found], one)), None)
            if found is not None:
                chosen[i] = found
    rest = [i for i in range(len(asked)) if i not in chosen]
    taken = [results.folder.name for results in there]
    new = _folders(parent, [asked[i].name for i in rest], taken)
    return [results for _, results in sorted([*chosen.items(), *zip(rest, new, strict=True)])]


def _folders(parent: Path, names: Sequence[str], taken: Sequence[str] = ()) -> list[VolumeResults]:
    return [VolumeResults(parent / name) for name in folder_names(names, taken)]


def _known_results(parent: Path) -> dict[VolumeResults, Identity]:
    """The folders with results, or begun ones, that say of which volume, and that volume."""
    known = {}
    for folder in sorted(parent.glob("*/"), key=lambda path: (len(path.name), path.name)):
        results = VolumeResults(folder)
        origin = origin_of(results.first)
        found = [known_volumes(results.begun(name)) for name in (PROBABILITIES, LABELS)]
        for volumes in found if origin is None else [origin.volumes]:
            if "image" in volumes:
                known[results] = volumes["image"]
    return known


def _is_at(known: Identity, asked: Asked) -> bool:
    """Whether results are of the place asked for, whatever is there by now."""
    path, dataset = canonical(asked.source), parse_location(asked.source).dataset
    if str(path) != known.path or dataset not in (None, known.dataset):
        return False
    if asked.image is not None:
        part = (asked.image.origin, asked.image.shape)
        return (
            part == (known.origin, known.shape) and asked.image.dataset.strip("/") == known.dataset
        )
    first, depth = known.origin[0], known.shape[0]
    return first == 0 if asked.z_range is None else asked.z_range == (first, first + depth)


def _is_same(known: Identity, asked: Asked) -> bool:
    """Whether results are of the voxels asked for, wherever these were then."""
    image = asked.image
    if image is None or (image.shape, image.dtype.name) != (known.shape, known.dtype):
        return False
    return identify(image, known).content == known.content


def existing_results(
    parent: Path, asked: Sequence[Asked], *, all_of_them: bool = False
) -> list[tuple[Asked, VolumeResults]]:
    """Find the results of volumes.

    Args:
        parent: The folder of all results.
        asked: The volumes; where none are, all that have probabilities.
        all_of_them: Whether each must have results, if only labels; otherwise one must have
            probabilities, and it is said which have none.

    Raises:
        DataError: Some, or all, have none.
    """
    there = [results for results in map(VolumeResults, sorted(parent.glob("*/"))) if results.made()]
    if not asked:
        asked = [Asked(results.folder.name, str(results.folder)) for results in there]
        pairs = list(zip(asked, there, strict=True))
    else:
        pairs = list(zip(asked, folders_of(parent, asked), strict=True))
    found = [
        (one, results)
        for one, results in pairs
        if results.probabilities.exists() or (all_of_them and results.labels.exists())
    ]
    missing = [pair for pair in pairs if pair not in found]
    if not found or (all_of_them and missing):
        problem = "holds no probabilities."
        if there:
            wanted = ", ".join(one.describe() for one, _ in missing)
            others = ", ".join(results.describe() for results in there)
            problem = f"holds no probabilities of {wanted} (data.test), only of {others}."
        remedy = f"Make them first with --mode infer, or all with --mode test.\n{FILES_REMEDY}"
        raise DataError(str(parent), problem, remedy)
    for one, results in missing:
        print(f"  {results.probabilities} is not there; make it with --mode infer ({one.source})")
    return found


def image_of(
    path: Path, asked: Asked, guess: Identity | None = None
) -> tuple[Identity | None, str]:
    """Make sure that a result is of the volume asked for.

    Args:
        path: The result.
        asked: The volume.
        guess: What a result of another program was taken to be of before.

    Returns:
        The volume, None where neither the result nor a file tells; and what has to be said where
        the result does not tell.

    Raises:
        DataError: The result is of another volume, of other sections, or of the same before it
            was changed.
    """
    origin = origin_of(path)
    known = origin.image if origin else None
    if asked.image is None:
        return known, "" if known else f"{path} does not say which volume it is of."
    now = identify(asked.image, known or guess)
    if known is None:
        said = f"{path} does not say which volume it is of: it is taken to be of {now.describe()}."
        return now, said
    if known.content != now.content:
        raise DataError(
            str(path),
            f"is of {known.difference(now)}, and the config asks for {now.describe()}.",
            "Make it anew with --mode infer or --mode test, or name the volume that it is of.",
        )
    return now, ""


def require_made_with(path: Path, checkpoint: Path | None) -> None:
    """Make sure that a result comes from the network of a checkpoint, where one is named.

    Raises:
        DataError: It comes from another.
    """
    if checkpoint is None or origin_of(path) is None:
        return
    with open_volume(path) as volume:
        made_with = volume.attributes.get("checkpoint_sha256")
        name = volume.attributes.get("checkpoint")
    now = file_digest(checkpoint)
    if made_with and now and made_with != now:
        problem = f"comes from another network, {name}; --checkpoint is {checkpoint}."
        if str(checkpoint) == name:
            problem = f"comes from {name} as it was before; it has changed since."
        remedy = "Make it anew with --mode infer or --mode test, or name the other checkpoint."
        raise DataError(str(path), problem, remedy)


def require_checkpoint(checkpoint: Path | None, save_path: str, mode: str) -> Path:
    """Insist on a checkpoint, and offer the newest one where none was given.

    Raises:
        CheckpointError: None was given.
    """
    if checkpoint is not None:
        return checkpoint
    found = newest(save_path, f"*/checkpoints/{LAST}")
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
    found = _newest(save_path, "results", PROBABILITIES) or _newest(save_path, "results", LABELS)
    if found is None:
        raise DataError(
            save_path,
            "no run there has probabilities.",
            f"Make them first with --mode infer, or name a run's --checkpoint.\n{FILES_REMEDY}",
        )
    return RunFolder(found.parent.parent)


def tuned_run(checkpoint: Path | None, save_path: str) -> RunFolder:
    """Find the run folder in which to tune: as `run_of`, by the probabilities of validation.

    Raises:
        CheckpointError: Without a checkpoint, where no run has such probabilities.
    """
    found = None if checkpoint else _newest(save_path, "tuning", PROBABILITIES)
    if found is not None:
        return RunFolder(found.parent.parent)
    return run_of(require_checkpoint(checkpoint, save_path, "tune"), save_path)


def _newest(save_path: str, part: str, name: str) -> Path | None:
    """The folder of a volume whose `PROBABILITIES` or `LABELS` are the newest of all runs."""
    folders = {}
    for file, depth in ((f"{name}.h5", 0), (f"{name}.zarr/zarr.json", 1)):
        found = newest(save_path, f"*/{part}/*/{file}")
        if found is not None:
            folders[found.stat().st_mtime] = found.parents[depth]
    return folders[max(folders)] if folders else None
