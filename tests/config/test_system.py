from __future__ import annotations

import pytest

from connectomics.config import load_config
from connectomics.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my.yaml"
    text = "data: {train: {phantom: {}}, test: {phantom: {}}}\ndecoding: {steps: [synapses]}\n"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("system.shard=64/64", "'64/64' is none of 64 shards, which are counted from 0."),
        ("system.shard='3'", "a share such as 3/64"),
        ("system.block_size=[0,64,64]", "more than 0"),
        ("system.block_size=[64,64]", "a list of 3"),
        ("system.executor.name=dsk", "Did you mean 'dask'?"),
        ("system.executor.scheduler=localhost", "an address such as tcp://"),
        ("system.executor.job.memory=8", "text"),
        ("system.executor.job.memory=8G", "a size such as 16GB"),
        ("system.executor.job.walltime=12h", "a time such as 12:00:00"),
    ],
)
def test_what_cannot_be_meant_is_said(file, override, said):
    with pytest.raises(ConfigError) as error:
        load_config(file, mode="test", overrides=[override])
    assert override.partition("=")[0] in str(error.value)
    assert said in str(error.value)


def test_shards_and_blocks_are_read(file):
    overrides = ["system.shard=63/64", "system.block_size=[32,256,256]"]
    system = load_config(file, mode="test", overrides=overrides).config.system
    assert (system.shard, system.block_size) == ("63/64", (32, 256, 256))


def test_how_many_jobs_a_cluster_gets_has_to_be_said(file):
    slurm = ["system.executor.name=dask", "system.executor.cluster=slurm"]
    said = r"system\.executor\.workers: is not given, and slurm .*\n.*Say how many jobs, such as 32"
    with pytest.raises(ConfigError, match=said):
        load_config(file, mode="test", overrides=slurm)
    there = "system.executor.scheduler=tcp://10.0.0.1:8786"
    for more in ("system.executor.workers=32", there, "system.executor.cluster=local"):
        load_config(file, mode="test", overrides=[*slurm, more])
