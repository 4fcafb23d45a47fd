"""Which activation each channel of the network was trained for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from connectomics.config.channels import channel_range
from connectomics.config.components import Activation, Components
from connectomics.config.schema import ChannelActivationSection, ModelSection
from connectomics.errors import ConfigError


class Activated(NamedTuple):
    """Channels `start` up to `stop` and their activation.

    A softmax is over all of its channels; a sigmoid is of one channel, so that two ranges of
    sigmoids agree wherever they overlap.
    """

    start: int
    stop: int
    activation: Activation


def trained_activations(model: ModelSection, components: Components) -> list[Activated]:
    """What the losses train the channels for, in the order of the channels, each once.

    Losses whose activation is not known, or whose channels there are not, say nothing.
    """
    return sorted(set(_wanted(model, components)))


def channels_read(given: Iterable[ChannelActivationSection], channels: int) -> dict[int, Activated]:
    """How each channel becomes a probability; those that stay logits, or are not there, are none.

    >>> given = [ChannelActivationSection(channels="0:2", activation="softmax")]
    >>> channels_read(given, 3)
    {0: Activated(start=0, stop=2, activation='softmax'), \
1: Activated(start=0, stop=2, activation='softmax')}
    """
    found: dict[int, Activated] = {}
    for item in given:
        try:
            start, stop = channel_range(item.channels, channels)
        except ConfigError:
            continue
        if item.activation == "none":
            continue
        for channel in range(start, stop):
            alone = item.activation == "sigmoid"
            one = (channel, channel + 1) if alone else (start, stop)
            found[channel] = Activated(*one, item.activation)
    return found


def clashes(activated: Iterable[Activated]) -> Iterator[tuple[Activated, Activated]]:
    """Pairs that want different things of one channel.

    >>> list(clashes([Activated(0, 3, "softmax"), Activated(2, 3, "sigmoid")]))[0][1].start
    2
    """
    before: list[Activated] = []
    for one in activated:
        yield from ((other, one) for other in before if other.stop > one.start)
        before.append(one)


def as_ranges(activated: Iterable[Activated]) -> list[Activated]:
    """Write sigmoids of neighbouring channels as one range.

    >>> as_ranges([Activated(0, 1, "sigmoid"), Activated(1, 2, "sigmoid")])
    [Activated(start=0, stop=2, activation='sigmoid')]
    """
    ranges: list[Activated] = []
    for one in activated:
        last = ranges[-1] if ranges else None
        if last and last.activation == one.activation == "sigmoid" and last.stop == one.start:
            ranges[-1] = Activated(last.start, one.stop, "sigmoid")
        else:
            ranges.append(one)
    return ranges


def _wanted(model: ModelSection, components: Components) -> Iterator[Activated]:
    for term in model.loss.losses:
        activation = components.loss(term).activation
        try:
            start, stop = channel_range(term.pred_slice, model.out_channels)
        except ConfigError:  # reported where losses are checked
            continue
        if activation == "softmax":
            yield Activated(start, stop, activation)
        elif activation == "sigmoid":
            yield from (
                Activated(channel, channel + 1, activation) for channel in range(start, stop)
            )
