"""The scores of a run: its labels compared with ground truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar

from connectomics.blocks import Shard, discard
from connectomics.config import Config
from connectomics.data.alignment import require_alignment
from connectomics.data.cache_key import CacheKey, key_in, reading_result
from connectomics.data.identity import Identity
from connectomics.data.io import open_volume
from connectomics.decoding import read_table
from connectomics.digests import code_digest, digest, file_digest
from connectomics.evaluation import EvaluationReport, LabelPair, write_report
from connectomics.evaluation.build import evaluate_volumes
from connectomics.geometry import Triple
from connectomics.keeping import replacing
from connectomics.pipeline.artifact import Artifact, volumes_begun
from connectomics.pipeline.by_block.counting import VOLUMES, counted_by_block, known_by_block
from connectomics.pipeline.by_block.workers import shard_of, unfinished
from connectomics.pipeline.labelled import Labelled
from connectomics.pipeline.results import CURVES, PAGE, SCORES
from connectomics.runs import Provenance
from connectomics.scoring.pairs import read_pair, stored_as

CODE = ("evaluation", "scoring", "decoding", "data/processing", "data/annotations.py")
"""What turns labels into scores; the synapses of labels without a table are listed as decoded."""

SUM = "sum"
"""What scores say of themselves: the sum of all else in their file."""


@dataclass(frozen=True)
class Scores(Artifact):
    """The scores of all volumes, as a table, as JSON, and synapse by synapse.

    Attributes:
        volumes: What is scored.
        folder: Where they go.
        config: Of the stage.
        provenance: How they come about.
        seen: What the training has seen of each volume, where that is known.
    """

    volumes: Sequence[Labelled]
    folder: Path
    config: Config
    provenance: Provenance
    seen: Sequence[str] = ()
    stage: ClassVar[str] = "evaluate"
    making: ClassVar[str] = "scoring"

    @property
    def path(self) -> Path:
        """The file that holds every count."""
        return self.folder / "scores.json"

    @property
    def _known(self) -> Path:
        """Where lies what was read of volumes to know them, until there are scores of these."""
        return self.in_progress.with_name(VOLUMES)

    def upstream(self) -> list[Artifact]:
        """The labels, but those that are taken as they are."""
        return [one.labels for one in self.volumes if one.labels]

    def made_from(self) -> CacheKey | None:
        """As that file says."""
        return key_in(self._stored()) if self.path.exists() else None

    @property
    def shard(self) -> Shard | None:
        """By the config."""
        return shard_of(self.config.system)

    def key(self, block: Triple | None) -> CacheKey:
        """Labels and their tables, ground truth and where it counts, settings, notes, and code."""
        before = self.made_from()
        known = {**(before.volumes if before else {}), **volumes_begun(self.in_progress)}
        volumes: dict[str, Identity] = {}
        parts: dict[str, Any] = {
            "volumes": [one.volume.name for one in self.volumes],
            "evaluation": self.config.evaluation.model_dump(
                mode="json", exclude={"enabled", "viewer"}
            ),
            "version of the code": code_digest(*CODE),
        }
        for one, seen in zip_longest(self.volumes, self.seen, fillvalue=""):
            assert isinstance(one, Labelled)
            with known_by_block(self._known, self.config.system, self.stage, kept=True):
                more, read = one.made_from(known)
            parts |= more | {f"notes on {one.volume.name}": [seen, *one.notes(self.config)]}
            volumes |= read
        return CacheKey(parts, volumes)

    def lacks(self) -> str:
        """That file, or what lies beside it, where it is not as it was written."""
        stored = dict(self._stored())
        whole = stored.pop(SUM, None) == digest(stored) and all(
            file_digest(self.folder / name) == written for name, written in stored["files"].items()
        )
        return "" if whole else "or a file beside it is not as it was written"

    def refresh(self) -> bool:
        """Remove what a command has left that was killed when it had made them."""
        discard(self._known)
        return False

    def make(self, key: CacheKey, block: Triple | None) -> bool:
        """Score all volumes; a shard does its share of the blocks, and puts nothing together.

        Raises:
            DataError: Labels do not fit, or nothing can be written.
        """
        system = self.config.system
        with counted_by_block(self.in_progress, key, system, self.stage):
            report = self.report
        if system.shard is not None:
            print(unfinished(0, self.stage))
            return False
        pictures = [one.results.picture for one in self.volumes]
        write_scores(
            report,
            self.folder,
            synthetic=any(one.volume.synthetic for one in self.volumes),
            key=key,
            stale=[self.folder / PAGE, *pictures],
            about={self.folder / name: text for name, text in self.provenance.texts().items()},
        )
        discard(self._known)
        return True

    @cached_property
    def report(self) -> EvaluationReport:
        """The scores; where they are there already, they are found again, with every match."""
        return evaluate_volumes(map(_announced, self.pairs()), self.config.evaluation)

    def pairs(self) -> Iterator[LabelPair]:
        """Truth and prediction, one volume at a time, with what has to be said of them."""
        for one, seen in zip_longest(self.volumes, self.seen):
            results, volume = one.results, one.volume
            with reading_result(results.labels, "decode"), open_volume(results.labels) as labels:
                require_alignment(volume.image, labels)
                table = read_table(results.table) if results.table.is_file() else None
                stored = stored_as(labels)
                section = self.config.evaluation
                pair = read_pair(volume, labels, section, encoding=stored.encoding, table=table)
                guess = (stored.note("prediction", labels),) if stored.guessed else ()
                said = filter(None, (seen, *one.notes(self.config), *guess, *pair.notes))
                yield pair._replace(notes=tuple(said))

    def table(self) -> str:
        """The scores to read, as they are there."""
        return (self.folder / "scores.txt").read_text(encoding="utf-8")

    def files(self) -> list[Path]:
        """What there is of them."""
        return [path for name in (*SCORES, *CURVES) if (path := self.folder / name).exists()]

    def _stored(self) -> Mapping[str, Any]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _announced(pair: LabelPair) -> LabelPair:
    print(f"evaluate: {pair.name} {tuple(pair.prediction.shape)}", flush=True)
    return pair


def write_scores(
    report: EvaluationReport,
    folder: Path,
    *,
    key: CacheKey | None = None,
    synthetic: bool = False,
    pictures: Mapping[Path, Callable[[Path], object]] | None = None,
    stale: Sequence[Path] = (),
    about: Mapping[Path, str] | None = None,
) -> list[Path]:
    """Write a report, and a picture of precision and recall where there is confidence.

    What stood there goes to `earlier/`; where all is as it was, it stays.

    Args:
        report: The scores.
        folder: Where to.
        key: What they were made from, for `scores.json` to say.
        synthetic: Whether there is synthetic EM among it, which the picture has to say.
        pictures: What draws further pictures, by their places below the folder.
        stale: What goes to `earlier/` besides.
        about: Texts that say how the scores were made, by their places.

    Returns:
        The files written.
    """
    curves, pictures = report.curves, pictures or {}
    names = (*SCORES, *(CURVES if curves else ()))
    # The one that says what all were made from comes first.
    scores = sorted((folder / name for name in names), key=lambda path: path.suffix != ".json")
    paths = [*scores, *pictures]
    stale = [*stale, *(folder / name for name in CURVES)]
    with replacing(*paths, stale=stale, about=about) as new:
        write_report(report, new[0].parent, about=key and key.attributes())
        for path, draw in zip(new[len(scores) :], pictures.values(), strict=True):
            draw(path)
        if curves:
            from connectomics.report import precision_recall_figure

            name, shown = list(curves.items())[-1]
            title = f"polarity, {name}{' (synthetic EM)' if synthetic else ''}"
            precision_recall_figure(new[len(scores) - 1], shown, title=title)
        if key:
            _seal(new[0], new[1 : len(scores)])
    return [*(folder / name for name in names), *pictures]


def _seal(path: Path, beside: Sequence[Path]) -> None:
    """Let scores say how they and the files beside them were written, see `Scores.lacks`."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["files"] = {one.name: file_digest(one) for one in beside}
    sealed = {**stored, SUM: digest(stored)}
    path.write_text(json.dumps(sealed, indent=2, allow_nan=False) + "\n", encoding="utf-8")
