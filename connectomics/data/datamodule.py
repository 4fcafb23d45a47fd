"""Batches of patches for Lightning, in an order that survives interruptions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from connectomics.data.augmentation import Augmenter
from connectomics.data.counting import Counted, nothing_counts, what_counts
from connectomics.data.dataset import (
    FixedPatchDataset,
    PatchDataset,
    PatchSource,
    Sample,
    SampleMaker,
)
from connectomics.data.kept import Kept
from connectomics.data.places import Places, places_of
from connectomics.data.sampling import PatchSampler, explained, sliver_warning
from connectomics.data.synapse_table import SynapseTable, small_whole
from connectomics.data.workers import LINUX, collation, start_worker
from connectomics.errors import DataError


class StepSampler(Sampler[list[int]]):
    """The sample numbers of each batch of one process, from wherever training stands.

    Samples are numbered in the order in which the steps of the whole run use them: by step,
    then accumulated batch, then process. So several processes see in one step what one
    process with a larger batch would see.

    Args:
        steps: Optimizer steps of the whole run.
        batch_size: Samples per batch and process.
        accumulate: Batches per step and process.
        rank: Which process this is.
        world_size: How many there are.
        step: Asked, whenever iteration begins, how many steps are done.

    >>> sampler = StepSampler(3, batch_size=2, rank=1, world_size=2, step=lambda: 1)
    >>> list(sampler), len(sampler)
    ([[6, 7], [10, 11]], 3)
    """

    def __init__(
        self,
        steps: int,
        *,
        batch_size: int,
        accumulate: int = 1,
        rank: int = 0,
        world_size: int = 1,
        step: Callable[[], int] = lambda: 0,
    ) -> None:
        self.steps = steps
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.rank = rank
        self.world_size = world_size
        self.step = step

    def __len__(self) -> int:
        """Batches of the whole run: Lightning counts those before an interruption as well."""
        return self.steps * self.accumulate

    def __iter__(self) -> Iterator[list[int]]:
        for batch in range(self.step() * self.accumulate, len(self)):
            first = (batch * self.world_size + self.rank) * self.batch_size
            yield list(range(first, first + self.batch_size))


class PatchDataModule(pl.LightningDataModule):
    """Opens nothing until `setup`, so it travels cheaply to other processes.

    Args:
        train: Volumes to draw patches from.
        val: Volumes to validate on.
        maker: Makes training samples.
        batch_size: Patches per batch and process.
        num_workers: Processes that make training samples beside this one; 0 for none.
        num_val_patches: Fixed patches for validation; rounded up to a multiple of processes.
        size_thres: See `PatchSampler`; 0 accepts every patch, "auto" is a small whole synapse as
            a patch sees it, see `SynapseTable.small`.
        p: See `PatchSampler`.
        foreground_fraction: See `PatchSampler`.
        sided: Labels 2n-1 and 2n are one synapse; else each label is one.
        cache_limit: Bytes that each of the two splits may take in memory, tables of
            foreground included; a larger one is read patch by patch.
        seed: Of the patches and their augmentation.
        processes: How many train together.
        kept: What is known of the volumes already.
    """

    def __init__(
        self,
        train: Sequence[PatchSource],
        val: Sequence[PatchSource],
        *,
        maker: SampleMaker,
        batch_size: int,
        num_workers: int = 0,
        num_val_patches: int = 16,
        size_thres: int | Literal["auto"] = 0,
        p: float = 0.0,
        foreground_fraction: float = 0.0,
        sided: bool = False,
        cache_limit: float = 2.0**33,
        seed: int = 0,
        processes: int = 1,
        kept: Kept | None = None,
    ) -> None:
        super().__init__()
        self.train = tuple(train)
        self.val = tuple(val)
        self.maker = maker
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.num_val_patches = -(-num_val_patches // processes) * processes
        self.size_thres = size_thres
        self.p = p
        self.foreground_fraction = foreground_fraction
        self.sided = sided
        self.cache_limit = cache_limit
        self.seed = seed
        self.kept = Kept() if kept is None else kept
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self._labelled = False, False
        self._datasets: tuple[PatchDataset, FixedPatchDataset] | None = None

    def setup(self, stage: str = "fit") -> None:
        """Read, or prepare to read, the volumes, and find their foreground.

        Raises:
            DataError: A file cannot be read, labels are not labels, or rejection sampling
                would never end.
        """
        if self._datasets is not None:
            return
        train, val = self._held(self.train), self._held(self.val)
        rejects = self.p > 0 and self.size_thres != 0
        numbered = rejects or self.foreground_fraction > 0
        learned = [self._places(one, tabled=rejects, numbered=numbered) for one in train]
        shown = [self._places(one, numbered=False) for one in val]
        self._labelled = any(one.any for one in learned), any(one.any for one in shown)
        accept = self._sampler(train, learned)
        try:
            accept.require_acceptable("data.train.label")
        except DataError:
            volumes = [source.volume for source in train]
            if what_counts(volumes) is Counted.NOTHING:
                raise DataError.of([nothing_counts("data.train", volumes)]) from None
            raise
        anywhere = PatchSampler(
            [source.shape for source in val],
            self.maker.patch_size,
            [one.table for one in shown if one.table],
        )
        learn = replace(self.maker, with_mask=any(one.masked for one in learned))
        look = replace(
            self.maker, with_mask=any(one.masked for one in shown), augmenter=Augmenter()
        )
        self._datasets = (
            PatchDataset(train, accept, learn, seed=self.seed),
            FixedPatchDataset(val, anywhere, look, length=self.num_val_patches),
        )

    @property
    def with_mask(self) -> bool:
        """Whether samples have a mask; to be asked after `setup`."""
        assert self._datasets is not None
        return any(dataset.maker.with_mask for dataset in self._datasets)

    @property
    def learned(self) -> tuple[PatchSource, ...]:
        """The training volumes, in memory where they fit; to be asked after `setup`."""
        assert self._datasets is not None
        return self._datasets[0].sources

    @property
    def looked_at(self) -> tuple[PatchSource, ...]:
        """The volumes of validation, likewise."""
        assert self._datasets is not None
        return self._datasets[1].sources

    def counted(self) -> tuple[Counted, Counted]:
        """What counts in `learned`, and in `looked_at`.

        Raises:
            DataError: They cannot be read, or are no labels.
        """
        both = zip(self._labelled, (self.learned, self.looked_at), strict=True)
        learned, looked_at = (
            Counted.FOREGROUND if found else what_counts([one.volume for one in part])
            for found, part in both
        )
        return learned, looked_at

    @property
    def small_synapse_nm3(self) -> float | None:
        """The size of a small labelled synapse in nm³, of both sides; to be asked after `setup`.

        None where synapses have no sides, a volume has no voxel size, or patches lie anywhere, so
        that nobody looked for synapses.
        """
        synapses = self.patches.sampler.synapses
        sizes = [source.volume.resolution for source in self.learned]
        if not self.sided or not synapses or None in sizes:
            return None
        pairs = zip(synapses.volumes, map(math.prod, filter(None, sizes)), strict=True)
        return small_whole([found.whole_sizes * nm3 for found, nm3 in pairs]) or None

    @property
    def patches(self) -> PatchDataset:
        """The training patches in the order in which they are used; to be asked after `setup`."""
        assert self._datasets is not None
        return self._datasets[0]

    def release(self) -> None:
        """Forget what `setup` read."""
        self._datasets = None

    def train_dataloader(self) -> DataLoader[Sample]:
        """Batches from the current step to the last."""
        assert self.trainer is not None
        assert self._datasets is not None
        learned = self._datasets[0]
        sampler = StepSampler(
            self.trainer.max_steps,
            batch_size=self.batch_size,
            accumulate=self.trainer.accumulate_grad_batches,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            step=self._steps_done,
        )
        return DataLoader(
            learned,
            batch_sampler=sampler,
            collate_fn=collation(self.num_workers, self.batch_size, lambda: learned[0]),
            num_workers=self.num_workers,
            pin_memory=self.trainer.strategy.root_device.type == "cuda",
            worker_init_fn=start_worker,
            multiprocessing_context=self._start_method(),
            generator=torch.Generator(),  # or it would draw from the generator of the weights
        )

    def on_before_batch_transfer(
        self, batch: Mapping[str, Tensor | np.ndarray], dataloader_idx: int
    ) -> dict[str, Tensor]:
        """Make tensors of what came through a pipe."""
        return {name: torch.as_tensor(values) for name, values in batch.items()}

    def val_dataloader(self) -> DataLoader[Sample]:
        """The share of the fixed patches that falls to this process."""
        assert self.trainer is not None
        assert self._datasets is not None
        rank, world = self.trainer.global_rank, self.trainer.world_size
        patches = self._datasets[1]
        return DataLoader(
            patches,
            batch_size=self.batch_size,
            sampler=range(rank, len(patches), world),
            generator=torch.Generator(),
        )

    def _places(self, source: PatchSource, *, tabled: bool = True, numbered: bool = True) -> Places:
        return places_of(source, self.kept, sided=self.sided, tabled=tabled, numbered=numbered)

    def _sampler(self, train: Sequence[PatchSource], places: Sequence[Places]) -> PatchSampler:
        """Decide where training patches lie, and note why there."""
        found = [one.synapses for one in places if one.synapses]
        synapses = SynapseTable(found, self.maker.patch_size) if found else None
        tables = [one.table for one in places if one.table]
        sampler = PatchSampler(
            [source.shape for source in train],
            self.maker.patch_size,
            tables or None,
            self._threshold(synapses),
            self.p,
            synapses,
            self.foreground_fraction,
        )
        self.notes += explained(sampler, automatic=self.size_thres == "auto")
        self.warnings += sliver_warning(sampler)
        return sampler

    def _threshold(self, synapses: SynapseTable | None) -> int:
        if isinstance(self.size_thres, int):
            return self.size_thres
        return synapses.small if synapses else 0

    def _start_method(self) -> str | None:
        """How workers start. Forked ones share the volumes, and cannot read from the web."""
        if not LINUX or not self.num_workers:
            return None
        # A process that trains was perhaps spawned itself, and its workers would be too: each
        # would then get a copy of the volumes, and take seconds to start.
        return "spawn" if any(source.remote for source in self.learned) else "fork"

    def _steps_done(self) -> int:
        return self.trainer.global_step if self.trainer else 0

    def _held(self, sources: Sequence[PatchSource]) -> list[PatchSource]:
        """The volumes in memory, if they and their tables may take so much of it."""
        needed = sum(source.nbytes for source in sources)
        return [source.cached() if needed <= self.cache_limit else source for source in sources]
