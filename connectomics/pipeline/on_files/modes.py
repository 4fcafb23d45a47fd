"""`--mode evaluate` and `--mode decode` on files made anywhere, without a config.

evaluate   two label volumes → scores (`evaluating.py`)
decode     one label volume → the table of its synapses, and exports (`decoding.py`)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from connectomics.config.file_settings import read_settings
from connectomics.config.schema.files import DecodeFiles, EvaluateFiles
from connectomics.errors import Fault
from connectomics.pipeline.on_files.decoding import decode, decode_faults
from connectomics.pipeline.on_files.evaluating import evaluate, evaluate_faults
from connectomics.process.called import to_type


class FileMode(NamedTuple):
    """A mode that needs no config.

    Attributes:
        schema: Its settings.
        needs: Those that have to be given.
        example: How to give them.
        check: Finds in the settings what the schema cannot know.
        run: Does the work.
    """

    schema: type[EvaluateFiles | DecodeFiles]
    needs: tuple[str, ...]
    example: tuple[str, ...]
    check: Callable[[Any], Iterator[Fault]]
    run: Callable[[Any], None]


def read_file_settings(
    mode: str, overrides: Sequence[str], *, complete: bool = True
) -> EvaluateFiles | DecodeFiles:
    """Read and check the settings of one of `FILE_MODES`.

    Args:
        mode: Its name.
        overrides: `key=value` texts.
        complete: Whether what it needs has to be there.

    Raises:
        ConfigError: Every fault there is.
    """
    chosen = FILE_MODES[mode]
    checks = [partial(_missing, mode)] if complete else []
    return read_settings(chosen.schema, overrides, checks=[*checks, chosen.check])


def _missing(name: str, section: Any) -> Iterator[Fault]:
    mode = FILE_MODES[name]
    missing = [key for key in mode.needs if getattr(section, key) is None]
    if missing:
        example = to_type(name, None, *mode.example)
        remedy = f"Such as: {example}\n  Or name the config of a run: --config FILE"
        yield Fault(" and ".join(missing), "not given.", remedy)


FILE_MODES: dict[str, FileMode] = {
    "evaluate": FileMode(
        EvaluateFiles,
        ("truth", "prediction"),
        ("truth=truth.h5", "prediction=labels.h5"),
        evaluate_faults,
        evaluate,
    ),
    "decode": FileMode(
        DecodeFiles,
        ("labels", "output"),
        ("labels=truth.h5", "output=truth_table"),
        decode_faults,
        decode,
    ),
}
