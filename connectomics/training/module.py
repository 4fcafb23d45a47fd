"""What one step of training and one of validation do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from connectomics.training.optimization import LearningRate, StepScheduler
from connectomics.training.scores import (
    ScoredChannels,
    Sides,
    dice,
    dice_counts,
    foreground_of,
    kind_names,
    side_counts,
)

Batch = dict[str, Tensor]


class SynapseModule(pl.LightningModule):
    """A network with its loss and optimizer.

    Logs `train_loss`, `train_<term>` and `lr` by step; by validation `val_loss`, `val_dice`, the
    Dice of each channel alone (`val_dice_pre`, ...) and, with sides, `val_side_accuracy`.

    Args:
        network: (B, 1, Z, Y, X) images to logits (B, C, Z, Y, X), or to a list of them, finest
            first, in training (deep supervision).
        loss: `total, terms = loss(logits, target, weight)`, such as `SummedLoss`.
        build_optimizer: From the network to its optimizer.
        rate: The learning rate by step.
        channels: What `val_dice` is computed on; if empty, it is not.
        facts: What a checkpoint says about itself, as plain values; see `CheckpointFacts`.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        *,
        build_optimizer: Callable[[nn.Module], torch.optim.Optimizer],
        rate: LearningRate,
        channels: Sequence[ScoredChannels] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.build_optimizer = build_optimizer
        self.rate = rate
        self.channels = tuple(channels)
        self.kinds = kind_names(self.channels)
        named = "pre" in self.kinds and "post" in self.kinds
        self.sides = (self.kinds.index("pre"), self.kinds.index("post")) if named else None
        self.told_apart: Sides | None = None
        self.facts = dict(facts or {})
        self.began = False
        self._settings: list[dict[str, Any]] = []
        self._random_states: list[Mapping[str, Any]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the loss of one batch.

        Args:
            batch: "image" (B, 1, Z, Y, X), "label" (B, C', Z, Y, X) and perhaps "mask"
                (B, 1, Z, Y, X), all float32.
            batch_idx: Not used.
        """
        images = batch["image"]
        total, terms = self.loss(self.network(images), batch["label"], batch.get("mask"))
        logged = {"loss": total.detach(), **terms}
        self.log_dict({f"train_{name}": value for name, value in logged.items()}, batch_size=1)
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"], batch_size=1)
        return total

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Bound the length of the gradient, for fused optimizers too.

        Lightning refuses those in mixed precision, for they could undo the scaling of float16
        themselves; here they are used where nothing is scaled.
        """
        del optimizer, gradient_clip_algorithm
        if gradient_clip_val:
            nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def on_validation_epoch_start(self) -> None:
        """Begin a new sum."""
        kinds = sum(channel.kinds for channel in self.channels)
        self._loss_sum = torch.zeros(2, dtype=torch.float64, device=self.device)
        self._dice_sum = torch.zeros(2, kinds, dtype=torch.float64, device=self.device)
        self._union_sum = torch.zeros(2, 1, dtype=torch.float64, device=self.device)
        self._side_sum = torch.zeros(3, 3, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Add one batch to the sums, and hand the logits (B, C, Z, Y, X) to callbacks."""
        logits = self.network(batch["image"])
        total, _ = self.loss(logits, batch["label"], batch.get("mask"))
        count = len(batch["image"])
        self._loss_sum += torch.stack([total.double() * count, total.new_tensor(count).double()])
        if self.channels:
            probability, truth = foreground_of(self.channels, logits, batch["label"])
            self._dice_sum += dice_counts(probability, truth, batch.get("mask"))
            self._count_sides(probability, truth, batch.get("mask"))
        return logits

    def _count_sides(self, probability: Tensor, truth: Tensor, weight: Tensor | None) -> None:
        """Compare pre with post, and count the union of classes that exclude each other."""
        if not self.sides:
            return
        pre, post = self.sides
        pairs = [(probability[:, k], truth[:, k]) for k in (pre, post)]
        self._side_sum += side_counts(pairs[0], pairs[1], weight)
        if "union" not in self.kinds:
            union = [(t[:, pre] + t[:, post])[:, None] for t in (probability, truth)]
            self._union_sum += dice_counts(union[0], union[1], weight)

    def on_validation_epoch_end(self) -> None:
        """Log the scores of all patches of all processes together."""
        loss_sum = self.trainer.strategy.reduce(self._loss_sum, reduce_op="sum")
        dice_sum = self.trainer.strategy.reduce(self._dice_sum, reduce_op="sum")
        val_loss = loss_sum[0] / loss_sum[1]
        scores = {"val_loss": val_loss.float()}
        if self.channels:
            scores["val_dice"] = dice(dice_sum).float()
        self.log_dict(scores)
        self._log_kinds(dice_sum)
        self.rate.observe(
            {name: float(v) for name, v in {**self.trainer.callback_metrics, **scores}.items()}
        )

    def _log_kinds(self, dice_sum: Tensor) -> None:
        """Log what tells the channels apart, where there are several."""
        reduce = self.trainer.strategy.reduce
        if len(self.kinds) > 1:
            for k, name in enumerate(self.kinds):
                self.log(f"val_dice_{name}", dice(dice_sum[:, [k]]).float())
        if not self.sides:
            return
        if "union" not in self.kinds:
            self.log("val_dice_union", dice(reduce(self._union_sum, reduce_op="sum")).float())
        self.told_apart = Sides.of(reduce(self._side_sum, reduce_op="sum"))
        self.log("val_side_accuracy", self.told_apart.accuracy)

    def configure_optimizers(self) -> Any:
        """Build the optimizer and the schedule, which moves by step."""
        optimizer = self.build_optimizer(self.network)
        self._settings = [
            {name: value for name, value in group.items() if name not in ("params", "lr")}
            for group in optimizer.param_groups
        ]
        scheduler = StepScheduler(optimizer, self.rate)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step", "frequency": 1},
        }

    def on_train_start(self) -> None:
        """Take up the random state of the checkpoint, and the settings of the config.

        Each process has a random state of its own.
        An optimizer restored from a checkpoint brings its own weight decay and so on; the
        config of this run has the last word.
        """
        for group, settings in zip(
            self.trainer.optimizers[0].param_groups, self._settings, strict=True
        ):
            group.update(settings)
        for parameter, state in self.trainer.optimizers[0].state.items():
            _require_shapes(parameter, state)
        rank = self.trainer.global_rank
        if rank < len(self._random_states):
            set_random_state(self._random_states[rank], self.device)
        elif rank:  # one that the checkpoint knows nothing of
            torch.manual_seed(torch.initial_seed() + rank)
        self._random_states = []
        self.began = True

    def on_train_batch_start(self, *_: Any) -> None:
        """Let what is due every n steps be due at multiples of n in a resumed run too.

        A checkpoint that is written in a validation holds Lightning's count before that step.
        """
        self.trainer.fit_loop.epoch_loop._batches_that_stepped = self.trainer.global_step

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what inference and a resumed run need to know, as plain values and tensors."""
        metrics = {name: float(v) for name, v in self.trainer.callback_metrics.items()}
        own, *others = self._of_all_processes(random_state(self.device))
        checkpoint["connectomics"] = {
            **self.facts,
            "step": self.trainer.global_step,
            "metrics": metrics,
            "random_state": own,
            "other_random_states": others,
        }

    def _of_all_processes(self, value: Any) -> list[Any]:
        """What each process gives, in their order; all have to ask."""
        values = [value] * self.trainer.world_size
        if self.trainer.world_size > 1:
            torch.distributed.all_gather_object(values, value)
        return values

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the random states until training starts."""
        facts = checkpoint["connectomics"]
        self._random_states = [facts["random_state"], *facts.get("other_random_states", ())]


def _require_shapes(parameter: Tensor, state: Mapping[str, Any]) -> None:
    """Check that what an optimizer has kept of a parameter is of its shape."""
    for name, value in state.items():
        if isinstance(value, Tensor) and value.ndim and value.shape != parameter.shape:
            raise ValueError(f"{name}: {tuple(value.shape)}, and not {tuple(parameter.shape)}")


def random_state(device: torch.device) -> dict[str, Tensor | None]:
    """The state of PyTorch's generators: the CPU's, and the GPU's if training is on one."""
    gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return {"cpu": torch.get_rng_state(), "gpu": gpu}


def set_random_state(state: Mapping[str, Tensor | None], device: torch.device) -> None:
    """Go back to a `random_state`; a GPU that was not used then keeps its own."""
    if state["cpu"] is not None:
        torch.set_rng_state(state["cpu"].cpu())
    if state["gpu"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["gpu"].cpu(), device)
