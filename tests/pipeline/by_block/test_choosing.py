"""Whether a volume is cut into blocks, and into which."""

from __future__ import annotations

import math

import pytest

from connectomics.blocks import ThisProcess, open_ledger
from connectomics.blocks.cluster import DaskCluster
from connectomics.blocks.processes import LocalProcesses
from connectomics.config.schema import SystemSection
from connectomics.pipeline.by_block import choosing, workers
from connectomics.pipeline.by_block.choosing import choose_block
from connectomics.pipeline.by_block.workers import executor_of, workers_of

SHAPE = (100, 3000, 2000)


@pytest.fixture(autouse=True)
def _a_machine(monkeypatch):
    monkeypatch.setattr(choosing, "available_memory", lambda: 2**30)
    monkeypatch.setattr(workers, "available_cpus", lambda: 8)


def choose(tmp_path, *, at_once=2**40, shape=SHAPE, chunks=(16, 128, 128), **system):
    section = SystemSection.model_validate(system)
    of_block = lambda block: 16 * math.prod(block)  # noqa: E731
    return choose_block(
        section, shape, in_progress=tmp_path, at_once=at_once, of_block=of_block, chunks=chunks
    )


def test_what_fits_is_not_cut_and_what_does_not_is_cut_to_fit(tmp_path):
    assert choose(tmp_path, at_once=2**28) is None
    block = choose(tmp_path)
    assert block is not None
    assert 2**27 < 16 * math.prod(block) <= 2**29  # half of the memory, or a quarter
    assert all(n % 16 == 0 or n == s for n, s in zip(block, SHAPE, strict=True))


@pytest.mark.parametrize(
    ("chunks", "block"),
    [
        ((1, 3000, 2000), (32, 1024, 1024)),  # whole sections: wide, and then as deep as fits
        ((16, 128, 128), (64, 1024, 512)),
        ((64, 64, 64), (100, 512, 512)),  # 128, and the volume has no more
        ((100, 20, 70), (100, 512, 512)),  # up to the next power of two
        ((512, 4096, 4096), (64, 1024, 512)),  # that wide does not fit
    ],
)
def test_a_block_is_as_wide_as_the_chunks_that_it_is_read_from(tmp_path, chunks, block):
    assert choose(tmp_path, chunks=chunks) == block


def test_what_is_given_counts_whatever_the_memory(tmp_path):
    assert choose(tmp_path, at_once=1, block_size=[50, 500, 500]) == (50, 500, 500)
    assert choose(tmp_path, at_once=1, block_size=[50, 5000, 5000]) == (50, 3000, 2000)
    assert choose(tmp_path, block_size=[100, 5000, 5000]) is None  # one block


def test_shards_and_other_processes_always_work_in_blocks(tmp_path):
    assert choose(tmp_path, at_once=1, shape=(8, 64, 64), shard="0/2") == (8, 64, 64)
    executor = {"name": "processes", "workers": 4}
    one, four = choose(tmp_path), choose(tmp_path, at_once=1, executor=executor)
    assert one is not None
    assert four is not None
    assert math.prod(four) <= math.prod(one) / 2  # four of them have to fit


def test_blocks_fit_those_who_work_on_them(tmp_path):
    def size(**executor):
        block = choose(tmp_path, at_once=1, executor={"name": "dask", "workers": 8, **executor})
        assert block is not None
        return 16 * math.prod(block)

    here = size()  # an eighth of half of 1 GiB for each
    assert 2**24 <= here <= 2**26
    assert size(cluster="slurm", job={"memory": "2GB"}) > 4 * here  # each job has its own
    assert size(cluster="pbs", job={"memory": "256 MiB"}) <= 2**27
    assert 2**27 < size(scheduler="tcp://10.0.0.1:8786") <= 2**29  # as if they were this machine


def test_what_was_begun_is_gone_on_with(tmp_path):
    open_ledger(tmp_path, {"block size": [7, 70, 70]}, "labels")
    assert choose(tmp_path, at_once=1) == (7, 70, 70)
    assert choose(tmp_path, block_size=[9, 90, 90]) == (9, 90, 90)


def test_processes_are_as_many_as_gpus_or_cpus():
    def system(**executor):
        return SystemSection.model_validate({"executor": {"name": "processes", **executor}})

    assert isinstance(executor_of(SystemSection()), ThisProcess)
    assert [workers_of(system(), gpus) for gpus in (0, 2)] == [8, 2]
    assert [workers_of(system(workers=3), gpus) for gpus in (0, 2, 4)] == [3, 2, 3]
    assert workers_of(system(name="dask", cluster="slurm", workers=32), 1) == 32  # a GPU is here
    executor = executor_of(system(workers=3))
    assert isinstance(executor, LocalProcesses)
    assert (executor.workers, executor.threads, executor.gpus) == (3, 2, 0)
    threads = SystemSection.model_validate({"num_threads": 4, "executor": {"name": "processes"}})
    assert workers_of(threads) == 2


def test_workers_of_dask_have_the_threads_of_their_machine_or_job():
    def threads(number=None, gpus=0, **executor):
        executor = {"name": "dask", "workers": 4, **executor}
        section = SystemSection.model_validate({"num_threads": number, "executor": executor})
        found = executor_of(section, gpus)
        assert isinstance(found, DaskCluster)
        return found.threads

    slurm = {"cluster": "slurm", "job": {"cores": 5}}
    assert [threads(), threads(3), threads(workers=20)] == [2, 3, 1]
    assert threads(gpus=1) == 2  # there are four workers, one GPU here or not
    assert [threads(**slurm), threads(3, **slurm)] == [5, 3]
    assert threads(scheduler="tcp://10.0.0.1:8786") is None
    assert threads(1, scheduler="tcp://10.0.0.1:8786") == 1
