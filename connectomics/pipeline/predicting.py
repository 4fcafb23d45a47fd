"""From a checkpoint to the probability volumes of a run, unless they are there already."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from connectomics.blocks import discard
from connectomics.data.build import HeldOut
from connectomics.data.cache_key import key_of
from connectomics.data.io import open_volume
from connectomics.data.io.hdf5_write import write_place
from connectomics.data.io.sharded import place_store
from connectomics.data.processing import channel_names, normalize
from connectomics.data.volumes import LabelledVolume
from connectomics.files import atomic_path
from connectomics.geometry import Triple
from connectomics.keeping import replacing
from connectomics.pipeline.block_predicting import predict_by_block
from connectomics.pipeline.choosing_blocks import block_of
from connectomics.pipeline.in_progress import block_in, known_volumes
from connectomics.pipeline.predicted import Predicted, to_be_predicted
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
        made = key_of(results.probabilities)
        known = made.volumes if made else known_volumes(results.in_progress(PROBABILITIES))
        predicted = to_be_predicted(predictor, held, known)
        block = block_of(predictor, held.volume, results)
        # Of what is there, any size of blocks will do unless one is given.
        there = block if predictor.config.system.block_size else made and block_in(made.parts)
        if made and made.digest == predicted.key(there).digest:
            _bring_up_to_date(results.probabilities, held.volume, predictor.made_with())
            discard(results.in_progress(PROBABILITIES))
            print(f"infer: {results.probabilities} is up to date")
            continue
        if made and made.parts:
            otherwise = made.otherwise(predicted.key(block))
            print(
                f"infer: {results.probabilities} {otherwise}; predicting anew, the earlier goes to "
                "earlier/"
            )
        for line in require_memory(predictor, held.volume.shape, block):
            if line not in said:
                print(f"infer: {line}")
            said.add(line)
        whole &= _write(predicted, results, block, about)
    return whole


def _write(predicted: Predicted, results: VolumeResults, block: Triple | None, about: str) -> bool:
    volume, (path, by_block) = predicted.volume, results.forms(PROBABILITIES)
    print(f"infer: {volume.name} {volume.shape} → {by_block if block else path}")
    channels = channel_names(predicted.config.data.label_transform.targets)
    attributes = {
        **predicted.key(block).attributes(),
        "source": volume.name,
        **predicted.predictor.made_with(),
        "synthetic": volume.synthetic,
    }
    if block is not None:
        attributes["channels"] = channels
        return predict_by_block(predicted, results, block, attributes=attributes, about=about)
    predicted = replace(predicted, predictor=predicted.predictor.ready_for(volume.shape))
    began = time.perf_counter()
    stale = [by_block, *results.of_probabilities()]
    with replacing(path, stale=stale, about={results.config(path): about}) as (new,):
        _write_at_once(predicted, new, channels, attributes)
    rate = math.prod(volume.shape) / (time.perf_counter() - began)
    print(f"infer: done, {rate:,.0f} voxels/s")
    return True


def _write_at_once(
    predicted: Predicted, path: Path, channels: list[str], attributes: dict[str, Any]
) -> None:
    from connectomics.inference.build import write_probabilities

    config, predictor = predicted.config, predicted.predictor
    (statistics,) = predicted.measured()
    write_probabilities(
        path,
        predictor.network,
        predicted.volume.image,
        predictor.sliding,
        normalise=partial(
            normalize, statistics=statistics, mode=config.data.image_transform.normalize
        ),
        channels=channels,
        dtype=config.inference.save_dtype,
        grid=predicted.grid,
        attributes=attributes,
    )


def _bring_up_to_date(path: Path, volume: LabelledVolume, made_with: dict[str, Any]) -> None:
    """Give probabilities the voxel size and offset that their volume has by now.

    And the name of their checkpoint, where one of the same weights was saved anew.
    """
    with open_volume(path) as there:
        placed = there.grid == volume.grid
        known = there.attributes.get("checkpoint_sha256") == made_with["checkpoint_sha256"]
    if placed and known:
        return
    if not placed:
        print(f"infer: {path} gets the voxel size and the offset of {volume.name}")
    if path.is_dir():
        place_store(path, volume.grid, attributes=made_with)
        return
    with atomic_path(path) as copy:
        shutil.copyfile(path, copy)
        write_place(copy, volume.grid, attributes=made_with)
