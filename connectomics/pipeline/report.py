"""The report of a run: one page, and a picture of each volume."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from connectomics import __version__
from connectomics.config import Resolved
from connectomics.config.schema import SystemSection
from connectomics.data.cache_key import CacheKey, key_in, key_of, reading_result
from connectomics.data.identity import identify
from connectomics.data.io import LazyVolume, open_volume
from connectomics.decoding import read_table
from connectomics.digests import bytes_digest, code_digest, digest, file_digest
from connectomics.evaluation.encoding import SIDED
from connectomics.evaluation.volumes import read
from connectomics.geometry import Triple
from connectomics.keeping import replacing
from connectomics.pipeline.artifact import Artifact
from connectomics.pipeline.by_block.counting import counted_by_block
from connectomics.pipeline.labelled import Labelled
from connectomics.pipeline.results import PAGE
from connectomics.pipeline.scores import CODE, Scores
from connectomics.pipeline.validating import notes_on_training
from connectomics.runs import Provenance, RunFolder
from connectomics.scoring.labels import open_labels
from connectomics.scoring.pairs import confidences, stored_as

if TYPE_CHECKING:
    from connectomics.report import Background
    from connectomics.report.scenes import Scene

MADE_FROM, END = "<!-- made from ", " -->\n"
"""Around what a page says at its end of what it was made from."""


@dataclass(frozen=True)
class Report(Artifact):
    """What became of each synapse, or what was found where nothing is scored.

    Attributes:
        volumes: What it shows.
        folder: Where it goes.
        background: What else it says.
        provenance: How it comes about.
        system: Who looks at large volumes.
        scores: Of these volumes; None where they are not scored.
    """

    volumes: Sequence[Labelled]
    folder: Path
    background: Background
    provenance: Provenance
    system: SystemSection
    scores: Scores | None = None
    making: ClassVar[str] = "drawing"

    @property
    def stage(self) -> str:  # pyright: ignore
        """Scores and their report are made together."""
        return "evaluate" if self.scores else "test"

    @property
    def path(self) -> Path:
        """The page."""
        return self.folder / PAGE

    @property
    def pictures(self) -> list[Path]:
        """EM, truth and prediction of each volume."""
        return [one.results.picture for one in self.volumes]

    def upstream(self) -> list[Artifact]:
        """Scores, or else labels."""
        if self.scores is not None:
            return [self.scores]
        return [one.labels for one in self.volumes if one.labels]

    def made_from(self) -> CacheKey | None:
        """As the page says at its end."""
        return key_in(self._read()[1])

    def key(self, block: Triple | None) -> CacheKey:
        """Scores or labels, the EM it shows, what else it says, and code."""
        parts: dict[str, Any] = {}
        if self.scores is not None:
            made = self.scores.made_from()
            parts["scores"] = made and made.digest
        for one in self.volumes:
            key = key_of(one.results.labels)
            image = one.volume.image
            assert isinstance(image, LazyVolume)
            parts[f"EM of {one.volume.name}"] = identify(image, key and key.image).content
            if self.scores is None:
                parts |= one.made_from({})[0]
        for field in fields(self.background):
            value = getattr(self.background, field.name)
            parts[field.name] = value if isinstance(value, str) else digest(str(value))
        code = code_digest("report", "neuroglancer", "pipeline/report.py", *CODE)
        return CacheKey({**parts, "version": __version__, "version of the code": code})

    def lacks(self) -> str:
        """The page or a picture, where they are not as they were written."""
        page, said = self._read()
        whole = said.get("files") == [bytes_digest(page), *map(file_digest, self.pictures)]
        return "" if whole else "or a picture of it is not as it was written"

    def _read(self) -> tuple[bytes, dict[str, Any]]:
        """The page without its end, and what that says."""
        try:
            page, _, said = self.path.read_bytes().rpartition(MADE_FROM.encode())
            found = json.loads(said.removesuffix(END.encode()))
        except (OSError, ValueError):
            return b"", {}
        return (page, found) if isinstance(found, dict) else (b"", {})

    def make(self, key: CacheKey, block: Triple | None) -> bool:
        """Draw it.

        Raises:
            DataError: It cannot be written.
        """
        from connectomics.report import write_page

        # Scores have written how they came about, unless they are as they were.
        texts = self.provenance.texts() if self.scores and self.path.exists() else {}
        about = {self.folder / name: text for name, text in texts.items()}
        scenes = found_scenes(self.volumes) if self.scores is None else scored_scenes(self.scores)
        counted = counted_by_block(self.in_progress, key, self.system, self.stage)
        with counted, replacing(self.path, *self.pictures, about=about) as (page, *pictures):
            write_page(page, scenes, self.scores and self.scores.report, self.background)
            for one, picture in zip(self.volumes, pictures, strict=True):
                draw(one, picture)
            files = list(map(file_digest, (page, *pictures)))
            with page.open("a", encoding="utf-8") as file:
                said = json.dumps({**key.attributes(), "files": files}).replace(">", "\\u003e")
                file.write(f"{MADE_FROM}{said}{END}")
        return True

    def tell(self) -> None:
        """Say what there is to read and to look at."""
        if self.scores is None:
            print("test: " + "\n      ".join(map(str, (self.path, *self.pictures))))
            return
        print(f"\n{self.scores.table()}")
        files = (*self.scores.files(), *self.pictures)
        print("evaluate: " + "\n          ".join(map(str, files)))
        print(f"evaluate: to look at, in a browser: {self.path}")


def report_of(
    resolved: Resolved,
    run: RunFolder,
    volumes: Sequence[Labelled],
    provenance: Provenance,
    *,
    scored: bool,
) -> Report:
    """The report of the labels of a run, which asks for their scores if there shall be any."""
    from connectomics.report import background_of

    config, scores = resolved.config, None
    if scored:
        seen = notes_on_training(config.data.test, run)
        scores = Scores(volumes, run.results, config, provenance, seen)
    background = background_of(resolved, run)
    return Report(volumes, run.results, background, provenance, config.system, scores)


def scored_scenes(scores: Scores) -> Iterator[Scene]:
    """Show what became of each synapse, one volume at a time in memory."""
    from connectomics.report import scored_scene

    section = scores.config.evaluation
    dilate_sz = {metric.name: metric.kwargs.get("dilate_sz") for metric in section.metrics}
    for one, pair, found in zip(scores.volumes, scores.pairs(), scores.report.volumes, strict=True):
        image = one.volume.image
        yield scored_scene(one.volume, pair, found, image=image, dilate_sz=dilate_sz)


def found_scenes(volumes: Sequence[Labelled]) -> Iterator[Scene]:
    """Show what was found where there is no truth, one volume at a time in memory."""
    from connectomics.report import Found, found_scene

    for one in volumes:
        results = one.results
        with reading_result(results.labels, "decode"), open_volume(results.labels) as labels:
            encoding = stored_as(labels).encoding
            found = Found(open_labels(labels)[0], encoding)
            if results.table.is_file():
                found = found._replace(confidence=confidences(read_table(results.table)))
            yield found_scene(one.volume, found, image=one.volume.image)


def draw(one: Labelled, path: Path) -> None:
    """Write the picture of EM, truth and prediction of one volume."""
    from connectomics.report import busiest_view, comparison_figure, section_title

    volume, results = one.volume, one.results
    with reading_result(results.labels, "decode"), open_volume(results.labels) as labels:
        sides = stored_as(labels).encoding in SIDED
        panels = {"prediction": open_labels(labels)[0]}
        if volume.label is not None:
            panels = {"truth": open_labels(volume.label)[0], **panels}
        box = busiest_view(*panels.values())
        shown = {name: read(labels, box)[0] for name, labels in panels.items()}
    comparison_figure(
        path,
        shown,
        volume.image.read(box)[0],
        title=section_title(
            volume.name, box.start[0], volume.origin[0], synthetic=volume.synthetic
        ),
        sides=sides,
        nm_per_pixel=volume.resolution[2] if volume.resolution else None,
    )
