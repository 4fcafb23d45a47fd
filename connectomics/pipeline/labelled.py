"""A volume with its labels: made, where they are not what is asked for, or taken as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from connectomics.config import Config
from connectomics.data.cache_key import DIGEST, key_of, reading_result
from connectomics.data.identity import Identity, identify
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.location import parse_location
from connectomics.data.volumes import LabelledVolume
from connectomics.digests import digest, file_digest
from connectomics.errors import DataError
from connectomics.pipeline.comparing import (
    image_of,
    other_settings,
    require_as_asked,
    require_made_with,
    require_whole,
)
from connectomics.pipeline.labels import Labels
from connectomics.pipeline.result_folders import ask, existing_results
from connectomics.pipeline.results import VolumeResults
from connectomics.runs import Provenance


@dataclass(frozen=True)
class Labelled:
    """A volume with its labels.

    Attributes:
        volume: The volume.
        results: Where they lie.
        labels: How they are made; None where they are taken as they are.
        doubt: What has to be said of the latter.
    """

    volume: LabelledVolume
    results: VolumeResults
    labels: Labels | None = None
    doubt: str = ""

    @classmethod
    def of(cls, volume: LabelledVolume, labels: Labels) -> Self:
        """A volume with labels that are made; it is called what its folder is."""
        results = labels.results
        return cls(replace(volume, name=results.folder.name), results, labels)

    def notes(self, config: Config) -> list[str]:
        """What has to be said of the labels, once they are there."""
        doubt = self.labels.doubt if self.labels else self.doubt
        return list(filter(None, (doubt, other_settings(config, self.results))))

    def made_from(
        self, known: Mapping[str, Identity]
    ) -> tuple[dict[str, Any], dict[str, Identity]]:
        """What it holds, as parts and volumes of a `CacheKey`; see `identify` for `known`."""
        volume, name = self.volume, self.volume.name
        parts: dict[str, Any] = {
            f"table of {name}": file_digest(self.results.table),
            f"annotations of {name}": _annotations_digest(volume.annotations),
            f"place of {name}": [volume.resolution, volume.grid.offset_nm, volume.synthetic],
        }
        volumes = {}
        path = self.results.labels
        with reading_result(path, "decode"), open_volume(path) as labels:
            held = {"labels": labels, "truth": volume.label, "mask": volume.mask}
            for what, part in {**held, "neurons": volume.neurons}.items():
                if isinstance(part, LazyVolume):
                    key = f"{what} of {name}"
                    volumes[key] = identify(part, known.get(key))
                    # Labels may tell how they are stored, and what they were made from.
                    told = [str(part.attributes.get(name)) for name in ("encoding", DIGEST)]
                    parts[key] = digest(volumes[key].content, told)
        return parts, volumes


def _annotations_digest(source: str | None) -> str:
    """Sum up the file of annotations, and the group in it; empty where there are none."""
    if source is None:
        return ""
    location = parse_location(source)
    return digest(file_digest(location.path), location.dataset)


def with_labels(
    volumes: Sequence[LabelledVolume],
    config: Config,
    parent: Path,
    checkpoint: Path | None,
    provenance: Provenance,
) -> list[Labelled]:
    """Find the labels of volumes among results that are there.

    Where they are of other settings or of other probabilities than those that are there, they
    will be made anew. Labels of another program are taken as they are.

    Args:
        volumes: Those of `data.test`.
        config: Of the stage.
        parent: The folder of all results.
        checkpoint: The network they have to come from, if one is named.
        provenance: How labels come about that are made anew.

    Raises:
        DataError: There are none of a volume, they are of something else, or cannot be made anew.
    """
    split, section = config.data.test, config.decoding
    found = existing_results(parent, [ask(one, split) for one in volumes], all_of_them=True)
    labelled = []
    for volume, (asked, results) in zip(volumes, found, strict=True):
        require_made_with(results.first, checkpoint)
        made = Labelled.of(volume, Labels(asked, results, config, provenance))
        path, key = results.labels, key_of(results.labels)
        foreign = path.exists() and key is None
        if not section.steps or not results.probabilities.exists() or foreign:
            if not path.exists():
                problem = "is not there, and the config names no decoder to make it."
                remedy = "Add one: decoding: {steps: [{name: synapses}]}"
                raise DataError(str(path), problem, remedy)
            require_whole(path)
            _, doubt = image_of(path, asked)
            if key is not None and key.parts:
                require_as_asked(results, section, key)
            made = replace(made, labels=None, doubt=doubt)
        labelled.append(made)
    return labelled
