"""The command line: arguments become a config, and the config goes to its mode.

`connectomics MODE ...`, which installing the package gives, and `python scripts/main.py --mode MODE
...` of a checkout are the same program under two names.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from connectomics import __version__
from connectomics.errors import ConfigError, ConnectomicsError, DataWarning, did_you_mean
from connectomics.naming import at_home
from connectomics.process.launchers import without_launchers
from connectomics.process.signals import Stopped, end_with_the_first, stopping

USAGE = """\
main.py --init FILE ... [output=my.yaml] [key=value ...]
       main.py --config FILE --check [key=value ...]
       main.py --config FILE [--mode MODE] [--checkpoint CKPT] [key=value ...]
       main.py --mode evaluate truth=FILE prediction=FILE [key=value ...]
       main.py --mode decode labels=FILE output=FOLDER [key=value ...]"""
USAGE_INSTALLED = """\
connectomics init FILE ... [output=my.yaml] [key=value ...]
       connectomics check --config FILE [key=value ...]
       connectomics MODE --config FILE [--checkpoint CKPT] [key=value ...]
       connectomics evaluate truth=FILE prediction=FILE [key=value ...]
       connectomics decode labels=FILE output=FOLDER [key=value ...]
       connectomics download DATASET [--to FOLDER] [--from FILE ...]"""
DESCRIPTION = """\
Find synapses and their direction in electron-microscopy volumes.

first:
  --init     look at files of EM and labels, and write a config for them
  --check    show what a config trains and tests on, how long that takes, and what is odd

modes:
  train      train a network (the default); with --checkpoint, go on with an earlier training
  infer      predict a probability volume for every test volume
  decode     turn saved probabilities into labelled synapses
  evaluate   score saved labels against the ground truth
  test       infer, decode and evaluate
  tune       search for the decoder settings that score best on the validation volumes

evaluate and decode also work on files that were not made here, without a config: evaluate scores
any two label volumes, decode lists the synapses of one. --print-config shows what can be set.
"""
EXAMPLES = """\
examples:
  python scripts/main.py --init raw.h5 syn.h5 'resolution=[30,8,8]' output=my.yaml
  python scripts/main.py --config my.yaml --check
  python scripts/main.py --config tutorials/syn_em_r50.yaml
  python scripts/main.py --config tutorials/syn_em_r50.yaml --mode test \\
      --checkpoint outputs/syn_em_r50/<timestamp>/checkpoints/last.ckpt
  python scripts/main.py --config my.yaml optimization.max_steps=1000 model/rsunet=small
  python scripts/main.py --mode evaluate truth=syn.h5 prediction=labels.h5 output=scores
"""
EXAMPLES_INSTALLED = """\
examples:
  connectomics init raw.h5 syn.h5 'resolution=[30,8,8]' output=my.yaml
  connectomics check --config my.yaml
  connectomics train --config my.yaml
  connectomics test --config my.yaml \\
      --checkpoint outputs/mine/<timestamp>/checkpoints/last.ckpt
  connectomics train --config my.yaml optimization.max_steps=1000 model/rsunet=small
  connectomics evaluate truth=syn.h5 prediction=labels.h5 output=scores
"""
EPILOG = """
exit status:
  0 done; 2 something to put right, which the message names; 128 + n stopped by signal n (130 by
  Ctrl-C, 143 by SIGTERM), after saving what can be; 1 a fault of this program

where to read on:
  README.md                first steps, and your own volumes in ten lines
  tutorials/               configs to start from; --print-config shows every setting there is
  datasets/README.md       how to get the data they name
  docs/decoding.md         from probabilities to synapses: the decoders and their settings
  docs/scores.md           what each score means
  docs/scale.md            volumes larger than memory, several processes and machines
  docs/tuning.md           better settings for the decoder, and how to use them
  docs/architecture.md     how the program is built
"""
FAULT = """\
This is a fault of connectomics and not yours. Please report the lines above, with the command and
the config. Files that were complete are as they were."""
DOWNLOAD = "download"
FIRST = ("init", "check")
WITHOUT_CONFIG = ("decode", "evaluate")


def _path(text: str) -> Path:
    try:
        return Path(at_home(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


OPTIONS = {
    "--config": {"type": _path, "metavar": "FILE", "help": "the YAML file"},
    "--init": {"nargs": "+", "metavar": "FILE", "help": "write a config for these files"},
    "--check": {"action": "store_true", "help": "look at a config's volumes before training"},
    "--mode": {"default": "train", "metavar": "MODE", "help": "one of the modes above"},
    "--checkpoint": {
        "type": _path,
        "metavar": "CKPT",
        "help": "one to use, or its run folder",
    },
    "--plan": {"action": "store_true", "help": "say what infer or test would take, and stop"},
    "--print-config": {"action": "store_true", "help": "print all of the config, and stop"},
    "--json-schema": {
        "nargs": "?",
        "const": Path("-"),
        "type": _path,
        "metavar": "FILE",
        "help": "write the schema",
    },
    "--version": {"action": "version", "version": f"connectomics {__version__}"},
}


def main(arguments: Sequence[str] | None = None, *, installed: bool = False) -> int:
    """Run the command line.

    Args:
        arguments: Those of the process, unless given.
        installed: Whether it is called as the command `connectomics`, where the mode is the first
            word, and not as `scripts/main.py`.

    Returns:
        See `guarded`.
    """
    given = sys.argv[1:] if arguments is None else arguments
    return guarded(lambda: _run(given, installed))


def guarded(run: Callable[[], None]) -> int:
    """Run something, and say in words what went wrong with it.

    Returns:
        0; 2 for what can be put right, and 1 for what is our fault; 128 + the signal when stopped
        by one.
    """
    show, warnings.showwarning = warnings.showwarning, _show_warning
    try:
        with stopping(), without_launchers():
            _require_current_folder()
            run()
    except ConnectomicsError as error:
        print(error, file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 128 + stopped.signal
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except Exception as error:
        return _unexpected(error)
    finally:
        warnings.showwarning = show
    return 0


def _require_current_folder() -> None:
    try:
        Path.cwd()
    except OSError as error:
        problem = "is not there any more, or may not be read."
        raise ConfigError("current folder", problem, "Go to it anew: cd FOLDER") from error


def _run(given: Sequence[str], installed: bool) -> None:
    """Do what the arguments ask for."""
    if installed and given and given[0] == DOWNLOAD:
        from connectomics.exchange.arguments import download_data

        download_data(given[1:], f"connectomics {DOWNLOAD}")
        return
    options, overrides = _parse(given, installed)
    if options.json_schema:
        _write_json_schema(options.json_schema)
    elif options.init:
        _write_config(options, overrides)
    elif options.config is None:
        _run_on_files(options, overrides)
    elif options.check:
        from connectomics.pipeline.checking import check

        _refuse(options, "--check", ("checkpoint", "print_config"))
        check(options.config, overrides, program=options.program)
    else:
        _run_config(options, overrides)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
    """What a user is to know of their data, without the line of code that found it."""
    if issubclass(category, DataWarning):
        print(f"warning: {message}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, *place[:2]), end="", file=sys.stderr)


def _unexpected(error: Exception) -> int:
    """Say what the machine refused; what else comes here is a fault of the program."""
    from connectomics.process.failures import machine_error

    refused = machine_error(error)
    if refused is not None:
        print(refused, file=sys.stderr)
        return 2
    traceback.print_exception(error)
    print(FAULT, file=sys.stderr)
    return 1


def command() -> int:
    """Be the command `connectomics`."""
    return in_process(partial(main, installed=True))


def in_process(program: Callable[[], int]) -> int:
    """Run a program in a process of its own, whose output is allowed to get lost.

    Returns:
        Its exit status.
    """
    from connectomics.process.output import lost_output, prepare_output

    prepare_output()
    end_with_the_first()
    try:
        status = program()
    except SystemExit as end:  # argparse has printed its help, or what is wrong
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    lost = lost_output()
    if lost is None:
        return status
    print(f"standard output: {lost.strerror}. Some of what was printed is lost.", file=sys.stderr)
    return status or 2


def _parse(given: Sequence[str], installed: bool) -> tuple[argparse.Namespace, list[str]]:
    """Read options and overrides, in whatever order they stand."""
    if installed and given and _is_word(given[0]):
        given = [f"--{given[0]}", *given[1:]] if given[0] in FIRST else ["--mode", *given]
    parser = argparse.ArgumentParser(
        usage=USAGE_INSTALLED if installed else USAGE,
        description=DESCRIPTION,
        epilog=(EXAMPLES_INSTALLED if installed else EXAMPLES) + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for option, settings in OPTIONS.items():
        parser.add_argument(option, **settings)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="change a setting")
    for option in ("--config", "--mode", "--checkpoint"):
        if sum(word == option or word.startswith(f"{option}=") for word in given) > 1:
            raise ConfigError(option, "is given twice.", "Keep one of them.")
    options, rest = parser.parse_known_args(given)
    options.program = _program(installed)
    for argument in rest:
        if argument.startswith("-"):
            raise _no_such_option(argument)
    return options, [*options.overrides, *rest]


def _program(installed: bool) -> str:
    """How the program was called, for commands to type next."""
    if installed:
        return "connectomics"
    called = sys.argv[0] if Path(sys.argv[0]).name == "main.py" else "scripts/main.py"
    return f"python {shlex.quote(called)}"


def _is_word(argument: str) -> bool:
    """Whether an argument is neither an option nor an override."""
    return not argument.startswith("-") and "=" not in argument


def _no_such_option(argument: str) -> ConfigError:
    option, equals, value = argument.partition("=")
    bare = option.lstrip("-")
    short = [name for name in OPTIONS if len(bare) == 1 and name.startswith(f"--{bare}")]
    remedy = f"Did you mean '{short[0]}'?" if short else did_you_mean(option, OPTIONS)
    if "." in bare or "/" in bare:
        remedy = f"Settings have no dashes: {bare}={value if equals else '...'}"
    return ConfigError(option, "there is no such option.", remedy)


def _run_config(options: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Read the config, and run its mode."""
    from connectomics.checkpoints import find_checkpoint
    from connectomics.pipeline import stages
    from connectomics.pipeline.components import read_config, with_settings
    from connectomics.process.cpus import use_threads

    checkpoint = options.checkpoint and find_checkpoint(options.checkpoint)
    if checkpoint != options.checkpoint:
        print(f"checkpoint: {checkpoint}", file=sys.stderr)
    resolved = read_config(
        options.config,
        mode=options.mode,
        overrides=overrides,
        presets=stages.presets_of(checkpoint),
        torch=not options.print_config,
    )
    stages.require_workable(resolved)
    for note in resolved.notes():
        print(f"config: {note}", file=sys.stderr)
    if options.print_config:
        complete = replace(resolved, config=with_settings(resolved.config))
        print(complete.config_to_yaml(), end="")
        return
    use_threads(resolved.config.system.num_threads)
    with resolved.naming_places():
        if options.plan:
            from connectomics.pipeline.planning import plan

            plan(resolved, checkpoint)
        else:
            stages.STAGES[options.mode](resolved, checkpoint)


def _write_config(options: argparse.Namespace, words: Sequence[str]) -> None:
    """Write the config of a user's files."""
    from connectomics.pipeline.init import init

    _refuse(options, "--init", ("config", "check", "checkpoint", "print_config"))
    init([*options.init, *words], program=options.program)


def _refuse(options: argparse.Namespace, option: str, others: Sequence[str]) -> None:
    for other in (name for name in others if getattr(options, name)):
        raise ConfigError(
            f"--{other.replace('_', '-')}", f"does not go with {option}.", "Take it out."
        )


def _run_on_files(options: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Without a config: score or list what the command line names."""
    if options.mode not in WITHOUT_CONFIG:
        named = [word for word in overrides if word.endswith((".yaml", ".yml"))]
        start = "Start from one in tutorials/: --config tutorials/syn_em_r50.yaml"
        remedy = f"Did you mean --config {named[0]}?" if named else start
        raise ConfigError("--config", "names no file.", remedy)
    if options.plan:
        raise ConfigError("--plan", "is of use with a --config only.", "Take it out.")
    if options.checkpoint is not None:
        raise ConfigError("--checkpoint", "is of use with a --config only.", "Take it out.")
    from connectomics.pipeline.standalone import FILE_MODES, read_file_settings

    settings = read_file_settings(options.mode, overrides, complete=not options.print_config)
    if options.print_config:
        from connectomics.config.yaml_text import write_yaml

        print(write_yaml(settings.model_dump()), end="")
    else:
        FILE_MODES[options.mode].run(settings)


def _write_json_schema(target: Path) -> None:
    from connectomics.files import atomic_path
    from connectomics.pipeline.components import config_schema

    text = json.dumps(config_schema(), indent=2)
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
