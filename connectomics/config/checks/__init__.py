"""What one section says held against what the others say, before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from connectomics.config.checks.amounts import check_amounts
from connectomics.config.checks.channels import (
    check_activations,
    check_decoder,
    check_loss_channels,
    check_masks,
)
from connectomics.config.checks.machines import check_workers
from connectomics.config.checks.training import check_monitor, check_schedule
from connectomics.config.checks.volumes import (
    check_evaluation,
    check_mode,
    check_sampling,
    check_volumes,
)
from connectomics.config.components import Components
from connectomics.config.dotted import DottedPath, overlaps, parse_path
from connectomics.config.schema import Config
from connectomics.errors import Fault

Check = Callable[[Config], Iterable[Fault]]

SECTIONS_READ: dict[Check, tuple[str, ...]] = {
    check_volumes: ("data.train", "data.val", "data.test", "data.image_transform"),
    check_sampling: ("data.dataloader",),
    check_evaluation: ("decoding.steps", "evaluation"),
    check_schedule: ("optimization",),
    check_workers: ("system.executor",),
    check_monitor: ("monitor", "optimization.scheduler"),
    check_amounts: (
        "data.train",
        "data.val",
        "data.test",
        "data.dataloader",
        "inference.window",
    ),
}
"""The checks, each with the parts of the config that it reads."""

CHANNELS_READ: dict[Callable[[Config, Components], Iterable[Fault]], tuple[str, ...]] = {
    check_masks: ("model.loss",),
    check_loss_channels: ("model.out_channels", "model.loss", "data.label_transform"),
    check_activations: ("model.out_channels", "model.loss", "inference.model"),
    check_decoder: (
        "model.out_channels",
        "model.loss",
        "inference.model.channel_activations",
        "decoding.steps",
    ),
}
"""The same for the checks that have to know what is named."""


def check_sections(
    config: Config, components: Components | None = None, *, lost: Sequence[DottedPath] = ()
) -> Iterator[Fault]:
    """Find what does not fit together.

    Args:
        config: With its derived values.
        components: What it may name; unless given, nothing that depends on it is checked.
        lost: Paths whose values could not be read; checks that would read them are left out,
            for they would complain of the consequences.
    """
    checks = [(sections, check(config)) for check, sections in SECTIONS_READ.items()]
    if components is not None:
        known = CHANNELS_READ.items()
        checks += [(sections, check(config, components)) for check, sections in known]
    for sections, faults in checks:
        paths = [parse_path(section) for section in sections]
        if not any(overlaps(path, other) for path in paths for other in lost):
            because = () if sections == SECTIONS_READ[check_volumes] else sections
            yield from (replace(fault, because=because) for fault in faults)


__all__ = ["CHANNELS_READ", "SECTIONS_READ", "check_mode", "check_sections"]
