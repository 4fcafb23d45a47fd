"""From a checkpoint to the probability volumes of a run, unless they are there already."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from connectomics.blocks import discard
from connectomics.data.build import HeldOut, measure
from connectomics.data.identity import Identity, identify
from connectomics.data.io import LazyVolume, open_volume
from connectomics.data.io.hdf5_write import write_place
from connectomics.data.io.sharded import place_store
from connectomics.data.origin import Origin, origin_of
from connectomics.data.processing import ImageStatistics, channel_names, normalize
from connectomics.data.volumes import LabelledVolume, Volume
from connectomics.files import atomic_path
from connectomics.geometry import Triple
from connectomics.keeping import replacing
from connectomics.pipeline.block_predicting import predict_by_block
from connectomics.pipeline.block_size import block_in, known_volumes, with_block
from connectomics.pipeline.choosing_blocks import block_of
from connectomics.pipeline.predictor import Predictor, require_memory
from connectomics.pipeline.results import PROBABILITIES, VolumeResults
from connectomics.runs import Provenance


def predict_volumes(
    predictor: Predictor, volumes: Sequence[tuple[HeldOut, VolumeResults]], provenance: Provenance
) -> bool:
    """Write the probabilities of volumes, each into its folder, unless they are there.

    Args:
        predictor: The network.
        volumes: With their folders.
        provenance: How they come about.

    Returns:
        Whether all are there now; otherwise other shards have blocks to do.

    Raises:
        DataError: A volume cannot be read, or its probabilities cannot be written.
        MachineError: There is not the memory for it.
    """
    about = provenance.one_text()
    said: set[str] = set()
    whole = True
    for held, results in volumes:
        common = predictor.parts(held.volume.shape)
        made = origin_of(results.probabilities)
        block = block_of(predictor, held.volume, results)
        # Of what is there, any size of blocks will do unless one is given.
        there = block if predictor.config.system.block_size else made and block_in(made.parts)
        known = made.volumes if made else known_volumes(results.begun(PROBABILITIES))
        if made and made.key == origin_of_probabilities(common, held, known, there).key:
            _bring_up_to_date(results.probabilities, held.volume, predictor.made_with())
            discard(results.begun(PROBABILITIES))
            print(f"infer: {results.probabilities} is up to date")
            continue
        origin = origin_of_probabilities(common, held, known, block)
        if made and made.parts:
            names = ", ".join(made.differences(origin))
            print(f"infer: {results.probabilities} is of other {names}; predicting anew")
        for line in require_memory(predictor, held.volume.shape, block):
            if line not in said:
                print(f"infer: {line}")
            said.add(line)
        whole &= _write(predictor, held, results, origin, block, about)
    return whole


def origin_of_probabilities(
    common: Mapping[str, Any],
    held: HeldOut,
    known: Mapping[str, Identity],
    block: Triple | None,
) -> Origin:
    """What the probabilities of a volume depend on.

    Args:
        common: What those of all volumes do.
        held: The volume.
        known: What is known of it and of others, by an earlier run.
        block: (z, y, x) voxels of a block; None where it is predicted at once.
    """
    named = {"image": held.volume.image, "measured": held.whole.image}
    if block is not None and held.volume.mask is not None:
        named["mask"] = held.volume.mask  # where it is 0, nothing is predicted
    volumes = {name: identify(_on_disk(one), known.get(name)) for name, one in named.items()}
    contents = {_WORDS[name]: one.content for name, one in volumes.items()}
    return Origin(with_block({**common, **contents}, block), volumes)


_WORDS = {"image": "voxels", "measured": "voxels measured", "mask": "mask"}


def _write(
    predictor: Predictor,
    held: HeldOut,
    results: VolumeResults,
    origin: Origin,
    block: Triple | None,
    about: str,
) -> bool:
    volume, (path, by_block) = held.volume, results.forms(PROBABILITIES)
    print(f"infer: {volume.name} {volume.shape} → {by_block if block else path}")
    transform = predictor.config.data.image_transform
    measured = partial(measure, [held.whole], transform, predictor.pooled)
    attributes = {
        **origin.attributes(),
        "source": volume.name,
        **predictor.made_with(),
        "synthetic": volume.synthetic,
    }
    if block is not None:
        return predict_by_block(
            predictor,
            volume,
            results,
            block=block,
            origin=origin,
            measured=measured,
            attributes=attributes,
            about=about,
        )
    predictor = predictor.ready_for(volume.shape)
    began = time.perf_counter()
    stale = [by_block, *results.of_probabilities()]
    with replacing(path, stale=stale, about={results.config(path): about}) as (new,):
        _write_at_once(predictor, new, volume, measured()[0], attributes)
    rate = math.prod(volume.shape) / (time.perf_counter() - began)
    print(f"infer: done, {rate:,.0f} voxels/s")
    return True


def _write_at_once(
    predictor: Predictor,
    path: Path,
    volume: LabelledVolume,
    statistics: ImageStatistics,
    attributes: dict[str, Any],
) -> None:
    from connectomics.inference.build import write_probabilities

    transform = predictor.config.data.image_transform
    write_probabilities(
        path,
        predictor.network,
        volume.image,
        predictor.sliding,
        normalise=partial(normalize, statistics=statistics, mode=transform.normalize),
        channels=channel_names(predictor.config.data.label_transform.targets),
        dtype=predictor.config.inference.save_dtype,
        resolution=volume.resolution,
        offset_nm=volume.offset_nm,
        attributes=attributes,
    )


def _on_disk(volume: Volume) -> LazyVolume:
    assert isinstance(volume, LazyVolume)
    return volume


def _bring_up_to_date(path: Path, volume: LabelledVolume, made_with: dict[str, Any]) -> None:
    """Give probabilities the voxel size and offset that their volume has by now.

    And the name of their checkpoint, where one of the same weights was saved anew.
    """
    place = {"resolution": volume.resolution, "offset_nm": volume.offset_nm}
    with open_volume(path) as there:
        placed = (there.resolution, there.offset_nm) == tuple(place.values())
        known = there.attributes.get("checkpoint_sha256") == made_with["checkpoint_sha256"]
    if placed and known:
        return
    if not placed:
        print(f"infer: {path} gets the voxel size and the offset of {volume.name}")
    if path.is_dir():
        place_store(path, **place, attributes=made_with)
        return
    with atomic_path(path) as copy:
        shutil.copyfile(path, copy)
        write_place(copy, **place, attributes=made_with)
