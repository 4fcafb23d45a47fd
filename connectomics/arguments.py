"""What the command line takes, as it is explained and as it is read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from connectomics import __version__
from connectomics.errors import ConfigError, did_you_mean
from connectomics.naming import at_home

USAGE = """\
main.py --init FILE ... [output=my.yaml] [key=value ...]
       main.py --config FILE --check [--mode test [--checkpoint CKPT]] [key=value ...]
       main.py --config FILE [--mode MODE] [--checkpoint CKPT] [key=value ...]
       main.py --mode evaluate truth=FILE prediction=FILE [key=value ...]
       main.py --mode decode labels=FILE output=FOLDER [key=value ...]"""
USAGE_INSTALLED = """\
connectomics init FILE ... [output=my.yaml] [key=value ...]
       connectomics check --config FILE [--mode test [--checkpoint CKPT]] [key=value ...]
       connectomics MODE --config FILE [--checkpoint CKPT] [key=value ...]
       connectomics evaluate truth=FILE prediction=FILE [key=value ...]
       connectomics decode labels=FILE output=FOLDER [key=value ...]
       connectomics download DATASET [--to FOLDER] [--from FILE ...]"""
DESCRIPTION = """\
Find synapses and their direction in electron-microscopy volumes.

first:
  --init     look at files of EM and labels, and write a config for them
  --check    show what a config trains and tests on, how long that takes, and what is odd; with
             --mode test and a checkpoint, what a test uses and takes

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
  README.md                first steps, and from your own volumes to a report in four commands
  tutorials/               configs to start from; --print-config shows every setting there is
  datasets/README.md       how to get the data they name
  docs/decoding.md         from probabilities to synapses: the decoders and their settings
  docs/scores.md           what each score means
  docs/scale.md            volumes larger than memory, several processes and machines
  docs/tuning.md           better settings for the decoder, and how to use them
  docs/troubleshooting.md  when something goes wrong, by message
  docs/architecture.md     how the program is built
"""
FIRST = ("init", "check")


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
    "--plan": {
        "action": "store_true",
        "help": "say what infer, decode or test would take, and stop",
    },
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


def parse_arguments(given: Sequence[str], installed: bool) -> tuple[argparse.Namespace, list[str]]:
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
    for argument in rest:
        if argument.startswith("-"):
            raise _no_such_option(argument)
    return options, [*options.overrides, *rest]


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


def refuse_options(
    options: argparse.Namespace, option: str, others: Sequence[str], remedy: str = "Take it out."
) -> None:
    """Refuse options that do not go with another one."""
    for other in (name for name in others if getattr(options, name)):
        where = f"--{other.replace('_', '-')}"
        raise ConfigError(where, f"does not go with {option}.", remedy)
