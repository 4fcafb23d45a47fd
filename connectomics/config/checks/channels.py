"""Channels, from the targets over the network and its losses to the decoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from connectomics.config.activations import Activated, as_ranges, clashes, trained_activations
from connectomics.config.channels import ChannelRange, channel_range
from connectomics.config.components import Components
from connectomics.config.derived import is_exclusive
from connectomics.config.schema import Config, LossTermSection
from connectomics.errors import ConfigError, Fault, did_you_mean

TARGETS = "data.label_transform.targets"
ACTIVATIONS = "inference.model.channel_activations"


def check_loss_channels(config: Config, components: Components) -> Iterator[Fault]:
    """Every term compares channels that can be compared; every output channel is trained."""
    channels = config.model.out_channels
    classes = _target_classes(config, components)
    trained: set[int] = set()
    for i, term in enumerate(config.model.loss.losses):
        where = f"model.loss.losses[{i}]"
        if misspelt := _misspelt(term.function, components):
            yield Fault(f"{where}.function", f"there is no loss {term.function!r}.", misspelt)
        pred, faults = _range(term.pred_slice, channels, f"{where}.pred_slice", "the network")
        yield from faults
        trained.update(pred)
        if classes is None:
            continue
        slice_at = f"{where}.target_slice"
        target, faults = _range(term.target_slice, len(classes), slice_at, TARGETS)
        yield from faults
        if pred and target:
            takes_class_ids = components.loss(term).takes_class_ids
            pairing_faults = _class_faults if takes_class_ids else _yes_no_faults
            yield from pairing_faults(where, term, pred, [classes[channel] for channel in target])
    if not any(term.weight for term in config.model.loss.losses):
        yield Fault("model.loss.losses", "every weight is 0: nothing is learnt.", "Raise one.")
    untrained = sorted(set(range(channels)) - trained)
    if untrained:
        yield Fault(
            "model.loss.losses",
            f"no loss trains {_named(untrained)} of the network's {channels}.",
            "Widen a pred_slice, or lower model.out_channels.",
        )


def check_activations(config: Config, components: Components) -> Iterator[Fault]:
    """Every output channel becomes a probability, once, by the function it was trained for."""
    trained = trained_activations(config.model, components)
    for one, other in islice(clashes(trained), 1):
        yield Fault(
            "model.loss.losses",
            f"one loss wants {_spelt(one)}, another {_spelt(other)}.",
            "A channel can have one activation only.",
        )
    given = config.inference.model.channel_activations
    if given is None:
        if not any(_misspelt(term.function, components) for term in config.model.loss.losses):
            yield _unknown_activations(config)
        return
    times: Counter[int] = Counter()
    for i, item in enumerate(given):
        where = f"{ACTIVATIONS}[{i}]"
        found, faults = _range(
            item.channels, config.model.out_channels, f"{where}.channels", "the network"
        )
        yield from faults
        times.update(found)
        if item.activation != "none" and found:
            one = Activated(found.start, found.stop, item.activation)
            yield from _disagreements(where, one, trained)
    yield from _coverage_faults(times, config.model.out_channels)


def check_decoder(config: Config, components: Components) -> Iterator[Fault]:
    """The decoder gets probabilities, and knows whether they exclude each other.

    How many channels a decoder reads, and which metrics its labels allow, is known to decoding
    and evaluation, and checked by them.
    """
    steps, activations = config.decoding.steps, config.inference.model.channel_activations or ()
    if steps and any(item.activation == "none" for item in activations):
        problem = f"'none' leaves logits, and {steps[0].name} reads probabilities."
        yield Fault(ACTIVATIONS, problem, "Use sigmoid or softmax.")
        return
    decoder = components.decoder(steps[0].name) if steps and activations else None
    if decoder is not None and decoder.exclusive:
        exclusive = bool(steps[0].kwargs.get("exclusive", False))
        if exclusive != is_exclusive(config):
            yield _exclusive_fault(exclusive)


def check_masks(config: Config, components: Components) -> Iterator[Fault]:
    """Every loss can leave out the voxels that a mask takes from training."""
    facts = {term.function: components.loss(term) for term in config.model.loss.losses}
    names = [name for name, loss in facts.items() if not loss.takes_weight]
    splits = {"train": config.data.train, "val": config.data.val}
    for name, split in splits.items() if names else ():
        if split is not None and split.mask:
            yield Fault(
                f"data.{name}.mask",
                f"voxels cannot be left out of {' and '.join(names)}.",
                f"Use {', '.join(components.masked_losses)}, or leave the mask out.",
            )


def _misspelt(name: str, components: Components) -> str:
    """Which loss was meant; empty for a loss that there is, or that another MONAI may have."""
    known = {*components.losses, *components.monai_losses}
    if name in known:
        return ""
    bare = name.rpartition(".")[2]
    hint = f"Did you mean '{bare}'?" if bare in known else did_you_mean(bare, known)
    if hint.startswith("Did") or not name.isidentifier():
        return hint
    common = {"bce": "WeightedBCEWithLogitsLoss", "ce": "WeightedCE", "dice": "DiceLoss"}
    plain = name.lower().replace("loss", "").replace("withlogits", "").replace("_", "")
    if plain in common:
        return f"Did you mean '{common[plain]}'?"
    return ""


def _target_classes(config: Config, components: Components) -> list[int] | None:
    found = [components.classes(target) for target in config.data.label_transform.targets]
    if None in found:
        return None
    return [classes for channels in found if channels for classes in channels]


def _range(spec: ChannelRange, channels: int, where: str, giver: str) -> tuple[range, list[Fault]]:
    try:
        return range(*channel_range(spec, channels)), []
    except ConfigError:
        problem = f"{spec!r} is no range of the {_count(range(channels))} of {giver}."
        return range(0), [Fault(where, problem, 'Write "0:3", 0, or nothing for all.')]


def _class_faults(
    where: str, term: LossTermSection, pred: range, classes: list[int]
) -> Iterator[Fault]:
    """What keeps classes that exclude each other from being learned from these channels.

    Args:
        where: The place of the term.
        term: The term.
        pred: Channels of the network.
        classes: For each channel of the target, how many classes it holds.
    """
    if len(classes) != 1:
        yield Fault(
            where,
            f"{term.function} learns classes that exclude each other from one channel of class "
            f"ids, and its target has {len(classes)} channels.",
            f"Set kwargs: {{exclusive: true}} in {TARGETS}, or narrow target_slice.",
        )
    elif classes[0] != len(pred):
        yield Fault(
            where,
            f"{term.function} tells {len(pred)} classes apart, and its target holds {classes[0]}.",
            f"Give it {classes[0]} channels: model.out_channels and pred_slice.",
        )


def _yes_no_faults(
    where: str, term: LossTermSection, pred: range, classes: list[int]
) -> Iterator[Fault]:
    """What keeps yes or no from being learned channel by channel; see `_class_faults`."""
    name = term.function
    if len(classes) != len(pred):
        yield Fault(
            where,
            f"{name} compares {_count(pred)} of the network with {_count(classes)} of the target.",
            f"Let model.out_channels agree with {TARGETS}, or pick channels by pred_slice and "
            "target_slice.",
        )
    elif max(classes) > 2:
        yield Fault(
            where,
            f"{name} learns yes or no, and its target holds {max(classes)} class ids.",
            f"Use WeightedCE, or set kwargs: {{exclusive: false}} in {TARGETS}.",
        )


def _unknown_activations(config: Config) -> Fault:
    names = sorted({term.function for term in config.model.loss.losses})
    stop = config.model.out_channels
    return Fault(
        ACTIVATIONS,
        f"does not follow from {' and '.join(names)}.",
        "If this loss is one of MONAI's, give what it was made for: "
        f'[{{channels: "0:{stop}", activation: sigmoid}}]',
    )


def _disagreements(where: str, given: Activated, trained: list[Activated]) -> Iterator[Fault]:
    if given.activation == "sigmoid":
        against = [one for one in trained if one.activation == "softmax"]
    else:
        against = [one for one in trained if one != given]
    meeting = [one for one in as_ranges(against) if one.start < given.stop > given.start < one.stop]
    for one in meeting[:1]:
        yield Fault(
            f"{where}.activation",
            f"{_spelt(given)} is given, and the losses train {_spelt(one)}.",
            "Leave channel_activations out: they follow from the losses.",
        )


def _coverage_faults(times: Counter[int], channels: int) -> Iterator[Fault]:
    missing = [channel for channel in range(channels) if not times[channel]]
    twice = [channel for channel in range(channels) if times[channel] > 1]
    if missing:
        yield Fault(
            ACTIVATIONS,
            f"leaves out {_named(missing)} of {channels}: a decoder would get raw logits.",
            "Leave channel_activations out, and they follow from the losses.",
        )
    if twice:
        yield Fault(ACTIVATIONS, f"names {_named(twice)} twice.", "Name every channel once.")


def _exclusive_fault(exclusive: bool) -> Fault:
    where = "decoding.steps[0].kwargs.exclusive"
    if exclusive:
        problem = "is true, and the network's channels are three sigmoids, not one softmax."
        remedy = "Train with WeightedCE on an exclusive target, or set it to false."
    else:
        problem = "is false, and the network's channels are one softmax over three classes."
        remedy = "Set it to true, or leave it out."
    return Fault(where, problem, remedy)


def _spelt(one: Activated) -> str:
    return f"{one.activation} on channels {one.start}:{one.stop}"


def _named(channels: list[int]) -> str:
    noun = "channel" if len(channels) == 1 else "channels"
    if len(channels) > 8:
        return f"{len(channels)} {noun}"
    return f"{noun} {', '.join(map(str, channels))}"


def _count(channels: range | list[int]) -> str:
    return f"{len(channels)} channel{'s' * (len(channels) != 1)}"
