"""Values that follow from others unless they are given. `--print-config` shows them all."""

from __future__ import annotations

from connectomics.config.activations import as_ranges, trained_activations
from connectomics.config.components import Components
from connectomics.config.schema import (
    ChannelActivationSection,
    Config,
    LossTermSection,
    NamedSection,
    PhantomSection,
    SplitSection,
)

TRAIN_SEED, TEST_SEED = 0, 1


def derive(
    config: Config, components: Components | None = None, *, no_volumes: bool = False
) -> Config:
    """Fill in what follows from the rest.

    Args:
        config: As written.
        components: What it may name; unless given, what follows from these is left open.
        no_volumes: No stage names any volume: synthetic EM takes their place.

    >>> derive(Config(experiment_name="mine")).save_path
    'outputs/mine'
    """
    config = _paths_and_schedule(config)
    if no_volumes:
        config = _synthetic(config)
    if components is None:
        return config
    config = _activations(_loss_slices(config, components), components)
    return _tuned_score(_exclusive_decoder(config, components), components)


def _target_channels(config: Config, components: Components) -> int | None:
    """How many channels the targets have together; None if one is not known."""
    classes = [components.classes(target) for target in config.data.label_transform.targets]
    return None if None in classes else sum(len(c) for c in classes if c)


def _paths_and_schedule(config: Config) -> Config:
    window, optimization = config.inference.window, config.optimization
    scheduler = optimization.scheduler
    size = window.window_size or config.data.dataloader.patch_size
    t_max = scheduler.t_max or optimization.max_steps
    return config.model_copy(
        update={
            "save_path": config.save_path or f"outputs/{config.experiment_name}",
            "inference": config.inference.model_copy(
                update={"window": window.model_copy(update={"window_size": size})}
            ),
            "optimization": optimization.model_copy(
                update={"scheduler": scheduler.model_copy(update={"t_max": t_max})}
            ),
        }
    )


def _synthetic(config: Config) -> Config:
    splits = {
        "train": SplitSection(phantom=PhantomSection(seed=TRAIN_SEED)),
        "test": SplitSection(phantom=PhantomSection(seed=TEST_SEED)),
    }
    return config.model_copy(update={"data": config.data.model_copy(update=splits)})


def _loss_slices(config: Config, components: Components) -> Config:
    """A term without slices sees all channels."""
    targets = _target_channels(config, components)

    def with_slices(term: LossTermSection) -> LossTermSection:
        update = {}
        if term.pred_slice is None:
            update["pred_slice"] = (0, config.model.out_channels)
        if term.target_slice is None and targets is not None:
            update["target_slice"] = (0, targets)
        return term.model_copy(update=update)

    losses = tuple(with_slices(term) for term in config.model.loss.losses)
    loss = config.model.loss.model_copy(update={"losses": losses})
    return config.model_copy(update={"model": config.model.model_copy(update={"loss": loss})})


def _activations(config: Config, components: Components) -> Config:
    """Channels become probabilities by the function their loss trained them for."""
    section = config.inference.model
    trained = as_ranges(trained_activations(config.model, components))
    if section.channel_activations is not None or not trained:
        return config
    activations = tuple(
        ChannelActivationSection(channels=(start, stop), activation=activation)
        for start, stop, activation in trained
    )
    model = section.model_copy(update={"channel_activations": activations})
    return config.model_copy(
        update={"inference": config.inference.model_copy(update={"model": model})}
    )


def is_exclusive(config: Config) -> bool:
    """Whether the network says {background, pre, post}: one softmax over three channels."""
    activations = config.inference.model.channel_activations or ()
    return [item.activation for item in activations] == ["softmax"]


def _exclusive_decoder(config: Config, components: Components) -> Config:
    """A decoder that has to be told of a softmax is told, unless it is told otherwise."""
    if not is_exclusive(config):
        return config

    def told(step: NamedSection) -> NamedSection:
        decoder = components.decoder(step.name)
        if decoder is None or not decoder.exclusive or "exclusive" in step.kwargs:
            return step
        return step.model_copy(update={"kwargs": {**step.kwargs, "exclusive": True}})

    steps = tuple(told(step) for step in config.decoding.steps)
    return config.model_copy(
        update={"decoding": config.decoding.model_copy(update={"steps": steps})}
    )


def _tuned_score(config: Config, components: Components) -> Config:
    """Decoders are tuned for their sides where there are some, else for finding objects."""
    steps, truth = config.decoding.steps, config.evaluation.truth_encoding
    if config.tune.metric is not None or not steps:
        return config
    decoder = components.decoder(steps[0].name)
    sided = decoder is not None and decoder.sided and truth in ("auto", "polarity", "semantic")
    tune = config.tune.model_copy(update={"metric": "F1_pol" if sided else "F1_det"})
    return config.model_copy(update={"tune": tune})
