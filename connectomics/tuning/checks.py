"""What is wrong with the `tune` section, found when the file is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from connectomics.config.schema import Config, NamedSection
from connectomics.decoding import DECODERS, check_decoding, output_encoding
from connectomics.errors import Fault, did_you_mean
from connectomics.evaluation.encoding import SIDED
from connectomics.tuning.build import dimension_of, step_with
from connectomics.tuning.objective import GOALS
from connectomics.tuning.spaces import (
    Choices,
    Dimension,
    is_number,
    settings_of,
    split_name,
    value_of,
)

if TYPE_CHECKING:
    from connectomics.config.schema.tuning import Candidates

PLACE = "tune.space"


def check_tuning(config: Config) -> list[Fault]:
    """Find what cannot work in the `tune` section.

    Returns:
        A fault for each unknown metric or one that the labels do not allow, each unknown setting
        of the decoder, and each value or range that it would refuse. None where there is no
        decoder to tune, or its own settings are at fault.
    """
    steps = config.decoding.steps
    if not steps or steps[0].name not in DECODERS or check_decoding(steps[:1]):
        return []
    return [*_goal_faults(config), *_space_faults(config)]


def check_search(config: Config) -> list[Fault]:
    """Find what keeps a search from beginning, beside what is wrong with the section itself.

    Returns:
        A fault where the decoder has no usual settings, and the config names none to search.
    """
    name = config.decoding.steps[0].name if config.decoding.steps else ""
    if config.tune.space is not None or name not in DECODERS or DECODERS[name].space:
        return []
    problem = f"{name} has no usual settings to search."
    return [Fault(PLACE, problem, "Name some, such as tune.space={thres: [0.1, 0.9]}.")]


def _goal_faults(config: Config) -> Iterator[Fault]:
    name, where = config.tune.metric, "tune.metric"
    if name is None or name not in GOALS:
        yield Fault(where, f"there is no score {name!r}.", did_you_mean(str(name), GOALS))
        return
    unsided = [goal for goal, of in GOALS.items() if not of.sided]
    remedy = f"Scores of labels without sides: {', '.join(unsided)}."
    decoder, truth = config.decoding.steps[0], config.evaluation.truth_encoding
    if GOALS[name].sided and output_encoding(decoder) not in SIDED:
        problem = f"{name} needs pre and post sides, and {decoder.name} gives none."
        yield Fault(where, problem, remedy, ("decoding.steps",))
    elif GOALS[name].sided and truth not in (*SIDED, "auto"):
        problem = f"{name} needs pre and post sides, and truth_encoding is {truth!r}."
        yield Fault(where, problem, remedy, ("evaluation.truth_encoding",))


def _space_faults(config: Config) -> Iterator[Fault]:
    entries, step = config.tune.space, config.decoding.steps[0]
    if entries is None:
        return
    if not entries:
        yield Fault(PLACE, "names no setting to search.", "Leave it out to search the usual ones.")
    for name, entry in entries.items():
        yield from _entry_faults(step, name, entry)


def _entry_faults(step: NamedSection, name: str, entry: Candidates) -> Iterator[Fault]:
    """What is wrong with one dimension of the space."""
    where, setting = f"{PLACE}.{name}", split_name(name)[0]
    configured = settings_of(step.name, step.kwargs)
    if setting in DECODERS[step.name].fixed:
        yield Fault(where, "says what the labels are, and is not searched.", "Take it out.")
        return
    if setting not in configured:
        yield from _of_space(check_decoding([step_with(step, {setting: None})]))
        return
    try:
        value = value_of(configured, name)
    except LookupError:
        problem = f"{setting} is {configured[setting]!r} and has no such item."
        yield Fault(where, problem, f"Set decoding.steps[0].kwargs.{setting} to a list.")
        return
    dimension = dimension_of(entry, step.name, name)
    faults = list(_shape_faults(where, dimension, value))
    yield from faults
    if not faults:
        found = [check_decoding([step_with(step, {name: end})]) for end in dimension.ends]
        yield from _of_space(dict.fromkeys(fault for faults in found for fault in faults))


def _shape_faults(where: str, dimension: Dimension, configured: Any) -> Iterator[Fault]:
    if isinstance(dimension, Choices):
        if not dimension.values:
            yield Fault(where, "names no value.", "Write [lowest, highest] or the choices.")
        return
    text = f"[{dimension.low:g}, {dimension.high:g}]"
    if dimension.low >= dimension.high:
        yield Fault(where, f"{text} is no range.", "The first number is the lowest.")
    elif dimension.log and dimension.low <= 0:
        problem = f"{text} reaches 0, where there are no orders of magnitude."
        yield Fault(where, problem, "Begin above 0, or leave log out.")
    elif dimension.whole and not (float(dimension.low).is_integer() and dimension.high % 1 == 0):
        yield Fault(where, f"{text}: the setting takes whole numbers.", "Write whole numbers.")
    elif not is_number(configured):
        yield Fault(
            where,
            f"is a range, and the configured value, {configured!r}, is no number.",
            "Write choices that hold it, or change decoding.steps[0].kwargs.",
        )


def _of_space(faults: Iterable[Fault]) -> Iterator[Fault]:
    """What decoding says of a value, said of the space it comes from."""
    for fault in faults:
        where = fault.where.replace("decoding.steps[0].kwargs", PLACE)
        yield Fault(where, fault.problem, fault.remedy)
