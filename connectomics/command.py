"""The command line: arguments become a config, and the config goes to its mode.

`connectomics MODE ...`, which installing the package gives, and `python scripts/main.py --mode MODE
...` of a checkout are the same program under two names.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from connectomics.arguments import parse_arguments, refuse_options
from connectomics.errors import ConfigError
from connectomics.naming import seen_from_here
from connectomics.process.called import to_type
from connectomics.process.memory import share_one_heap
from connectomics.process.outcome import in_process, reported, require_current_folder

if TYPE_CHECKING:
    from connectomics.config import Resolved

DOWNLOAD = "download"
WITHOUT_CONFIG = ("decode", "evaluate")


def command() -> None:
    """Be the command `connectomics`."""
    with in_process():
        sys.exit(main(installed=True))


def main(arguments: Sequence[str] | None = None, *, installed: bool = False) -> int:
    """Run the command line.

    Args:
        arguments: Those of the process, unless given.
        installed: Whether it is called as the command `connectomics`, where the mode is the first
            word, and not as `scripts/main.py`.

    Returns:
        See `Outcome`.
    """
    share_one_heap()
    given = sys.argv[1:] if arguments is None else arguments
    with reported() as outcome:
        require_current_folder()
        if installed and given and given[0] == DOWNLOAD:
            from connectomics.exchange.arguments import download_data

            download_data(given[1:], f"connectomics {DOWNLOAD}")
        else:
            options, overrides = parse_arguments(given, installed)
            run = _what_to_run(options)
            run(options, overrides)
    return outcome.status


def _what_to_run(options: argparse.Namespace) -> Callable[[argparse.Namespace, list[str]], None]:
    if options.json_schema:
        return _write_json_schema
    if options.init:
        return _write_config
    if options.config is None:
        return _run_on_files
    if options.check:
        refuse_options(options, "--check", ("plan", "print_config"))
        return _run_config if options.mode == "test" else _check_training
    return _print_config if options.print_config else _run_config


def _check_training(options: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Show what a config trains and tests on."""
    from connectomics.config.load import require_mode
    from connectomics.pipeline.checking import check

    require_mode(options.mode)
    if options.mode != "train":
        problem = f"looks at a training or at a test, not at {options.mode}."
        raise ConfigError("--check", problem, "Leave --mode out, or use --mode test.")
    refuse_options(
        options, "--check", ("checkpoint",), "Take it out, or look at a test: --mode test."
    )
    check(options.config, overrides)


def _print_config(options: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Show a config for its mode with every value, and run nothing."""
    from connectomics.pipeline.components import with_settings

    resolved, _ = _read_config(options, overrides)
    complete = replace(resolved, config=with_settings(resolved.config))
    print(complete.config_to_yaml(), end="")


def _run_config(options: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Read the config, and run its mode, or what looks ahead of it."""
    resolved, checkpoint = _read_config(options, overrides)
    run = _stage(options)
    with resolved.naming_places():
        run(resolved, checkpoint)


def _stage(options: argparse.Namespace) -> Callable[[Resolved, Path | None], object]:
    """What a mode does; with `--plan` or `--check`, what says beforehand what it would."""
    if options.check:
        from connectomics.pipeline.check_testing import check_test

        return check_test
    if options.plan:
        from connectomics.pipeline.planning import plan

        return plan
    from connectomics.pipeline.stages import STAGES

    return STAGES[options.mode]


def _read_config(
    options: argparse.Namespace, overrides: Sequence[str]
) -> tuple[Resolved, Path | None]:
    """The config for its mode, whose threads are used, and the checkpoint, if one is named."""
    from connectomics.checkpoints import find_checkpoint
    from connectomics.pipeline.components import read_config
    from connectomics.process.cpus import use_threads
    from connectomics.runs import presets_of

    checkpoint = options.checkpoint and find_checkpoint(options.checkpoint)
    if checkpoint != options.checkpoint:
        print(f"checkpoint: {seen_from_here(checkpoint)}", file=sys.stderr)
    resolved = read_config(
        options.config,
        mode=options.mode,
        overrides=overrides,
        presets=presets_of(checkpoint),
        torch=not options.print_config,
    )
    if resolved.mode == "tune":
        from connectomics.pipeline.stages import require_tunable

        require_tunable(resolved)
    for note in resolved.notes():
        print(f"config: {note}", file=sys.stderr)
    use_threads(resolved.config.system.num_threads)
    return resolved, checkpoint


def _write_config(options: argparse.Namespace, words: Sequence[str]) -> None:
    """Write the config of a user's files."""
    from connectomics.pipeline.init import init

    others = ("config", "check", "checkpoint", "plan", "print_config")
    refuse_options(options, "--init", others)
    init([*options.init, *words])


def _run_on_files(options: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Without a config: score or list what the command line names."""
    from connectomics.config.inheritance import tutorial_path
    from connectomics.config.load import require_mode

    require_mode(options.mode)
    if options.mode not in WITHOUT_CONFIG:
        named = [word for word in overrides if word.endswith((".yaml", ".yml"))]
        start = (
            f"Start from a tutorial: --config {shlex.quote(tutorial_path('syn_em_r50'))}\n"
            f"  or write one for files of yours: {to_type('init', None, 'raw.h5', 'syn.h5')}\n"
            "  --help shows what else there is."
        )
        remedy = f"Did you mean --config {named[0]}?" if named else start
        raise ConfigError("--config", "names no file.", remedy)
    if options.plan:
        raise ConfigError("--plan", "is of use with a --config only.", "Take it out.")
    if options.checkpoint is not None:
        raise ConfigError("--checkpoint", "is of use with a --config only.", "Take it out.")
    from connectomics.pipeline.on_files.modes import FILE_MODES, read_file_settings
    from connectomics.process.cpus import use_threads

    settings = read_file_settings(options.mode, overrides, complete=not options.print_config)
    if options.print_config:
        from connectomics.config.yaml_text import write_yaml

        print(write_yaml(settings.model_dump()), end="")
    else:
        use_threads(settings.system.num_threads)
        FILE_MODES[options.mode].run(settings)


def _write_json_schema(options: argparse.Namespace, _: Sequence[str]) -> None:
    """Write or print the schema of a config, whatever else was asked for."""
    from connectomics.files import atomic_path
    from connectomics.pipeline.components import config_schema

    target, text = options.json_schema, json.dumps(config_schema(), indent=2)
    if str(target) == "-":
        print(text)
        return
    if target.exists() and not _is_schema(target):
        problem = "is there already, and is no schema that was written here."
        raise ConfigError(f"--json-schema {target}", problem, "Choose another name.")
    with atomic_path(target) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")


def _is_schema(file: Path) -> bool:
    """Whether a file is a schema of another version of the config, which a new one may replace."""
    from connectomics.config import json_schema

    try:
        return json.loads(file.read_text("utf-8"))["title"] == json_schema()["title"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
