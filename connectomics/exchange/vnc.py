"""VNC: larval fly nerve cord, synapses without sides.

The archive holds one image per section; whoever has the two volumes as HDF5 may name that.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np

from connectomics.data.io import open_volume
from connectomics.data.io.listing import list_volumes
from connectomics.data.io.location import HDF5_SUFFIXES
from connectomics.data.io.section_names import section_numbers
from connectomics.errors import DataError
from connectomics.exchange.records import Account, Bounds, Dataset, Material, RemoteFile, nm_text
from connectomics.exchange.slabs import converting, read_counted, write_slabs
from connectomics.geometry import VoxelGrid

RAW, SYNAPSES = "raw", "synapses"
SUFFIXES = (".tif", ".tiff", ".png")
SHAPE = (20, 1024, 1024)
RESOLUTION = (50.0, 4.6, 4.6)
FILE = "vnc_stack1.h5"
REMEDY = "It should hold stack1/raw and stack1/synapses, with one image for each section."


def convert(material: Material, folder: Path) -> Account:
    """Write `raw` and `synapses` as two volumes of one file.

    Raises:
        DataError: Sections are missing, or they do not fit together.
    """
    account = Account()
    place, sources = _volumes(material)
    raw, stored = (open_volume(sources[name]) for name in (RAW, SYNAPSES))
    if len(raw.shape) != 3 or raw.shape != stored.shape:
        problem = f"raw has shape {raw.shape}, and synapses {stored.shape}."
        raise DataError(f"{material.source}: {place}", problem, REMEDY)
    with raw, stored, converting([raw.shape] * 3) as progress:
        grey = read_counted(stored, progress)
        synapses = _binary(grey, f"{material.source}: {place / SYNAPSES}", account)
        for name, source in ((RAW, raw), (SYNAPSES, synapses)):
            write_slabs(folder / f"{FILE}::{name}", source, progress, grid=VoxelGrid(RESOLUTION))
    share = np.count_nonzero(synapses) / synapses.size
    account.made[FILE] = (
        f"raw and synapses, {raw.shape} {raw.dtype}, {nm_text(RESOLUTION)}; {share:.2%} is synapse"
    )
    if raw.shape != SHAPE:
        account.differs.append(f"the shape is {raw.shape}, and {SHAPE} is known")
    depth = raw.shape[0]
    if depth != SHAPE[0]:
        learned = round(0.7 * depth)
        account.divide(depth, learned, learned)
    return account


def _volumes(material: Material) -> tuple[PurePosixPath, dict[str, str]]:
    """Where `raw` and `synapses` are: datasets of one file, or folders of sections."""
    for place, path in material.files.items():
        if path.suffix in HDF5_SUFFIXES:
            sources = list_volumes(path)
            found = {re.split("/|::", source)[-1]: source for source in sources}
            if found.keys() >= {RAW, SYNAPSES}:
                return place, found
    place, sections = _stack(material)
    _require_same_sections(place, sections)
    return place, {name: str(files[0].parent) for name, files in sections.items()}


def _stack(material: Material) -> tuple[PurePosixPath, dict[str, list[Path]]]:
    """The folder with `raw` and `synapses`, and the sections in them; `stack1` comes first."""
    folders: dict[PurePosixPath, list[Path]] = defaultdict(list)
    for place, path in material.files.items():
        if place.suffix.lower() in SUFFIXES:
            folders[place.parent].append(path)
    stacks = [
        place.parent
        for place in folders
        if place.name.lower() == RAW and place.with_name(SYNAPSES) in folders
    ]
    if not stacks:
        listed = ", ".join(sorted(str(place) for place in folders)) or "no images"
        nested = [str(p) for p in material.files if p.suffix in (".zip", ".gz", ".bz2", ".tar")]
        problem = f"holds no folder raw beside a folder synapses. It holds {listed}."
        remedy = f"Unpack {nested[0]}, and name that folder: --from FOLDER" if nested else REMEDY
        raise DataError(material.source, problem, remedy)
    place = min(stacks, key=lambda stack: (stack.name != "stack1", len(stack.parts), stack))
    raw = next(p for p in folders if p.parent == place and p.name.lower() == RAW)
    return place, {RAW: folders[raw], SYNAPSES: folders[place / SYNAPSES]}


def _require_same_sections(place: PurePosixPath, sections: dict[str, list[Path]]) -> None:
    """Sections of one number belong together; all have to be there."""
    try:
        numbers = {name: set(section_numbers(files)) for name, files in sections.items()}
    except ValueError as error:
        raise DataError(
            str(place), f"sections cannot be told by number: {error}.", REMEDY
        ) from error
    everything = numbers[RAW] | numbers[SYNAPSES]
    if everything:
        everything |= {type(n)(i) for n in everything for i in range(int(min(everything)), int(n))}
    for name, found in numbers.items():
        missing = sorted(everything - found)
        if missing or not found:
            listed = ", ".join(map(str, missing)) or "all numbers"
            raise DataError(f"{place / name}", f"lacks section {listed}.", REMEDY)


def _binary(label: np.ndarray, where: str, account: Account) -> np.ndarray:
    """Two grey values as 0 and 1; the rarer one is synapse.

    Raises:
        DataError: There are more, or it is all one.
    """
    values, counts = np.unique(label, return_counts=True)
    if values.size != 2:
        listed = ", ".join(map(str, values[:6])) + (", ..." if values.size > 6 else "")
        problem = f"holds the grey values {listed}; two are known, background and synapse."
        raise DataError(where, problem, REMEDY)
    rarer = values[np.argmin(counts)]
    if rarer == values[0]:
        account.differs.append(f"synapses are dark ({rarer}) on bright; they are made 1 on 0")
    return (label == rarer).astype(np.uint8)


VNC = Dataset(
    name="vnc",
    title="VNC: larval fly nerve cord, synapse labels without sides, 50 x 4.6 x 4.6 nm",
    files=(
        RemoteFile(
            "groundtruth-drosophila-vnc.zip",
            "https://github.com/unidesigner/groundtruth-drosophila-vnc/archive/refs/heads/master.zip",
            sha256="f7bd0db03c86b64440a16b60360ad60c0a4411f89e2c021c7ee2c8d6af3d7e86",
            known_from="torch-em",
            steady=False,
        ),
    ),
    folder=Path("datasets/vnc"),
    needed=(FILE,),
    licence=(
        "CC BY-NC-SA 3.0: not for commercial use, name the authors, pass on under the same terms. "
        "https://creativecommons.org/licenses/by-nc-sa/3.0/"
    ),
    citation=(
        "Gerhard, Funke, Martel, Cardona, Fetter (2013), Segmented anisotropic ssTEM dataset of "
        "neural tissue, figshare, doi:10.6084/m9.figshare.856713."
    ),
    homepage="https://doi.org/10.6084/m9.figshare.856713",
    tutorials=("syn_vnc", "syn_vnc_cpu"),
    convert=convert,
    bounds=Bounds(file=2**30, unpacked=4 * 2**30, members=2000),
)
