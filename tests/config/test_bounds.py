"""Numbers that would pass for ever, or fail hours later, are refused when the file is read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from connectomics.config.dotted import look_up
from connectomics.config.schema import Config
from connectomics.config.validation import validate_as
from connectomics.errors import ConfigError
from connectomics.pipeline.components import read_config

SIMPLE: list[tuple[str, Any, str]] = [
    ("system.seed", 5_000_000_000, "less than 4294967296"),
    ("system.num_gpus", 10**6, "'auto' or 1024 or less"),
    ("system.num_cpu_processes", 10**9, "1024 or less"),
    ("system.num_threads", 10**9, "1024 or less"),
    ("optimization.optimizer.lr", 1e300, "100 or less"),
    ("optimization.optimizer.betas", [1, 0.999], "less than 1"),
    ("optimization.optimizer.eps", 1e9, "1 or less"),
    ("optimization.optimizer.momentum", 1.0, "less than 1"),
    ("optimization.optimizer.weight_decay", 1e9, "100 or less"),
    ("optimization.scheduler.patience", 10**18, "1000000000 or less"),
    ("optimization.scheduler.t_max", 10**18, "1000000000 or less"),
    ("optimization.ema.decay", 1, "less than 1"),
    ("optimization.max_steps", 10**18, "1000000000 or less"),
    ("optimization.n_steps_per_epoch", 10**18, "1000000000 or less"),
    ("optimization.accumulate_grad_batches", 10**12, "1000000 or less"),
    ("data.dataloader.batch_size", 10**30, "4096 or less"),
    ("data.dataloader.num_workers", 5000, "256 or less"),
    ("data.dataloader.cache_limit_gib", 1e30, "1000000 or less"),
    ("data.num_val_patches", 10**12, "1000000 or less"),
    ("data.test.z_range", [-5, 3], "0 or more"),
    ("data.test.resolution", [1e-30, 8, 8], "0.001 or more"),
    ("model.out_channels", 10**9, "1024 or less"),
    ("model.rsunet.filters", [10**9, 8], "4096 or less"),
    ("model.rsunet.filters", [8] * 11, "a list of 10 at most"),
    ("model.rsunet.down_factors", [[1, 2, 10**9]], "32 or less"),
    ("model.rsunet.kernel_2d", [1, 3, 10**9 + 1], "32 or less"),
    ("inference.window.overlap", 1.0, "0.9 or less"),
    ("inference.window.overlap", 0.999999, "0.9 or less"),
    ("inference.window.batch_size", 10**9, "'auto' or 4096 or less"),
    ("tune.trials", 10**12, "100000 or less"),
    ("monitor.logging.images.num_slices", 10**9, "64 or less"),
    ("monitor.checkpoint.save_top_k", 10**12, "10000 or less"),
    ("experiment_name", "x" * 300, "text of 100 characters at most"),
    ("experiment_name", "..", "a name without slashes, and not of dots alone"),
]


@pytest.mark.parametrize(("key", "value", "words"), SIMPLE, ids=lambda x: str(x)[:40])
def test_numbers_have_bounds(key: str, value: Any, words: str):
    tree: Any = value
    for name in reversed(key.split(".")):
        tree = {name: tree}
    faults = validate_as(Config, tree).faults
    assert len(faults) == 1
    assert faults[0].where.startswith(key)
    assert f"has to be {words}, not " in str(faults[0])


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_no_number_is_infinite(value: str):
    """Every number of the schema: a key that takes inf or nan is one that fails later."""
    for path in _numbers(Config().model_dump(), ()):
        tree: Any = float(value)
        for name in reversed(path):
            tree = {name: tree}
        assert validate_as(Config, tree).faults, path


def _numbers(tree: Any, path: tuple[str, ...]) -> Any:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _numbers(value, (*path, key))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*path, key)


BASE = "defaults: [syn_em_r50, _self_]\n"
RULE = "decoding.steps=[{name: polarity2instance, kwargs: "


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("inference.window.window_size=[100000,100000,100000]", "inference.window.window_size: 1 "
         "of [100000, 100000, 100000] are 1e+15 voxels, more than any"),
        ("data.dataloader.patch_size=[10000,10000,10000]", "data.dataloader.patch_size: 4 of"),
        ("data.train={phantom: {shape: [100000,100000,100000]}}", "data.train.phantom.shape: 1e+15 "
         "voxels are more than can be drawn"),
        ("data.train={phantom: {kwargs: {noise: 1e12}}}", "data.train.phantom.kwargs.noise: "
         "1000000000000.0 is not a number from 0 up, 1000 at most."),
        ("data.train={phantom: {kwargs: {synapse_density_um3: inf}}}", "is no number that it"),
        ("model.loss.losses=[{function: DiceLoss, weight: 0}]", "model.loss.losses: every weight"),
        (RULE + "{dilate_sz: 1000000000}}]", "is not a whole number of voxels, 0 to"),
        (RULE + "{scale_factors: [1, 1e9, 1]}}]", "is not three numbers from 0.03125"),
        (RULE + "{thres_small: 1" + "0" * 30 + "}}]", "is no number that it could use."),
        ("decoding.steps=[{name: synapses, kwargs: {split_sigma_nm: 1e9}}]", "is not a distance"),
        ("evaluation.metrics=[{name: polarity, kwargs: {dilate_sz: 1000000000}}]",
         "evaluation.metrics[0].kwargs.dilate_sz: 1000000000 is not 0 or an odd number up to 999"),
        ("evaluation.metrics=[{name: polarity, kwargs: {dilate_sz: 4}}]",
         "evaluation.metrics[0].kwargs.dilate_sz: 4 is not 0 or an odd number up to 999"),
        ("data.augmentation.elastic={amplitude: 1e9}", "data.augmentation.elastic.amplitude: "),
        ("data.augmentation.missing_section={sections: 1000000000}", "Give a number between 1 and"),
        ("model.rsunet={filters: [4096,4096,4096], down_factors: [[1,2,2],[1,2,2]], depth_2d: 0}",
         "it is a network of 7e+09 weights"),
    ],
)  # fmt: skip
def test_what_no_machine_holds(tmp_path: Path, override: str, message: str):
    file = tmp_path / "my.yaml"
    file.write_text(BASE)
    with pytest.raises(ConfigError) as caught:
        read_config(file, overrides=[override])
    assert message in str(caught.value)
    assert "command line: " in str(caught.value)


def _leaves(section: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _leaves(inner, (*path, name))
        else:
            yield (*path, name)


DEFAULTS = Config().model_dump()
NUMERIC = [path for path in _leaves(Config) if isinstance(look_up(DEFAULTS, path), int | float)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, -1, "many", [], {}, True])
def test_every_number_has_bounds(value: Any):
    """Whatever is no number that a machine can do with is refused, and the key named."""
    numbers = [path for path in NUMERIC if not isinstance(look_up(DEFAULTS, path), bool)]
    assert len(numbers) > 30
    for path in numbers:
        tree: Any = value
        for key in reversed(path):
            tree = {key: tree}
        (fault,) = validate_as(Config, tree).faults
        assert fault.where == ".".join(path)
        assert "has to be" in fault.problem


def test_a_list_of_numbers_holds_no_truth():
    (fault,) = validate_as(Config, {"data": {"dataloader": {"patch_size": [8, True, 8]}}}).faults
    assert str(fault) == "data.dataloader.patch_size: has to be a number, not true."
