"""The YAML of docs/scale.md is what the program understands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from connectomics.config import load_config
from connectomics.pipeline.by_block.workers import executor_of, shard_of
from connectomics.process.launchers import without_launchers
from connectomics.training.environments import environment_of

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
SECTION = r"(?:system|data):\n(?:     .*\n)+"
SECTIONS = {
    text.splitlines()[0]: re.findall(rf"^(?:    {SECTION})+", text, re.MULTILINE)
    for text in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
}
WITH_YAML = {title: blocks for title, blocks in SECTIONS.items() if blocks}


def test_each_way_to_run_has_its_yaml():
    ways = ["A workstation", "Several GPUs", "Training on several machines", "SLURM with Dask"]
    ways += ["A job array", "An object store"]
    assert list(WITH_YAML) == ways


@pytest.mark.parametrize("title", WITH_YAML)
def test_it_resolves(title, tmp_path):
    (block,) = WITH_YAML[title]
    text = re.sub("^    ", "", block, flags=re.MULTILINE)
    given = yaml.safe_load(text)
    data = {"train": {"phantom": {}}, "test": {"phantom": {}}} | given.get("data", {})
    whole = {**given, "data": data, "decoding": {"steps": ["synapses"]}}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(whole))
    config = load_config(tmp_path / "my.yaml", mode="infer").config
    system, given = config.system, given["system"]
    assert list(system.block_size or ()) == given.get("block_size", [])
    executor = executor_of(system, gpus=2 if title == "Several GPUs" else 0)
    match title:
        case "A workstation":
            assert (executor.workers, executor.threads) == (4, 4)
        case "Several GPUs":
            assert (executor.workers, executor.gpus) == (2, 2)
        case "Training on several machines":
            assert (system.num_nodes, system.num_gpus) == (2, 4)
        case "SLURM with Dask":
            pytest.importorskip("dask_jobqueue")
            with executor.jobs() as jobs:
                script = jobs.job_script()
            assert "#SBATCH -p gpu" in script
            assert "#SBATCH --gres=gpu:1" in script
            assert "#SBATCH --cpus-per-task=8" in script
        case "A job array":
            assert shard_of(system) == (3, 64)
        case "An object store":
            assert config.data.test is not None
            assert config.data.test.image == ("s3://bucket/em.zarr",)
            assert executor.workers == 8


def test_the_script_for_slurm_starts_as_many_processes_as_are_wanted(monkeypatch):
    """Its lines are what `srun` makes variables of, and these are those of Lightning."""
    script = PAGE.read_text().split("#!/bin/bash")[1].split("\n\n")[0]
    asked = dict(re.findall(r"#SBATCH --([a-z-]+)=(\S+)", script))
    assert "srun --kill-on-bad-exit=1 python scripts/main.py --config my.yaml" in script
    assert asked["gres"] == f"gpu:{asked['ntasks-per-node']}"
    nodes, tasks = int(asked["nodes"]), int(asked["ntasks-per-node"])
    given = {"STEP_ID": 0, "PROCID": 5, "LOCALID": 1, "NODEID": 1, "NTASKS": nodes * tasks}
    given |= {"NTASKS_PER_NODE": tasks, "NNODES": nodes}
    with without_launchers():
        for name, value in given.items():
            monkeypatch.setenv(f"SLURM_{name}", str(value))
        environment = environment_of(2, ("gpu", 4))  # as the YAML beside it has it
        assert (environment.global_rank(), environment.world_size()) == (5, 8)
        environment.validate_settings(num_devices=4, num_nodes=2)  # Lightning's own
        monkeypatch.undo()
