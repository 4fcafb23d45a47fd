"""`optimization` and `monitor`: how, and how closely watched, training runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from connectomics.config.schema.base import Count, Momentum, PositiveInt, Section

Rate = Annotated[float, Field(ge=0, le=100)]


class OptimizerSection(Section):
    """The optimizer; `momentum` is SGD's, `betas` and `eps` are Adam's."""

    name: Literal["AdamW", "Adam", "SGD"] = "AdamW"
    lr: Annotated[float, Field(gt=0, le=100)] = 1e-3
    weight_decay: Rate = 0.01
    betas: tuple[Momentum, Momentum] = (0.9, 0.999)
    eps: Annotated[float, Field(ge=1e-30, le=1)] = 1e-8
    momentum: Momentum = 0.9


class SchedulerSection(Section):
    """The learning rate by step; `t_max` follows `optimization.max_steps` unless given.

    From `factor` on, settings are those of `torch.optim.lr_scheduler.ReduceLROnPlateau`, which
    looks at `monitor` after every validation.
    """

    name: Literal["CosineAnnealingLR", "ReduceLROnPlateau", "ConstantLR"] = "CosineAnnealingLR"
    warmup_steps: Count = 0
    min_lr: Rate = 1e-5
    t_max: PositiveInt | None = None
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    patience: Count = 10
    monitor: str = "val_loss"
    mode: Literal["min", "max"] = "min"
    threshold: Annotated[float, Field(ge=0, le=1e6)] = 1e-4
    threshold_mode: Literal["rel", "abs"] = "rel"
    cooldown: Count = 0
    eps: Annotated[float, Field(ge=0, le=1)] = 1e-8


class EMASection(Section):
    """An exponential moving average of the weights."""

    enabled: bool = True
    decay: Momentum = 0.999
    warmup_steps: Count = 500
    validate_with_ema: bool = True


class OptimizationSection(Section):
    """The optimisation. An epoch is `n_steps_per_epoch` steps, then a validation.

    `precision: auto` is what the machine computes fast: bfloat16 where the GPU or the processor
    has it, else half precision on a GPU and float32 on a CPU. `compile: auto` compiles the network
    on a GPU where the training, or the volume to predict, is large enough to win the time back.
    """

    max_steps: PositiveInt = 150_000
    n_steps_per_epoch: PositiveInt = 1000
    gradient_clip_val: Annotated[float, Field(ge=0, le=10**6)] = 1.0
    accumulate_grad_batches: Annotated[int, Field(gt=0, le=10**6)] = 1
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "32-true"
    compile: Literal["auto"] | bool = "auto"
    deterministic: bool = False
    benchmark: bool = True
    optimizer: OptimizerSection = OptimizerSection()
    scheduler: SchedulerSection = SchedulerSection()
    ema: EMASection = EMASection()


class ImageLoggingSection(Section):
    """Grids of EM, target and prediction in TensorBoard; `max_images: 0` switches them off."""

    every_n_epochs: PositiveInt = 1
    max_images: Annotated[int, Field(ge=0, le=64)] = 4
    num_slices: Annotated[int, Field(gt=0, le=64)] = 4


class LoggingSection(Section):
    """What goes to TensorBoard."""

    every_n_steps: PositiveInt = 10
    images: ImageLoggingSection = ImageLoggingSection()


class CheckpointSection(Section):
    """Which checkpoints are kept beside `last.ckpt`."""

    monitor: str = "val_loss"
    mode: Literal["min", "max"] = "min"
    save_top_k: Annotated[int, Field(ge=0, le=10_000)] = 1


class EarlyStoppingSection(Section):
    """Stop when the monitored score has not improved for `patience` validations."""

    enabled: bool = False
    monitor: str = "val_loss"
    mode: Literal["min", "max"] = "min"
    patience: PositiveInt = 20
    min_delta: Annotated[float, Field(ge=0, le=10**6)] = 0.0


class MonitorSection(Section):
    """How training is watched and saved."""

    logging: LoggingSection = LoggingSection()
    checkpoint: CheckpointSection = CheckpointSection()
    early_stopping: EarlyStoppingSection = EarlyStoppingSection()
    progress_bar: bool = True
