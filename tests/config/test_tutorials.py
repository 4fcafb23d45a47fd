"""The configs a user starts from."""

from __future__ import annotations

import re
import shlex

import pytest

from connectomics.config import MODES
from connectomics.config.defaults_list import PRESETS, TUTORIALS
from connectomics.pipeline.components import read_config

NAMES = sorted(file.stem for file in TUTORIALS.glob("*.yaml"))
GROUPS = sorted(
    f"{preset.parent.relative_to(PRESETS)}={preset.stem}" for preset in PRESETS.rglob("*.yaml")
)


def test_the_promised_ones_are_there():
    assert {"syn_cremi", "syn_em_r50", "syn_vnc", "demo"} <= set(NAMES)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_every_tutorial_resolves_in_every_mode(name: str, mode: str):
    resolved = read_config(TUTORIALS / f"{name}.yaml", mode=mode, torch=False)
    assert resolved.config.experiment_name == name


@pytest.mark.parametrize("name", NAMES)
def test_networks_and_losses_can_be_built(name: str):
    read_config(TUTORIALS / f"{name}.yaml")


@pytest.mark.parametrize("choice", GROUPS)
def test_every_preset_can_be_chosen(choice: str):
    read_config(TUTORIALS / "syn_em_r50.yaml", overrides=[choice])


@pytest.mark.parametrize("choice", [one for one in GROUPS if one.startswith("machine=")])
def test_the_demo_runs_on_every_machine(choice: str):
    read_config(TUTORIALS / "demo.yaml", overrides=[choice])


@pytest.mark.parametrize("machine", ["cpu", "small_gpu", "gpu"])
def test_a_machine_sets_network_patch_steps_and_flips_of_any_recipe(machine: str):
    """Nothing of a recipe is left that belongs to another machine."""
    found = [
        read_config(TUTORIALS / f"{name}.yaml", overrides=[f"machine={machine}"]).config
        for name in ("syn_cremi", "syn_em_r50", "demo")
    ]
    for config in found:
        assert config.model.rsunet == found[0].model.rsunet
        used = {name: one for name, one in config.data.augmentation.items() if one is not None}
        assert used.keys() == {
            name for name, one in found[0].data.augmentation.items() if one is not None
        }
        sampling = ("reject_sampling", "foreground_fraction")
        loaders = [one.data.dataloader.model_dump(exclude=set(sampling)) for one in found]
        assert loaders[0] == config.data.dataloader.model_dump(exclude=set(sampling))
        assert config.optimization == found[0].optimization
        assert config.optimization.precision == "auto"


def test_a_value_on_the_command_line_beats_the_machine():
    config = read_config(
        TUTORIALS / "demo.yaml", overrides=["machine=cpu", "optimization.max_steps=7"]
    ).config
    assert config.optimization.max_steps == 7


@pytest.mark.parametrize("machine", ["cpu", "small_gpu", "gpu"])
def test_a_preset_on_the_command_line_beats_the_machine(machine: str):
    """Only what was picked: the rest of the machine stays."""
    asked = [f"machine={machine}", "data/augmentation=light", "model/rsunet=demo"]
    alone = read_config(TUTORIALS / "syn_em_r50.yaml", overrides=asked[1:]).config
    found = read_config(TUTORIALS / "syn_em_r50.yaml", overrides=asked).config
    assert set(found.data.augmentation) == {"flip", "rotate90", "transpose", "intensity", "noise"}
    assert found.data.augmentation == alone.data.augmentation
    assert found.model.rsunet == alone.model.rsunet
    of_machine = read_config(TUTORIALS / "syn_em_r50.yaml", overrides=asked[:1]).config
    assert found.optimization == of_machine.optimization


def test_the_cremi_recipe():
    config = read_config(TUTORIALS / "syn_cremi.yaml").config
    network, data, optimization = config.model.rsunet, config.data, config.optimization
    assert network.filters == (32, 64, 96, 128, 160)
    assert (network.norm, network.activation) == ("batch", "elu")
    assert network.down_factors == ((1, 2, 2),) * 4
    assert (network.depth_2d, network.kernel_2d) == (1, (1, 3, 3))
    assert data.dataloader.patch_size == (18, 256, 256)
    assert [term.function for term in config.model.loss.losses] == [
        "WeightedBCEWithLogitsLoss",
        "DiceLoss",
    ]
    assert data.dataloader.reject_sampling is not None
    assert data.dataloader.reject_sampling.model_dump() == {"size_thres": "auto", "p": 0.95}
    assert data.dataloader.foreground_fraction == 0.6
    assert len(data.augmentation) == 13
    optimizer, scheduler, ema = optimization.optimizer, optimization.scheduler, optimization.ema
    assert (optimizer.name, optimizer.lr, optimizer.weight_decay) == ("AdamW", 1e-3, 0.01)
    assert (scheduler.name, scheduler.min_lr, scheduler.t_max) == (
        "CosineAnnealingLR",
        1e-5,
        150_000,
    )
    assert (optimization.max_steps, optimization.gradient_clip_val) == (150_000, 1.0)
    assert optimization.precision == "auto"
    assert (ema.enabled, ema.decay, ema.warmup_steps, ema.validate_with_ema) == (
        True,
        0.999,
        500,
        True,
    )
    window, flips = config.inference.window, config.inference.test_time_augmentation
    assert window.window_size == (18, 256, 256)
    assert (window.overlap, window.blending, window.padding_mode) == (0.5, "bump", "reflect")
    assert (flips.enabled, flips.flip_axes, flips.ensemble_mode) == (True, "all", "mean")
    assert config.monitor.checkpoint.save_top_k == 1


def test_em_r50_is_cremi_and_what_makes_it_polarity():
    cremi = read_config(TUTORIALS / "syn_cremi.yaml").config.model_dump()
    em_r50 = read_config(TUTORIALS / "syn_em_r50.yaml").config.model_dump()
    assert {key for key in cremi if cremi[key] != em_r50[key]} == {
        "experiment_name", "description", "save_path", "model", "data", "inference", "decoding",
        "evaluation", "tune",
    }  # fmt: skip
    assert cremi["model"]["rsunet"] == em_r50["model"]["rsunet"]
    assert cremi["data"]["augmentation"] == em_r50["data"]["augmentation"]
    smaller = {"patch_size": (18, 128, 128)}  # pixels are twice as wide
    assert cremi["data"]["dataloader"] | smaller == em_r50["data"]["dataloader"]
    assert cremi["inference"]["window"] == em_r50["inference"]["window"]


def test_em_r50_is_written_as_the_design_says():
    text = (TUTORIALS / "syn_em_r50.yaml").read_text()
    assert "\ndefaults: [syn_cremi, _self_]\n" in text


def test_the_two_overrides_in_the_comment_make_em_r50_exclusive():
    file = TUTORIALS / "syn_em_r50.yaml"
    overrides = [
        shlex.split(line)[0]
        for line in re.findall(r"^# +('.+')", file.read_text(), flags=re.MULTILINE)
    ]
    assert len(overrides) == 2
    for mode in MODES:
        config = read_config(file, mode=mode, overrides=overrides).config
        (activation,) = config.inference.model.channel_activations or ()
        assert (activation.channels, activation.activation) == ((0, 3), "softmax")
        assert config.decoding.steps[0].kwargs == {"exclusive": True}
        assert config.model.loss.losses[0].kwargs == {"class_weights": [1, 10, 10]}


@pytest.mark.parametrize("name", ["syn_em_r50", "syn_vnc", "syn_vnc_cpu"])
def test_train_and_test_sections_are_apart(name: str):
    data = read_config(TUTORIALS / f"{name}.yaml").config.data
    assert data.train is not None
    assert data.test is not None
    assert data.train.image == data.test.image
    assert data.train.z_range is not None
    assert data.test.z_range is not None
    assert data.train.z_range[1] <= data.test.z_range[0]


def test_vnc_trains_on_sections_0_to_13_and_tests_on_14_to_19():
    data = read_config(TUTORIALS / "syn_vnc.yaml").config.data
    assert data.train is not None
    assert data.test is not None
    assert (data.train.z_range, data.test.z_range) == ((0, 14), (14, 20))


def test_a_config_anywhere_can_start_with_a_tutorial(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text("defaults: [syn_em_r50, _self_]\nexperiment_name: mine\n")
    config = read_config("my.yaml", torch=False).config
    assert config.save_path == "outputs/mine"
    assert config.model.out_channels == 3
