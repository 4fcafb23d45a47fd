"""Phantoms that a config names: made once, and kept as files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from connectomics.config.schema import PhantomSection
from connectomics.config.signatures import check_kwargs
from connectomics.errors import Fault
from connectomics.files import atomic_path
from connectomics.legal import illegal_settings

PHANTOM_FOLDER = Path("datasets/phantom")
"""Where phantoms are kept once made, seen from where the program runs."""

PHANTOM_PARTS = ("image", "label", "neurons")

NO_SETTINGS = ("shape", "seed")
"""Arguments of `make_phantom` that have keys of their own."""


def phantom_faults(phantom: PhantomSection, place: str) -> list[Fault]:
    """Find settings of a phantom that do not exist, or whose value cannot work."""
    from connectomics.phantom import make_phantom

    where, kwargs = f"{place}.kwargs", phantom.kwargs
    faults = check_kwargs(where, make_phantom, kwargs, skip=NO_SETTINGS)
    return faults or illegal_settings(make_phantom, kwargs, where)


def phantom_file(phantom: PhantomSection) -> Path:
    """Where a phantom is kept: the name holds a digest of the settings and of the code."""
    from connectomics import phantom as package

    # Which parts are read is no matter of the file.
    digest = hashlib.sha256(phantom.model_dump_json(exclude={"neurons"}).encode())
    for source in sorted(Path(package.__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    size = "x".join(str(n) for n in phantom.shape)
    return PHANTOM_FOLDER / f"phantom_{phantom.seed}_{size}_{digest.hexdigest()[:8]}.h5"


def made_phantom(phantom: PhantomSection) -> Path:
    """The file of a phantom, made if it is not there."""
    from connectomics import phantom as package
    from connectomics.data.io import save_volume

    path = phantom_file(phantom)
    if path.exists():
        return path
    print(f"making a synthetic volume, once: {path}", flush=True)
    made = package.make_phantom(phantom.shape, seed=phantom.seed, **phantom.kwargs)
    settings = phantom.model_dump(mode="json", exclude={"neurons"})
    attributes = {"synthetic": True, "phantom": json.dumps(settings)}
    with atomic_path(path) as temporary:
        for name in PHANTOM_PARTS:
            save_volume(
                f"{temporary}::{name}",
                getattr(made, name),
                resolution=made.resolution,
                attributes=attributes,
            )
    return path
