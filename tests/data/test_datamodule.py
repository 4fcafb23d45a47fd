from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from connectomics.data.augmentation import build_augmentation
from connectomics.data.datamodule import PatchDataModule, StepSampler
from connectomics.data.dataset import PatchSource, SampleMaker
from connectomics.data.foreground import DenseForegroundTable, RunForegroundTable
from connectomics.data.io import open_volume, save_volume
from connectomics.data.processing.normalize import image_statistics
from connectomics.data.processing.target import binary
from connectomics.data.volumes import LabelledVolume
from connectomics.errors import DataError
from connectomics.geometry import Box

SIZE = (2, 8, 8)


@given(
    steps=st.integers(1, 5),
    batch=st.integers(1, 3),
    accumulate=st.integers(1, 3),
    world=st.integers(1, 3),
    data=st.data(),
)
@settings(max_examples=100, deadline=None)
def test_all_processes_together_use_every_sample_once_in_the_order_of_steps(
    steps, batch, accumulate, world, data
):
    done = data.draw(st.integers(0, steps))
    samplers = [
        StepSampler(
            steps,
            batch_size=batch,
            accumulate=accumulate,
            rank=rank,
            world_size=world,
            step=lambda: done,
        )
        for rank in range(world)
    ]
    batches = list(zip(*samplers, strict=True))
    assert len(samplers[0]) == steps * accumulate
    assert len(batches) == (steps - done) * accumulate
    numbers = [number for of_all in batches for one in of_all for number in one]
    per_step = batch * accumulate * world
    assert numbers == list(range(done * per_step, steps * per_step))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> PatchSource:
    folder = tmp_path_factory.mktemp("em")
    image = np.random.default_rng(0).integers(0, 255, (12, 40, 40), dtype=np.uint8)
    label = np.zeros(image.shape, np.uint8)
    label[3:8, 10:20, 10:30] = 1
    for name, array in {"image": image, "label": label}.items():
        save_volume(folder / f"{name}.h5", array)
    opened = {name: open_volume(folder / f"{name}.h5") for name in ("image", "label")}
    return PatchSource(LabelledVolume("em", **opened), image_statistics(image))


def module_of(source: PatchSource, **settings: Any) -> PatchDataModule:
    maker = SampleMaker(SIZE, "0-1", binary, build_augmentation({"flip": {}, "noise": {}}))
    module = PatchDataModule(
        [source],
        [source],
        maker=maker,
        **{"batch_size": 2, "num_val_patches": 5, "seed": 1, **settings},
    )
    module.trainer = cast(
        Any,
        SimpleNamespace(
            max_steps=4,
            global_step=0,
            global_rank=0,
            world_size=1,
            accumulate_grad_batches=1,
            strategy=SimpleNamespace(root_device=torch.device("cpu")),
        ),
    )
    module.setup()
    return module


def batches(module: PatchDataModule) -> list[dict[str, torch.Tensor]]:
    return list(module.train_dataloader())


def test_batches_are_the_same_with_any_number_of_workers(source):
    alone = batches(module_of(source))
    assert len(alone) == 4
    assert alone[0]["image"].shape == (2, 1, *SIZE)
    assert alone[0].keys() == {"image", "label"}
    for workers in (1, 2):
        helped = batches(module_of(source, num_workers=workers))
        for one, other in zip(alone, helped, strict=True):
            assert torch.equal(one["image"], other["image"])


def test_where_shared_memory_is_small_batches_pass_through_pipes(source, monkeypatch, caplog):
    """As in a container: there its 64 MB would end a worker by SIGBUS."""
    alone = batches(module_of(source))
    sample = sum(values.nbytes for values in module_of(source)._datasets[0][0].values())
    usage = SimpleNamespace(free=(2 * 1 + 2) * 2 * sample)
    monkeypatch.setattr("connectomics.data.workers.shutil.disk_usage", lambda path: usage)
    module = module_of(source, num_workers=1)
    helped = batches(module)
    assert {type(values) for batch in helped for values in batch.values()} == {np.ndarray}
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one["image"], module.on_before_batch_transfer(other, 0)["image"])
    assert "--shm-size" in caplog.text
    usage.free += 1
    assert type(batches(module)[0]["image"]) is torch.Tensor


def test_a_resumed_run_begins_where_it_stood(source):
    module = module_of(source)
    whole = batches(module)
    cast(Any, module.trainer).global_step = 3
    rest = batches(module)
    assert len(rest) == 1
    assert torch.equal(rest[0]["image"], whole[3]["image"])


def test_making_batches_leaves_the_random_state_of_the_weights_alone(source):
    module = module_of(source)
    before = torch.get_rng_state()
    batches(module)
    list(module.val_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("limit", "kind"), [(1e9, DenseForegroundTable), (0, RunForegroundTable)])
def test_volumes_are_cached_up_to_the_limit(source, limit, kind):
    module = module_of(source, cache_limit=limit, size_thres=10, p=0.9)
    train, _ = module._datasets or ()
    assert isinstance(train.sampler.tables[0], kind)


def test_the_limit_counts_image_labels_and_table(source):
    needed = 12 * 40 * 40 * (1 + 1 + 4)
    cached = [
        module_of(source, cache_limit=limit)._held([source])[0] is not source
        for limit in (needed, needed - 1)
    ]
    assert cached == [True, False]


def test_cached_and_lazy_batches_are_the_same(source):
    both = [batches(module_of(source, cache_limit=n, size_thres=10, p=0.9)) for n in (0, 1e9)]
    for one, other in zip(*both, strict=True):
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["label"], other["label"])


def test_processes_share_the_validation_patches(source):
    shares = []
    for rank in range(2):
        module = module_of(source, processes=2)
        trainer = cast(Any, module.trainer)
        trainer.world_size, trainer.global_rank = 2, rank
        shares.append([image for batch in module.val_dataloader() for image in batch["image"]])
    assert [len(share) for share in shares] == [3, 3]  # 5, made even


def test_what_cannot_be_sampled_is_said_at_set_up(source):
    empty = PatchSource(source.volume.crop(Box((0, 0, 0), (3, 40, 40))), source.statistics)
    with pytest.raises(DataError, match="the labels hold no foreground"):
        module_of(empty, size_thres=1, p=0.5)


def test_workers_heed_no_signal_but_their_parents(source):
    """A cluster sends SIGTERM to all processes; the training still has a step to finish."""
    module = module_of(source, num_workers=1)
    expected = batches(module)
    loader = iter(module.train_dataloader())
    found = [next(loader)]
    (worker,) = multiprocessing.active_children()
    subprocess.run(["kill", "-TERM", str(worker.pid)], check=True)
    subprocess.run(["kill", "-INT", str(worker.pid)], check=True)
    time.sleep(0.2)
    found += list(loader)
    assert len(found) == len(expected)
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(expected, found, strict=True))


def test_workers_heed_their_parent(source):
    loader = iter(module_of(source, num_workers=1).train_dataloader())
    next(loader)
    (worker,) = multiprocessing.active_children()
    worker.terminate()
    worker.join(timeout=10)
    assert worker.exitcode == 0


WORKER = """
import os, threading, time
for _ in range(4):  # as libraries begin them, before anything of ours runs
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
from connectomics.data.workers import start_worker
start_worker(0)
print("ready", flush=True)
time.sleep(1)
print("alive", flush=True)
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="who sent a signal is known on Linux only")
def test_a_worker_outlives_a_signal_to_the_whole_group():
    with subprocess.Popen(
        [sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        subprocess.run(["kill", "-TERM", str(worker.pid)], check=True)  # not from its parent
        assert worker.stdout.read() == "alive\n"
    assert worker.returncode == 0
