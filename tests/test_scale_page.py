"""The YAML of docs/scale.md is what the program understands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from connectomics.config import load_config
from connectomics.pipeline.by_block.workers import executor_of, shard_of

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
SECTION = r"(?:system|data):\n(?:     .*\n)+"
SECTIONS = {
    text.splitlines()[0]: re.findall(rf"^(?:    {SECTION})+", text, re.MULTILINE)
    for text in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
}
WITH_YAML = {title: blocks for title, blocks in SECTIONS.items() if blocks}


def test_each_way_to_run_has_its_yaml():
    ways = ["A workstation", "Several GPUs", "SLURM with Dask", "A job array", "An object store"]
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
