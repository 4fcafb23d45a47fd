"""How much memory training will take, known from the shapes before the first step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from connectomics.config.schema import Config
from connectomics.data.processing.build import target_channels
from connectomics.devices import memory_of_gpu
from connectomics.models.live_bytes import (
    CERTAIN,
    COMPILED,
    SCRATCH,
    Live,
    Network,
    live_bytes,
    nbytes,
)
from connectomics.process.fitting import Need, memory_of_machine, require_room
from connectomics.training.compiled_network import compiles
from connectomics.training.module import SynapseModule

USUAL = 0.85
"""The share of what is predicted that is certain: the least that was measured is 92 %, see
`docs/memory.md`."""
BATCHES_OF_WORKER = 3
"""A worker makes one while two are on their way (PyTorch's `prefetch_factor`)."""

_DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Footprint(NamedTuple):
    """Bytes that training takes beside what is in memory before it: volumes and network.

    Attributes:
        kept: Copies of the weights in the optimizer, in the moving average and on the GPU.
        step: Features, gradients, the loss.
        workers: Patches that are made ahead, in the memory of the machine.
    """

    kept: int
    step: Live
    workers: int

    @property
    def predicted(self) -> int:
        """Of the device, with what kernels need for themselves."""
        return self.kept + self.step.with_scratch


def footprint(
    config: Config, module: SynapseModule, device: torch.device, *, masked: bool = False
) -> Footprint:
    """Find out what one process of a training takes.

    Args:
        config: The whole config, its precision decided.
        module: Network and loss.
        device: Where it trains; nothing is allocated there.
        masked: Whether some voxels do not count.
    """
    loader, optimization = config.data.dataloader, config.optimization
    patch = (loader.batch_size, *loader.patch_size)
    channels = target_channels(config.data.label_transform.targets)
    adam = optimization.optimizer.name != "SGD"
    copies = 2 if adam else int(optimization.optimizer.momentum > 0)
    copies += optimization.ema.enabled + (device.type == "cuda")
    run = _step(module, config, patch, channels, device, masked)
    try:
        step = live_bytes(module.network, run, device)
    except Exception:  # a loss of MONAI's looks at numbers, which stand-ins have not
        plain = _step(module, config, patch, channels, device, masked, plain=True)
        step = live_bytes(module.network, plain, device)
    sample = 4 * math.prod(loader.patch_size) * (config.model.in_channels + channels + masked)
    ahead = BATCHES_OF_WORKER * loader.num_workers * loader.batch_size * sample
    return Footprint(copies * nbytes(module.network), step, ahead)


def _step(
    module: SynapseModule,
    config: Config,
    patch: tuple[int, ...],
    channels: int,
    device: torch.device,
    masked: bool,
    *,
    plain: bool = False,
) -> Callable[[Network], None]:
    """One step on a batch of patches, as `SynapseModule.training_step` does it."""
    dtype = _DTYPES.get(config.optimization.precision)
    batch, *size = patch

    def run(network: Network) -> None:
        image = torch.zeros(batch, config.model.in_channels, *size)
        target = torch.zeros(batch, channels, *size)
        mask = torch.ones(batch, 1, *size) if masked else None
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            logits = network(image)
            if plain:
                levels = logits if isinstance(logits, list) else [logits]
                total = torch.stack([level.float().sigmoid().mean() for level in levels]).sum()
            else:
                total, _ = module.loss(logits, target, mask)
        total.backward()

    return run


def require_memory(
    config: Config, module: SynapseModule, devices: tuple[str, int], *, masked: bool = False
) -> tuple[str, str]:
    """Refuse a training that cannot fit; else say how much memory it takes.

    Args:
        config: The whole config, its precision decided.
        module: Network and loss.
        devices: "gpu" or "cpu", and how many.
        masked: Whether some voxels do not count.

    Returns:
        A line for the log, and a warning, empty where everything is well.

    Raises:
        MachineError: Even the least that it takes is more than there is, on the GPU or here.
    """
    kind, processes = devices
    device = torch.device("cuda" if kind == "gpu" else "cpu")
    one = footprint(config, module, device, masked=masked)
    where = memory_of_gpu(device) if kind == "gpu" else memory_of_machine()
    compiled = compiles(config.optimization.compile, kind, config.optimization.max_steps)
    least = one.kept + _certain(one.step, compiled=compiled)
    times, ahead = (1, 0) if kind == "gpu" else (processes, processes * one.workers)
    need = Need(times * one.predicted + ahead, int(times * least))
    remedy = ""
    if need.predicted > where.free or need.least + where.used > (where.total or math.inf):

        def of_batch(batch: int) -> int:
            smaller = footprint(_with_batch(config, batch), module, device, masked=masked)
            return times * (smaller.predicted + (smaller.workers if ahead else 0))

        remedy = _remedy(config, _fitting(of_batch, config, (where.total or 0) - where.used))
    return require_room(need, where, "training", remedy)


def _fitting(of_batch: Callable[[int], int], config: Config, room: int) -> int:
    """The largest batch that is predicted to fit, of half as many patches at most; 0 if none."""
    most = config.data.dataloader.batch_size // 2
    if most < 1 or (one := of_batch(1)) > room:
        return 0
    if most == 1:
        return 1
    whole = of_batch(most)
    if whole <= room:
        return most
    each = (whole - one) / (most - 1)  # gradients and the like are the same for any batch
    return 1 + int((room - one) / each)


def _with_batch(config: Config, batch: int) -> Config:
    loader = config.data.dataloader.model_copy(update={"batch_size": batch})
    return config.model_copy(update={"data": config.data.model_copy(update={"dataloader": loader})})


def _certain(step: Live, *, compiled: bool) -> float:
    """Bytes that a step takes whatever kernels do."""
    if compiled:
        return COMPILED * step.peak
    return max(CERTAIN * step.peak, USUAL * (step.with_scratch - SCRATCH))


def _remedy(config: Config, fits: int) -> str:
    """How a training would need less; of a batch, so many patches are predicted to fit."""
    batch = config.data.dataloader.batch_size
    accumulate = config.optimization.accumulate_grad_batches
    smaller = "a smaller data.dataloader.patch_size, or a smaller network"
    if fits < 1:
        return f"Set {smaller} (such as model/rsunet=small)."
    more = -(-batch * accumulate // fits)
    return (
        f"Set data.dataloader.batch_size={fits} (with optimization.accumulate_grad_batches={more} "
        f"a step sees about as many patches), {smaller}."
    )
