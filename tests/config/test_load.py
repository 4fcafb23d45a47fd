"""From a file to a config: merge order, stages, overrides, reproduction, and every fault."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from connectomics.config import MODES, Config, load
from connectomics.config.inheritance import TUTORIALS
from connectomics.config.slips import PRESETS
from connectomics.decoding import check_decoding
from connectomics.errors import CheckpointError, ConfigError, DataError, Fault
from connectomics.pipeline.components import KNOWN

load_config = partial(load.load_config, components=KNOWN)

FILES = "data: {train: {image: a.h5, label: b.h5}, test: {image: c.h5, label: d.h5}}\n"


def check_names(config: Config) -> list[Fault]:
    return check_decoding(config.decoding.steps, channels=config.model.out_channels)


def message(file: Path | str, *overrides: str, mode: str = "train") -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(file, mode=mode, overrides=overrides, checks=[check_names])
    return str(caught.value)


class TestDesign:
    """The promises of the config dialect, word for word."""

    def test_every_fault_at_once_each_with_its_place_and_remedy(self, write):
        file = write(
            """
            defaults: [syn_em_r50, _self_]
            default:
              data: {dataloader: {patch_sise: [8, 64, 64]}}
            decoding:
              steps: [{name: polarity2instance, kwargs: {exlusive: true}}]
            """,
            "tutorials/my.yaml",
        )
        assert message(file) == (
            "ConfigError: tutorials/my.yaml: default.data.dataloader.patch_sise: no such key.\n"
            "  Did you mean 'patch_size'?\n"
            "ConfigError: tutorials/my.yaml: decoding.steps[0].kwargs.exlusive: polarity2instance "
            "has no such setting.\n"
            "  Did you mean 'exclusive'? Settings: dilate_sz, exclusive, scale_factors, semantic, "
            "thres, thres_small."
        )

    def test_the_published_snippets_work_as_they_stand(self, write):
        file = write(
            """
            defaults: [syn_cremi, _self_]
            default:
              model:
                out_channels: 3
                loss:
                  losses:
                    - function: WeightedBCEWithLogitsLoss
                      weight: 1.0
                      pred_slice: "0:3"
                      target_slice: "0:3"
                    - function: DiceLoss
                      weight: 1.0
                      kwargs: {sigmoid: true, smooth_nr: 1e-5, smooth_dr: 1e-5}
                      pred_slice: "0:3"
                      target_slice: "0:3"
              data:
                label_transform: {targets: [{name: polarity, kwargs: {exclusive: false}}]}
              evaluation: {truth_encoding: semantic, metrics: [polarity]}
            decoding: {steps: [{name: polarity2instance, kwargs: {exclusive: false}}]}
            data: {dataloader: {reject_sampling: {size_thres: 1000, p: 0.95}}}
            """
        )
        config = load_config(file, checks=[check_names]).config
        assert config.model.out_channels == 3
        assert config.decoding.steps[0].kwargs == {"exclusive": False}
        assert config.data.dataloader.reject_sampling is not None
        assert config.data.dataloader.reject_sampling.size_thres == 1000
        assert config.model.rsunet.filters == (32, 64, 96, 128, 160)

    def test_misspelt_stages_and_sections(self, write):
        file = write(
            "trian: {optimization: {max_steps: 5}}\nmodle: {out_chanels: 1}\ntest: {dta: {}}"
        )
        assert message(file) == (
            "ConfigError: my.yaml: trian: no such stage.\n  Did you mean 'train'?\n"
            "ConfigError: my.yaml: modle: no such section.\n  Did you mean 'model'?\n"
            "ConfigError: my.yaml: modle.out_chanels: no such key.\n"
            "  Did you mean 'out_channels'?\n"
            "ConfigError: my.yaml: test.dta: no such section.\n  Did you mean 'data'?"
        )

    @pytest.mark.parametrize("place", ["model", "model.loss.losses[0].kwargs", "data.augmentation"])
    def test_a_config_names_no_code(self, write, place: str):
        file = write("model: {loss: {losses: [{function: WeightedBCEWithLogitsLoss, kwargs: {}}]}}")
        assert message(file, f"+{place}._target_=os.system") == (
            f"ConfigError: command line: {place}._target_: a config is data and names no code.\n"
            "  Pick losses, targets, augmentations, decoders and metrics by name."
        )


class TestStages:
    TEXT = """
        default: {optimization: {max_steps: 1, n_steps_per_epoch: 1, precision: bf16-mixed}}
        optimization: {max_steps: 2, n_steps_per_epoch: 2}
        train: {optimization: {max_steps: 3}}
        test: {optimization: {max_steps: 4}, system: {seed: 9}}
        """

    @pytest.mark.parametrize("mode", MODES)
    def test_merge_order(self, write, mode: str):
        file = write(self.TEXT + "decoding: {steps: [binary2instance]}")
        optimization = load_config(file, mode=mode).config.optimization
        assert optimization.max_steps == (3 if mode == "train" else 4)
        assert optimization.n_steps_per_epoch == 2
        assert optimization.precision == "bf16-mixed"

    @pytest.mark.parametrize(
        ("override", "train", "test"),
        [
            ("optimization.max_steps=5", 5, 5),
            ("train.optimization.max_steps=5", 5, 4),
            ("test.optimization.max_steps=5", 3, 5),
            ("default.optimization.max_steps=5", 3, 4),
            ("~train.optimization.max_steps", 2, 4),
        ],
    )
    def test_the_command_line_comes_last(self, write, override: str, train: int, test: int):
        file = write(self.TEXT + "decoding: {steps: [binary2instance]}")
        steps = [
            load_config(file, mode=mode, overrides=[override]).config.optimization.max_steps
            for mode in ("train", "test")
        ]
        assert steps == [train, test]

    def test_the_other_stage_is_checked_too(self, write):
        file = write(FILES + "test: {decoding: {steps: [{name: binary2instance, kwargs: {x: 1}}]}}")
        assert message(file, mode="train").startswith(
            "ConfigError: my.yaml: test.decoding.steps[0].kwargs.x: binary2instance has no such"
        )

    def test_an_override_for_a_list_of_the_other_stage(self, write):
        file = write("test: {decoding: {steps: [{name: binary2instance}]}}")
        override = "decoding.steps[0].kwargs.thres=0.4"
        resolved = load_config(file, mode="test", overrides=[override])
        assert resolved.config.decoding.steps[0].kwargs == {"thres": 0.4}
        assert "no list that the config writes out" in message(file, override, mode="train")

    def test_no_such_mode(self, write):
        assert message(write(FILES), mode="trian") == (
            "ConfigError: --mode: there is no mode 'trian'.\n  Did you mean 'train'?"
        )


class TestFaults:
    def test_places(self, write):
        write("optimization: {max_steps: 0}\nsystem: {seed: -1}", "base.yaml")
        file = write(
            "defaults: [base, {model/rsunet: mine}, _self_]\n"
            "default: {monitor: {progress_bar: x}}\n"
            "data: {val_fraction: 2.0}\n"
            "train: {system: {num_threads: 0}}\n"
        )
        write("# @package default.model.rsunet\nnorm: x\n", "model/rsunet/mine.yaml")
        found = message(file, "inference.save_dtype=x", "train.system.num_gpus=x")
        places = [line.split(": has to be")[0] for line in found.splitlines() if "has to" in line]
        assert {place.removeprefix("ConfigError: ") for place in places} == {
            "base.yaml: optimization.max_steps",
            "base.yaml: system.seed",
            "model/rsunet/mine.yaml: default.model.rsunet.norm",
            "my.yaml: default.monitor.progress_bar",
            "my.yaml: data.val_fraction",
            "my.yaml: train.system.num_threads",
            "command line: inference.save_dtype",
            "command line: system.num_gpus",
        }

    def test_a_fault_of_both_stages_is_reported_once(self, write):
        assert message(write("model: {out_channels: 0}")).count("out_channels") == 1

    def test_a_fault_of_each_stage_is_reported_in_its_place(self, write):
        found = message(write("model: {out_channels: 0}\ntest: {model: {out_channels: -1}}"))
        assert "my.yaml: model.out_channels: has to be more than 0, not 0." in found
        assert "my.yaml: test.model.out_channels: has to be more than 0, not -1." in found

    def test_consequences_of_a_fault_are_not_reported(self, write):
        file = write("defaults: [syn_em_r50, _self_]\nmodel: {out_channels: three}")
        with pytest.raises(ConfigError) as caught:
            load_config(file)
        assert str(caught.value) == (
            "ConfigError: my.yaml: model.out_channels: has to be a whole number, not 'three'."
        )

    def test_a_misspelt_key_means_what_it_was_meant_to(self, write):
        text = "defaults: [syn_cremi, _self_]\nmodel: {out_chanels: 3}"
        found = message(write(text))
        assert "model.out_chanels: no such key" in found
        assert "losses[0]: WeightedBCEWithLogitsLoss compares 3 channels" in found

    def test_checks_see_what_was_saved_and_their_faults_get_places(self, write):
        file = write("model: {out_chanels: 1}\nmonitor: {x: 1}\nsystem: {seed: 3}")
        seen = []

        def check(config: Config) -> list[Fault]:
            seen.append(config.system.seed)
            return [
                Fault("system.seed", "is odd."),
                Fault("monitor", "lost."),
                Fault("model.out_channels", "is one."),
                Fault("raw.h5", "is not there.", "Get it."),
            ]

        with pytest.raises(ConfigError) as caught:
            load_config(file, checks=[check])
        assert [str(fault) for fault in caught.value.faults][2:] == [
            "my.yaml: system.seed: is odd.",
            "my.yaml: model.out_chanels: is one.",
            "raw.h5: is not there.\n  Get it.",
        ]
        assert seen == [3, 3]

    def test_a_check_need_not_say_again_what_is_known(self, write):
        text = "defaults: [syn_em_r50, _self_]\ndecoding: {steps: [{name: polarity2instance, "\
               "kwargs: {exclusive: true}}]}"  # fmt: skip

        def check(config: Config) -> list[Fault]:
            return [Fault("decoding.steps[0].kwargs.exclusive", "once more.")]

        with pytest.raises(ConfigError) as caught:
            load_config(write(text), checks=[check])
        assert len(caught.value.faults) == 1

    def test_interpolations_and_missing_values_are_reported_with_the_rest(self, write):
        file = write(
            "model: {out_channels: '${nope}', in_chanels: 1}\nsystem: {seed: '???'}\n"
            "monitor: {logging: {every_n_steps: '${oc.env:HOME}'}}"
        )
        assert [line for line in message(file).splitlines() if line.startswith("Config")] == [
            "ConfigError: my.yaml: monitor.logging.every_n_steps: '${oc.env:HOME}' calls a "
            "function, which a config cannot do.",
            "ConfigError: my.yaml: model.out_channels: '${nope}' names a key that is not written.",
            "ConfigError: my.yaml: system.seed: has no value yet.",
            "ConfigError: my.yaml: model.in_chanels: no such key.",
        ]

    def test_the_mode_lacks_its_volumes(self, write):
        assert message(write("data: {test: {image: a.h5}}"), mode="train") == (
            "ConfigError: my.yaml: data.train: names no volume, and mode train works on it.\n"
            "  Add for example\n    data: {train: {image: raw.h5, label: labels.h5}}"
        )


class TestVolumes:
    def test_without_any_volume_there_is_synthetic_em(self, write):
        data = load_config(write("experiment_name: try")).config.data
        assert data.train is not None
        assert data.train.synthetic

    def test_a_volume_of_either_stage_is_a_volume(self, write):
        file = write("train: {data: {train: {image: a.h5, label: b.h5}}}\n"
                     "decoding: {steps: [binary2instance]}")  # fmt: skip
        assert load_config(file).config.data.test is None
        assert "data.test: names no volume" in message(file, mode="test")

    def test_ones_own_volumes_inherit_nothing_about_the_tutorials(self, write):
        file = write("defaults: [syn_em_r50, _self_]\n" + FILES)
        data = load_config(file).config.data
        assert data.train is not None
        assert data.train.z_range is None
        assert data.train.resolution is None

    def test_a_file_moved_on_the_command_line_keeps_what_is_known_of_it(self, write):
        file = write("defaults: [syn_em_r50, _self_]\n")
        data = load_config(file, overrides=["data.train.image=moved.h5"]).config.data
        assert data.train is not None
        assert data.train.image == ("moved.h5",)
        assert data.train.z_range == (0, 68)

    def test_files_take_the_place_of_a_phantom(self, write):
        data = load_config(write("defaults: [demo, _self_]\n" + FILES)).config.data
        assert data.test is not None
        assert not data.test.synthetic


class TestInterpolation:
    def test_keys_are_named_from_the_top_wherever_they_stand(self, write):
        file = write(
            "default: {inference: {window: {window_size: '${data.dataloader.patch_size}'}}}\n"
            "data: {dataloader: {patch_size: [1, 2, 3]}}\n"
            "test: {data: {dataloader: {patch_size: [4, 5, 6]}}}\n"
            "decoding: {steps: [binary2instance]}"
        )
        sizes = [
            load_config(file, mode=mode).config.inference.window.window_size
            for mode in ("train", "test")
        ]
        assert sizes == [(1, 2, 3), (4, 5, 6)]

    def test_the_command_line_too(self, write):
        file = write(FILES)
        override = "optimization.n_steps_per_epoch=${optimization.max_steps}"
        config = load_config(file, overrides=["optimization.max_steps=7", override]).config
        assert config.optimization.n_steps_per_epoch == 7


def test_presets_on_the_command_line(write):
    file = write("defaults: [syn_em_r50, _self_]")
    choices = ["model/rsunet=small", "data/augmentation=light", "model.rsunet.norm=group"]
    resolved = load_config(file, overrides=choices)
    assert resolved.config.model.rsunet.filters == (16, 32, 48, 64)
    assert resolved.config.model.rsunet.norm == "group"
    assert "elastic" not in resolved.config.data.augmentation
    assert resolved.overrides == tuple(choices)


def test_place(write):
    write("system: {seed: 1}", "base.yaml")
    file = write("defaults: [base, _self_]\ntest: {system: {seed: 2}}\n" + FILES)
    resolved = load_config(file, overrides=["system.num_gpus=0", "~system.num_threads"][:1])
    assert resolved.place("system.seed") == "base.yaml: system.seed"
    assert resolved.place("system.num_gpus") == "command line: system.num_gpus"
    assert resolved.place("data.train.image[0]") == "my.yaml: data.train.image[0]"
    assert resolved.place("model.rsunet.norm") == "my.yaml: model.rsunet.norm"
    assert resolved.place("raw.h5") == "raw.h5"


def assert_reproduced(document: str, folder: Path, configs: dict[str, Config]) -> None:
    file = folder / "config.yaml"
    file.write_text(document)
    for mode, config in configs.items():
        again = load_config(file, mode=mode)
        assert again.config == config
        assert again.document == yaml.safe_load(document)


@pytest.mark.parametrize(
    ("tutorial", "overrides"),
    [
        ("syn_cremi", []),
        ("syn_em_r50", []),
        ("syn_vnc_cpu", []),
        (
            "syn_vnc_cpu",
            [
                "optimization.max_steps=5",
                "model/rsunet=small",
                "test.inference.window.overlap=0.25",
            ],
        ),
        (
            "syn_cremi",
            [
                "data.test.image='a b=c.h5'",
                "description='1e-3'",
                "~data.dataloader.reject_sampling",
            ],
        ),
        (
            "syn_em_r50",
            [
                "train.data.train.z_range=null",
                "test.data.test.z_range=[0,9]",
                "~test.data.test.z_range",
            ],
        ),
    ],
    ids=["cremi", "em_r50", "vnc_cpu", "both", "text", "stages"],
)
def test_the_document_reproduces_the_run(tmp_path: Path, tutorial: str, overrides: list[str]):
    file = TUTORIALS / f"{tutorial}.yaml"
    resolved = {m: load_config(file, mode=m, overrides=overrides) for m in ("train", "test")}
    (document,) = {one.to_yaml() for one in resolved.values()}
    assert_reproduced(document, tmp_path, {mode: one.config for mode, one in resolved.items()})


def test_one_document_is_for_every_mode(tmp_path: Path):
    overrides = ["train.optimization.max_steps=5", "test.data.test.resolution=[1,2,3]"]
    resolved = {m: load_config(TUTORIALS / "demo.yaml", mode=m, overrides=overrides) for m in MODES}
    (document,) = {one.to_yaml() for one in resolved.values()}
    assert_reproduced(document, tmp_path, {mode: one.config for mode, one in resolved.items()})


def test_the_printed_config_is_a_config(tmp_path: Path):
    resolved = load_config(TUTORIALS / "syn_em_r50.yaml", mode="test")
    file = tmp_path / "printed.yaml"
    file.write_text(resolved.config_to_yaml())
    assert load_config(file, mode="test").config == resolved.config


optimization = st.fixed_dictionaries(
    {},
    optional={
        "max_steps": st.integers(1, 9),
        "precision": st.sampled_from(["32-true", "bf16-mixed"]),
        "optimizer": st.fixed_dictionaries({}, optional={"lr": st.sampled_from([0.1, 0.2])}),
    },
)
augmentation = st.dictionaries(
    st.sampled_from(["flip", "noise"]),
    st.none() | st.dictionaries(st.just("prob"), st.floats(0, 1)),
)
volumes = st.fixed_dictionaries({"image": st.sampled_from(["a", "b"]), "label": st.just("c")})
sections = st.fixed_dictionaries(
    {},
    optional={
        "optimization": optimization,
        "system": st.fixed_dictionaries({}, optional={"seed": st.integers(0, 3)}),
        "decoding": st.fixed_dictionaries({"steps": st.just(["binary2instance"])}),
        "data": st.fixed_dictionaries(
            {"train": volumes, "test": volumes}, optional={"augmentation": augmentation}
        ),
    },
)
files = st.fixed_dictionaries(
    {"experiment_name": st.just("x"), "decoding": st.just({"steps": ["binary2instance"]})},
    optional={"default": sections, "train": sections, "test": sections, "data": st.just({})},
)
override = st.sampled_from(
    [
        "optimization.max_steps=5",
        "train.system.seed=7",
        "default.optimization.precision=32-true",
        "decoding.steps[0]={name: binary2instance, kwargs: {thres: 0.1}}",
        "+data.augmentation.flip={}",
        "data.augmentation={noise: {prob: 0.5}}",
        "test.data.val={image: v.h5, label: w.h5}",
        "data.val={phantom: {seed: 4}}",
        "description='${experiment_name} again'",
        "save_path=null",
    ]
)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=files, overrides=st.lists(override, max_size=3))
def test_any_document_reproduces_its_run(
    tmp_path: Path, content: dict[str, Any], overrides: list[str]
):
    file = tmp_path / "my.yaml"
    file.write_text(yaml.safe_dump(content))
    try:
        resolved = {m: load_config(file, mode=m, overrides=overrides) for m in ("train", "test")}
    except ConfigError:
        reject()
    document = resolved["train"].to_yaml()
    assert_reproduced(document, tmp_path, {mode: one.config for mode, one in resolved.items()})


def test_presets_of_networks_are_networks():
    from connectomics.models import RSUNet

    for file in sorted((PRESETS / "model/rsunet").glob("*.yaml")):
        RSUNet(1, 1, **yaml.safe_load(file.read_text()))


def test_presets_of_augmentation_are_augmentations():
    from connectomics.data.augmentation import AUGMENTATIONS, check_augmentation

    presets = {
        file.stem: yaml.safe_load(file.read_text())
        for file in (PRESETS / "data/augmentation").glob("*.yaml")
    }
    assert set(presets) == {"none", "light", "standard", "strong"}
    faults = {name: check_augmentation(preset) for name, preset in presets.items()}
    assert not any(faults.values()), faults
    assert set(presets["strong"]) == set(AUGMENTATIONS)
    assert presets["none"] == {}


class TestWhoIsAtFault:
    """Whoever inherits a config and changes one thing reads of that thing, not of the tutorial."""

    def words(self, file: Path, *overrides: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load_config(file, overrides=overrides, checks=[check_names])
        return str(caught.value)

    def test_the_users_file(self, write):
        file = write("defaults: [syn_em_r50, _self_]\nmodel: {out_channels: 2}")
        words = self.words(file)
        assert "ConfigError: my.yaml: model.out_channels: does not go with " in words
        assert "syn_em_r50.yaml: default.decoding.steps[0].name: synapses reads" in words

    def test_the_command_line(self, write):
        file = write("defaults: [syn_em_r50, _self_]\nexperiment_name: mine")
        words = self.words(file, "data.label_transform.targets=[binary]")
        assert words.startswith(
            "ConfigError: command line: data.label_transform.targets: does not go with "
        )
        words = self.words(file, "optimization.optimizer.lr=1e-9")
        assert words.startswith(
            "ConfigError: command line: optimization.optimizer.lr: does not go with "
        )

    def test_what_is_wrong_by_itself_stays_where_it_is(self, write):
        write("defaults: [syn_em_r50, _self_]\nmodel: {loss: {losses: [{function: DiceLos}]}}",
              "base.yaml")  # fmt: skip
        file = write("defaults: [base, _self_]\nexperiment_name: mine")
        assert self.words(file).startswith("ConfigError: base.yaml: model.loss.losses[0].function:")

    @pytest.mark.parametrize("name", ["rsunet=demo", "optimizer.lr=1", "lr=1", "mode=test"])
    def test_a_section_that_only_the_command_line_names(self, write, name: str):
        file = write("defaults: [syn_em_r50, _self_]\nexperiment_name: mine")
        assert self.words(file, name).startswith("ConfigError: command line: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {image: a.h5, label: b.h5}", "my.yaml: train: holds image and label of a volume, "
         "and is the section of what differs in train.\n  Volumes go to data.train:\n"
         "    data: {train: {image: a.h5, label: b.h5}}"),
        ("data: {train: {label: b.h5}}", "my.yaml: data.train.label: is given without an image.\n"
         "  Name the image too"),
        ("data: {train: {mask: b.h5}}", "my.yaml: data.train.mask: is given without an image."),
        ("data: {train: {image: b.h5}}", "my.yaml: data.train.label: is not given, and training"),
        ("defaluts: [syn_cremi]", "my.yaml: defaluts: no such section.\n"
         "  Did you mean 'defaults'?"),
        ("model: {rsunet: demo}", "my.yaml: model.rsunet: has to be settings, each as "
         "'key: value', not 'demo'.\n  A preset is picked as model/rsunet=demo, in a file as\n"
         "    defaults: [..., model/rsunet: demo, _self_]\n  Presets: cremi, demo, small."),
        ("optimization: {optimizer: AdamW}", "Write optimization.optimizer: {name: AdamW}."),
        ("optimization: {optimizer: {name: adamw}}", "not 'adamw'.\n  Did you mean 'AdamW'?"),
        ("optimization: {max_steps: 20,000}", "Numbers have no commas: 20000."),
        ("optimization:\n  max_steps: 20,000", "not '20,000'.\n  Write 20000."),
        ("optimization:\n  max_steps: 20 000", "not '20 000'.\n  Write 20000."),
        ("data: {train: {resolution: [30 128 128]}}", "Put commas between numbers: 30, 128, 128"),
        ("data: {dataloader: {patch_size: 8x64x64}}", "Write it in brackets: [8, 64, 64]"),
        ("data: {test: {image: $DATA/a.h5}}", "data.test.image: names the variable $DATA"),
        ("data: {test: {image: '${DATA}/a.h5'}}", "Variables are not replaced in a config"),
        (r"data: {test: {image: C:\data\a.h5}}", "is a path of Windows."),
        (r"data: {test: {image: data\a.h5}}", "has backslashes.\n  Folders are separated by /."),
        ("save_path: $HOME/x", "my.yaml: save_path: names the variable $HOME"),
        ("model: {loss: {losses: [{function: BCE}]}}", "my.yaml: model.loss.losses[0].function: "
         "there is no loss 'BCE'.\n  Did you mean 'WeightedBCEWithLogitsLoss'?"),
        ("model: {loss: {losses: [{function: DiceLos}]}}", "Did you mean 'DiceLoss'?"),
        ("mode: test", "It is an option: --mode ..."),
    ],
)  # fmt: skip
def test_likely_slips(write, text: str, message: str):
    file = write(f"defaults: [syn_em_r50, _self_]\n{text}")
    with pytest.raises(ConfigError) as caught:
        load_config(file, checks=[check_names])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "note"),
    [
        (["data.train.image=x.h5"],
         "data.train has image of the command line, and still label and z_range of my.yaml"),
        (["data.train.image=x.h5", "data.train.label=y.h5"],
         "data.train has image and label of the command line, and still z_range of my.yaml"),
        (["data.train.label=y.h5"],
         "data.train has label of the command line, and still image and z_range of my.yaml"),
        (["data.train={image: x.h5, label: y.h5}"], ""),
        (["data.train.image=x.h5", "data.train.label=y.h5", "data.train.z_range=[0,9]"], ""),
        (["data.train.z_range=[0,9]"], ""),
        (["data.test.image=x.h5"], ""),  # of another mode
        ([], ""),
    ],
)  # fmt: skip
def test_what_stays_of_volumes_that_were_moved_is_said(write, overrides: list[str], note: str):
    file = write("data: {train: {image: a.h5, label: b.h5, z_range: [0, 5]}}\n")
    notes = load_config(file, overrides=overrides).notes()
    assert notes == ([note] if note else [])


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("data.train", "my.yaml: data.train"),
        ("system.seed", "command line: system.seed"),
        ("optimization.max_steps", "my.yaml: train.optimization.max_steps"),
        ("data.train, and more", "data.train, and more"),
        ("model.ckpt", "model.ckpt"),
        ("a.h5", "a.h5"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("kind", [DataError, CheckpointError])
def test_an_error_of_a_running_mode_names_the_file_of_its_key(write, where, place, kind):
    file = write(FILES + "train: {optimization: {max_steps: 5}}")
    resolved = load_config(file, overrides=["system.seed=3"])
    with pytest.raises(kind) as raised, resolved.naming_places():
        raise kind(where, "is wrong.")
    assert raised.value.faults == (Fault(place, "is wrong."),)
