"""The validation volumes of a run: which they are, and their probabilities beside their truth."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from connectomics.config import Config, Resolved, load_config
from connectomics.config.schema import DataSection, NamedSection, SplitSection
from connectomics.data.alignment import require_alignment
from connectomics.data.build import HeldOut, open_validation
from connectomics.data.cache_key import reading_result
from connectomics.data.counting import background_only
from connectomics.data.io import open_volume
from connectomics.data.overlap import learned_faults, training_notes
from connectomics.data.volumes import LabelledVolume
from connectomics.decoding.steps import needs_resolution
from connectomics.errors import ConfigError, DataError, Fault
from connectomics.evaluation import Encoding
from connectomics.pipeline.artifact import provide
from connectomics.pipeline.by_block.choosing import BYTES_OF_VOXEL
from connectomics.pipeline.comparing import image_of, require_made_with, voxel_size_faults
from connectomics.pipeline.labels import Labels
from connectomics.pipeline.predictor import Predictor
from connectomics.pipeline.probabilities import probabilities_of
from connectomics.pipeline.result_folders import ask, results_of_volumes
from connectomics.pipeline.results import VolumeResults
from connectomics.process.fitting import Need, memory_of_machine, require_room
from connectomics.runs import Provenance, RunFolder
from connectomics.scoring.labels import read_neurons, read_truth
from connectomics.scoring.pairs import stored_as
from connectomics.tuning import ValidationVolume


def validation_section(resolved: Resolved) -> DataSection:
    """The `data` section that says what to validate on.

    What is held back from training follows from the settings of training, whatever the stage at
    hand says of patches and the like.
    """
    data, training = resolved.config.data, resolved.training.data
    if data.val is not None:
        return data
    return training.model_copy(update={"test": data.test})


def notes_on_training(split: SplitSection | None, run: RunFolder) -> list[str]:
    """Say of each volume of a split what the training of a run has seen of it.

    Args:
        split: Volumes to score; all are there.
        run: With the config of its training; without one that can be read, nothing is known.

    Returns:
        One text per volume, see `training_notes`; none at all where nothing is known.
    """
    file = run.path / "config.yaml"
    if split is None or not file.is_file():
        return []
    try:
        training = load_config(file).config.data
    except ConfigError:  # of another version; the scores do not depend on it
        return []
    return training_notes(split, training)


def require_held_back(section: DataSection, run: RunFolder) -> None:
    """Check that a network is not tuned on what it learned from.

    What the config holds back has to be what the training of the run held back, and volumes of
    their own must not share a section with those of training.

    Args:
        section: From `validation_section`.
        run: With the config of its training; without one, nothing can be checked, and it is said.

    Raises:
        ConfigError: The network has been trained on volumes that it would be tuned on.
    """
    file = run.path / "config.yaml"
    if not file.is_file():
        print(f"tune: {run.path} has no config.yaml; what its training held back is not checked")
        return
    training = load_config(file).config.data
    if section.val is not None:
        faults = learned_faults(section.val, "data.val", training)
    else:
        faults = _held_back_faults(section, training, file)
    if faults:
        raise ConfigError.of(faults)


def _held_back_faults(section: DataSection, training: DataSection, file: Path) -> list[Fault]:
    before, now = _what_is_held_back(training), _what_is_held_back(section)
    return [
        Fault(
            key,
            f"is {_shown(now[key])} here and was {_shown(before[key])} when the network was "
            "trained, so that something else was held back.",
            f"Use --config {file}, or name volumes it was not trained on in data.val.",
        )
        for key in now
        if now[key] != before[key]
    ]


def _what_is_held_back(section: DataSection) -> dict[str, Any]:
    return {
        "data.train": section.train and section.train.model_dump(mode="json", exclude_none=True),
        "data.val": section.val and section.val.model_dump(mode="json", exclude_none=True),
        "data.val_fraction": section.val_fraction,
        "data.val_gap": section.val_gap and list(section.val_gap),
        "data.dataloader.patch_size": list(section.dataloader.patch_size),
    }


def _shown(value: Any) -> str:
    return "not given" if value is None else str(value)


def read_validation(
    section: DataSection,
    folder: Path,
    predictor: Predictor | None,
    *,
    decoder: NamedSection,
    provenance: Provenance,
) -> list[ValidationVolume]:
    """Read the probabilities and the truth of the validation volumes.

    Args:
        section: From `validation_section`, without faults.
        folder: Where the probabilities are kept, each in a folder of its volume's name.
        predictor: Predicts them, where they are not there yet; None if they have to be.
        decoder: What will decode them, which may have to know their voxel size.
        provenance: How probabilities come about that have to be predicted.

    Raises:
        DataError: The volumes hold no labels or have no voxel size, or probabilities are missing
            or do not fit.
    """
    held = open_validation(section)
    if needs_resolution(decoder):
        _require_voxel_size(held, decoder.name, "train" if section.val is None else "val")
    truths = [read_truth(one.volume) for one in held]
    if not any(_labelled(*truth) for truth in truths):
        fault = background_only("the validation volumes", [one.volume for one in held])
        raise DataError(fault.where, fault.problem, "Name volumes with synapses in data.val.")
    results = results_of_volumes(folder, [one.volume for one in held])
    if predictor is not None:
        wanted = zip(held, results, strict=True)
        provide(*(probabilities_of(predictor, one, made, provenance) for one, (_, made) in wanted))
    read = [_read_probabilities(one, made) for one, (_, made) in zip(held, results, strict=True)]
    return [
        ValidationVolume(
            f"{one.volume.name}{' (synthetic EM)' if one.volume.synthetic else ''}",
            probabilities,
            truth,
            resolution=one.volume.resolution,
            mask=mask,
            neurons=None if one.volume.neurons is None else read_neurons(one.volume.neurons),
            truth_encoding=_encoding(one, truth),
            made_with=made_with,
        )
        for one, (probabilities, made_with), (truth, mask) in zip(held, read, truths, strict=True)
    ]


def require_room_to_tune(volumes: list[LabelledVolume], config: Config) -> None:
    """Refuse to tune on more than memory can hold, and say how much it will be.

    Every trial decodes whole volumes, so all of them are held, with their probabilities.

    Args:
        volumes: To tune on.
        config: Of the stage.

    Raises:
        MachineError: They alone are more than there is.
    """
    own = config.data.val is not None
    part = "a part of each, such as data.val.z_range=[0,100] and y_range, x_range likewise"
    where = part if own else "a smaller data.val_fraction"
    remedy = (
        f"Tune on less: {where}, fewer volumes, or inference.save_dtype=uint8. Blocks of "
        "system.block_size are for predicting; a trial decodes whole volumes."
    )
    of_p = config.model.out_channels * np.dtype(config.inference.save_dtype).itemsize
    voxels = [math.prod(one.shape) for one in volumes]
    held = sum(
        count * (of_p + sum(part.dtype.itemsize for part in (one.label, one.neurons) if part))
        for count, one in zip(voxels, volumes, strict=True)
    )
    need = Need(held + BYTES_OF_VOXEL * max(voxels), held)
    line, warning = require_room(need, memory_of_machine(), "tuning", remedy)
    print(f"tune: the search's {line}")
    if warning:
        print(f"tune: warning: {warning}", file=sys.stderr)


def require_decodable(labels: Sequence[Labels], checkpoint: Path | None) -> None:
    """Look at the probabilities of all volumes before those of the first are decoded.

    Args:
        labels: What will be made of them.
        checkpoint: The network they have to come from, if one is named.

    Raises:
        DataError: Some are of another network, cannot be read, or lack a voxel size.
    """
    for one in labels:
        require_made_with(one.results.probabilities, checkpoint)
    sizes = {str(one.results.probabilities): one.probabilities.resolution for one in labels}
    if faults := voxel_size_faults(sizes, labels[0].config.decoding):
        raise DataError.of(faults)


def _require_voxel_size(held: list[HeldOut], decoder: str, split: str) -> None:
    remedy = f"Set data.{split}.resolution to [z, y, x] in nm."
    problem = f"has no known voxel size, which {decoder} cannot do without."
    unknown = [one.volume.source for one in held if one.volume.resolution is None]
    if unknown:
        raise DataError.of(Fault(name, problem, remedy) for name in unknown)


def _encoding(one: HeldOut, truth: np.ndarray) -> Encoding:
    label = one.volume.label
    return "auto" if label is None else stored_as(label, labels=truth).encoding


def _labelled(truth: np.ndarray, mask: np.ndarray | None) -> bool:
    return bool(np.any(truth if mask is None else truth * mask))


def _read_probabilities(one: HeldOut, made: VolumeResults) -> tuple[np.ndarray, Mapping[str, Any]]:
    """The probabilities of a volume, and what they say of their network."""
    path, shape = made.probabilities, one.volume.shape
    if not path.exists():
        raise DataError(str(path), "is not there yet.", "Name a --checkpoint to predict it with.")
    _, doubt = image_of(path, ask(one.volume))
    if doubt:
        print(f"tune: {doubt}")
    with reading_result(path, "tune"), open_volume(path) as volume:
        if volume.shape[-3:] != shape:
            raise DataError(
                str(path),
                f"has shape {volume.shape}, its volume {shape}.",
                "Name a --checkpoint to predict it again.",
            )
        require_alignment(one.volume.image, volume)
        return volume.read(), volume.attributes
