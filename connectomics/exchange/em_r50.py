"""EM-R50 (JWR15): rat cortex with pre- and post-synaptic sides.

Public notebooks and configs name `img.h5` and `syn.h5`, `data_img.h5` and `data_syn.h5`, and
`im_Yx2.h5` and `syn_Yx2.h5` (rows doubled, so that pixels are square) in folders `vol2` to `vol4`.
Whatever the archive holds becomes `img.h5` and `syn.h5`; further volumes keep folders of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.processing.labels import clean_label
from connectomics.errors import DataError, naming
from connectomics.evaluation.encoding import likely_encoding
from connectomics.exchange.records import Account, Bounds, Dataset, Material, RemoteFile, nm_text
from connectomics.exchange.slabs import converting, read_counted, write_slabs
from connectomics.geometry import VoxelGrid
from connectomics.process.progress import Progress

NAMES = (("im_yx2", "syn_yx2"), ("img", "syn"), ("data_img", "data_syn"), ("im", "syn"))
"""Image and labels of one volume, without suffixes; the first that a folder has is taken."""

SUFFIXES = (".h5", ".hdf5", ".hdf", ".tif", ".tiff")
SHAPE = (100, 1400, 700)
RESOLUTION = (30.0, 8.0, 8.0)
IMAGE, LABEL = "img.h5", "syn.h5"


@dataclass(frozen=True)
class _Pair:
    """An image and its labels; `place` is their folder in the archive."""

    place: PurePosixPath
    image: Path
    label: Path
    square: bool

    @property
    def shown(self) -> str:
        return f"{self.image.name} and {self.label.name} in {self.place}"


def convert(material: Material, folder: Path) -> Account:
    """Write `img.h5` and `syn.h5` of each volume.

    Raises:
        DataError: It holds no image with labels, or they do not fit together.
    """
    account = Account()
    pairs = _pairs(material, account)
    if not pairs:
        listed = ", ".join(str(place) for place in list(material.files)[:10]) or "nothing"
        problem = f"holds no image with its labels under a known name. It holds {listed}."
        known = ", ".join(f"{image}.h5 + {label}.h5" for image, label in NAMES)
        raise DataError(material.source, problem, f"Known: {known} (any case), in any folder.")
    shapes = [_open(pair)[0].shape for pair in pairs]
    with converting(shapes * 3) as progress:  # image passed on, labels read, labels written
        for number, pair in enumerate(pairs):
            own = "" if number == 0 else f"{pair.place.name or f'vol{number + 1}'}/"
            _write(pair, folder / own, own, account, progress)
    if len(pairs) > 1:
        account.differs.append(
            f"{len(pairs)} volumes. The tutorial takes {pairs[0].place}; for all of them, name "
            "each image and label in data.train (a list)."
        )
    return account


def _pairs(material: Material, account: Account) -> list[_Pair]:
    folders: dict[PurePosixPath, dict[str, PurePosixPath]] = defaultdict(dict)
    for place in material.files:
        if place.suffix.lower() in SUFFIXES:
            folders[place.parent].setdefault(place.stem.lower(), place)
    pairs = []
    for place, stems in sorted(folders.items(), key=lambda item: (len(item[0].parts), item[0])):
        found = _named(stems)
        used = set(found or ())
        if found:
            image, label = found
            square = image.stem.lower() != "im"
            pairs.append(_Pair(place, material.files[image], material.files[label], square))
            if image.name != IMAGE or label.name != LABEL:
                account.differs.append(f"{image} and {label} stand for {IMAGE} and {LABEL}")
        for other in sorted(set(stems.values()) - used):
            account.differs.append(f"{other} is not used")
    return pairs


def _named(stems: Mapping[str, PurePosixPath]) -> tuple[PurePosixPath, PurePosixPath] | None:
    for image, label in NAMES:
        if image in stems and label in stems:
            return stems[image], stems[label]
    return None


def _open(pair: _Pair) -> tuple[LazyVolume, LazyVolume]:
    """Image and labels, which fit together.

    Raises:
        DataError: They do not.
    """
    image, label = open_volume(pair.image), open_volume(pair.label)
    if len(image.shape) != 3 or image.shape != label.shape:
        problem = f"have the shapes {image.shape} and {label.shape}; one volume has one shape."
        raise DataError(pair.shown, problem, "The archive is damaged, or another one.")
    return image, label


def _write(pair: _Pair, folder: Path, own: str, account: Account, progress: Progress) -> None:
    image, stored = _open(pair)
    with stored, naming(str(pair.label)):
        label = clean_label(read_counted(stored, progress), "label").label
    holds = _meaning(label, pair.shown)
    resolution = RESOLUTION if pair.square else (RESOLUTION[0], 2 * RESOLUTION[1], RESOLUTION[2])
    with image:
        for name, source, what in ((IMAGE, image, ""), (LABEL, label, f", {holds}")):
            write_slabs(folder / name, source, progress, grid=VoxelGrid(resolution))
            about = f"{source.shape} {source.dtype}, {nm_text(resolution)}{what}"
            account.made[f"{own}{name}"] = about
    account.differs += _unexpected(pair, image, own)
    if not own:
        _divide(account, image.shape[0])
        account.overrides += _resolutions(resolution)


def _meaning(label: np.ndarray, shown: str) -> str:
    """What the numbers of a label volume stand for.

    Raises:
        DataError: Nothing that has sides.
    """
    ids = np.unique(label)
    ids = ids[ids > 0]
    remedy = "Sides are 1 (pre) and 2 (post), or 2n-1 and 2n of synapse n."
    if not ids.size:
        raise DataError(shown, "the labels hold nothing but background.", remedy)
    if ids[-1] <= 2:
        if ids.size == 1:
            raise DataError(shown, f"the labels hold {ids[0]} alone, and no other side.", remedy)
        return "semantic: 1 pre, 2 post"
    if ids.size < 3 or likely_encoding(label) != "polarity":
        listed = ", ".join(map(str, ids[:5])) + (", ..." if ids.size > 5 else "")
        problem = f"the labels hold {listed}, of which 2n-1 and 2n do not lie side by side."
        raise DataError(shown, problem, remedy)
    return f"{np.unique((ids + 1) // 2).size} synapses: 2n-1 pre, 2n post"


def _unexpected(pair: _Pair, image: LazyVolume, own: str) -> list[str]:
    found = []
    if image.shape != SHAPE:
        found.append(f"{own}{IMAGE} has shape {image.shape}, and {SHAPE} is known")
    if image.dtype != np.uint8:
        found.append(f"{own}{IMAGE} is {image.dtype}, and uint8 is known")
    if not pair.square:
        found.append(f"{own}{IMAGE}: rows as imaged, taken to be 16 nm high; the tutorial's are 8")
    return found


def _divide(account: Account, depth: int) -> None:
    """Divide another number of sections than the tutorial knows, as it divides its own."""
    if depth != SHAPE[0]:
        account.divide(depth, round(0.68 * depth), round(0.76 * depth))


def _resolutions(resolution: Sequence[float]) -> list[str]:
    """What the tutorial has to be told of another voxel size."""
    told = []
    if tuple(resolution) != RESOLUTION:
        size = ",".join(f"{n:g}" for n in resolution)
        told += [f"data.{split}.resolution=[{size}]" for split in ("train", "test")]
    return told


EM_R50 = Dataset(
    name="em_r50",
    title="EM-R50 (JWR15): rat visual cortex, pre and post labels, 30 x 8 x 8 nm",
    files=(
        RemoteFile(
            "jwr15_synapse.zip", "http://rhoana.rc.fas.harvard.edu/dataset/jwr15_synapse.zip"
        ),
    ),
    folder=Path("datasets/jwr15"),
    needed=(IMAGE, LABEL),
    licence="The archive states none. Use it for research, cite the paper, and do not pass it on.",
    citation=(
        "Lin, Wei, Jang et al., Two-Stream Active Query Suggestion for Active Learning in "
        "Connectomics, ECCV 2020."
    ),
    homepage="https://connectomics.readthedocs.io",
    tutorials=("syn_em_r50",),
    convert=convert,
    bounds=Bounds(file=4 * 2**30, unpacked=16 * 2**30, members=1000),
)
