"""A config and what it is made of: the files, their order, and what can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from connectomics.config.composition import compose
from connectomics.config.defaults_list import PRESETS, TUTORIALS
from connectomics.config.levels import merge_layers
from connectomics.config.merging import merge
from connectomics.errors import ConfigError

TUTORIAL_FILES = sorted(TUTORIALS.glob("*.yaml"))


def merged(file: Path, *choices: str) -> dict:
    composition = compose(file, choices)
    assert not composition.faults
    return merge_layers(composition.layers)


def message(file: Path, *choices: str) -> str:
    with pytest.raises(ConfigError) as caught:
        compose(file, choices)
    return str(caught.value).removeprefix("ConfigError: ")


@pytest.mark.parametrize("file", TUTORIAL_FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("choices", [(), ("model/rsunet=small", "data/augmentation=none")])
def test_what_is_composed_is_what_hydra_composes(file: Path, choices: tuple[str, ...]):
    with initialize_config_dir(str(TUTORIALS), version_base="1.3"):
        search = f"hydra.searchpath=['file://{PRESETS}']"
        hydras = OmegaConf.to_container(hydra_compose(file.stem, [search, *choices]))
    assert isinstance(hydras, dict)
    levels = merged(file, *choices)
    own = {key: value for key, value in hydras.items() if key not in ("default", "train", "test")}
    assert levels["default"] == merge(hydras["default"], own)
    assert levels["train"] == hydras.get("train", {})
    assert levels["test"] == hydras.get("test", {})


def test_hydra_is_left_as_it_was(write):
    compose(write("defaults: [syn_em_r50, _self_]"))
    assert not GlobalHydra.instance().is_initialized()


def test_layers_come_in_merge_order_and_are_named_as_the_user_knows_them(write):
    file = write("defaults: [syn_em_r50, _self_]\n")
    files = [layer.file for layer in compose(file).layers]
    assert files == [
        str(PRESETS / "model/rsunet/cremi.yaml"),
        str(PRESETS / "data/augmentation/strong.yaml"),
        str(TUTORIALS / "syn_cremi.yaml"),
        str(TUTORIALS / "syn_em_r50.yaml"),
        "my.yaml",
    ]


@pytest.mark.parametrize("name", ["my config.yaml", "a=b, c.v2.yaml", "x's [1] (2).yaml", "ä.yaml"])
@pytest.mark.parametrize("folder", ["my folder", "a=b, c.d", "it's [here]", "back\\slash"])
def test_any_name_of_file_and_folder(write, folder: str, name: str):
    write("model: {out_channels: 7}", f"{folder}/base.yaml")
    file = write("defaults: [base, {model/rsunet: small}, _self_]", f"{folder}/{name}")
    default = merged(file)["default"]
    assert default["model"]["out_channels"] == 7
    assert default["model"]["rsunet"]["filters"] == [16, 32, 48, 64]


def test_the_own_folder_comes_before_the_tutorials_and_the_presets(write):
    write("experiment_name: mine", "syn_cremi.yaml")
    write("# @package default.model.rsunet\nfilters: [1, 2]", "model/rsunet/small.yaml")
    default = merged(write("defaults: [syn_cremi, {model/rsunet: small}, _self_]"))["default"]
    assert default == {"experiment_name": "mine", "model": {"rsunet": {"filters": [1, 2]}}}


def test_a_preset_of_ones_own_needs_no_header(write):
    write("filters: [3, 4]", "model/rsunet/mine.yaml")
    default = merged(write("defaults: [{model/rsunet: mine}, _self_]"))["default"]
    assert default["model"]["rsunet"]["filters"] == [3, 4]


def test_a_config_from_another_folder(write):
    write("# @package _global_\nmodel: {out_channels: 2}", "bases/one.yaml")
    assert merged(write("defaults: [bases/one, _self_]"))["default"]["model"]["out_channels"] == 2


def test_a_file_on_its_own_in_an_absolute_place(write, tmp_path: Path):
    write("model: {out_channels: 3}")
    (layer,) = compose(tmp_path / "my.yaml").layers
    assert layer.file == str(tmp_path / "my.yaml")


def test_a_link_to_a_file_inherits_from_where_the_link_lies(write, tmp_path: Path):
    write("model: {out_channels: 3}", "here/base.yaml")
    write("model: {out_channels: 4}", "there/base.yaml")
    write("defaults: [base, _self_]", "there/my.yaml")
    (tmp_path / "here" / "my.yaml").symlink_to(tmp_path / "there" / "my.yaml")
    assert merged(Path("here/my.yaml"))["default"]["model"]["out_channels"] == 3


class TestMergeOrder:
    def test_within_a_file_the_top_level_wins_over_default(self, write):
        file = write(
            "default: {model: {out_channels: 1, in_channels: 1}}\nmodel: {out_channels: 2}"
        )
        assert merged(file)["default"]["model"] == {"out_channels": 2, "in_channels": 1}

    def test_an_heir_wins_over_its_base_at_whatever_level(self, write):
        write("model: {out_channels: 1}\ntrain: {model: {out_channels: 4}}", "base.yaml")
        file = write("defaults: [base, _self_]\ndefault: {model: {out_channels: 2}}")
        levels = merged(file)
        assert levels["default"]["model"]["out_channels"] == 2
        assert levels["train"]["model"]["out_channels"] == 4

    def test_self_first_lets_the_base_win(self, write):
        write("model: {out_channels: 1}", "base.yaml")
        file = write("defaults: [_self_, base]\nmodel: {out_channels: 2}")
        assert merged(file)["default"]["model"]["out_channels"] == 1

    def test_what_is_written_wins_over_a_preset_of_the_file(self, write):
        text = "defaults: [{model/rsunet: small}, _self_]\nmodel: {rsunet: {filters: [1, 2]}}"
        rsunet = merged(write(text))["default"]["model"]["rsunet"]
        assert rsunet["filters"] == [1, 2]
        assert len(rsunet["down_factors"]) == 3

    def test_a_preset_from_the_command_line_takes_the_place_of_the_files(self, write):
        file = write("defaults: [{data/augmentation: strong}, _self_]")
        names = merged(file, "data/augmentation=light")["default"]["data"]["augmentation"]
        assert set(names) == {"flip", "rotate90", "transpose", "intensity", "noise"}

    @pytest.mark.parametrize("plus", ["", "+"])
    def test_a_preset_from_the_command_line_is_added_on_top(self, write, plus: str):
        file = write("model: {rsunet: {filters: [1, 2]}}")
        rsunet = merged(file, f"{plus}model/rsunet=small")["default"]["model"]["rsunet"]
        assert rsunet["filters"] == [16, 32, 48, 64]

    def test_a_preset_can_be_taken_out(self, write):
        file = write("defaults: [syn_cremi, _self_]")
        assert "augmentation" not in merged(file, "~data/augmentation")["default"]["data"]

    def test_none_leaves_no_augmentation(self, write):
        file = write("defaults: [syn_cremi, _self_]")
        assert merged(file, "data/augmentation=none")["default"]["data"]["augmentation"] == {}


class TestFaults:
    def test_no_such_file(self, write):
        write("{}", "mine.yaml")
        assert message(Path("mime.yaml")) == "mime.yaml: no such file.\n  Did you mean 'mine.yaml'?"

    def test_a_file_near_in_the_tutorials(self, write):
        write("{}", "other.yaml")
        assert f"Did you mean '{TUTORIALS / 'syn_cremi.yaml'}'?" in message(Path("syn_crem.yaml"))

    def test_nothing_near(self, write):
        write("{}", "other.yaml")
        assert "Configs to start from: other.yaml, " in message(Path("zzz"))

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            (".", ".: is a folder.\n  Name a .yaml file in it."),
            ("my.yml", "my.yml: is not a .yaml file.\n  Give the config the suffix .yaml."),
        ],
    )
    def test_not_a_config(self, write, name: str, words: str):
        write("a: 1", "my.yml")
        assert message(Path(name)) == words

    @pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
    def test_empty(self, write, text: str):
        assert message(write(text)) == (
            "my.yaml: is empty.\n  Start from a tutorial with the line\n"
            "    defaults: [syn_em_r50, _self_]"
        )

    @pytest.mark.parametrize(
        ("base", "line"),
        [
            ("syn_cremi.yaml", "[syn_cremi, _self_]"),
            ("../tutorials/syn_cremi.yaml", "[syn_cremi, _self_]"),
            ("[syn_cremi.yaml, other.yaml]", "[syn_cremi, other, _self_]"),
        ],
    )
    def test_base(self, write, base: str, line: str):
        file = write(f"_base_: {base}\nmodel: {{out_channels: 3}}")
        assert message(file) == (
            "my.yaml: _base_: inheritance is written otherwise here.\n"
            f"  Write instead:\n    defaults: {line}"
        )

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("defaults: syn_cremi", "'syn_cremi' is not a list.\n  Write for example:\n"
             "    defaults: [syn_cremi, _self_]"),
            ("defaults: [my, _self_]", "the file inherits itself: 'my' is its own name.\n  A file "
             "beside the config comes before a tutorial of the same name; rename it."),
            ("defaults: [syn_cremi]\nmodel: {}", "does not say where the file's own settings come "
             "in.\n  Add _self_, last if they are to win:\n    defaults: [syn_cremi, _self_]"),
            ("defaults: [syn_cremy, _self_]", "no config 'syn_cremy'.\n"
             "  Did you mean 'syn_cremi'?"),
            ("defaults: [{model/rsunet: smal}, _self_]", "no preset 'smal' in model/rsunet.\n"
             "  Did you mean 'small'?"),
            ("defaults: [{model/rsunet: '${oc.env:HOME}'}, _self_]", "holds an interpolation.\n"
             "  Name files and presets themselves."),
            ("defaults: [syn_cremi, {model/rsunet: small}, _self_]", "Multiple values for "
             "model/rsunet. To override a value use 'override model/rsunet: small'"),
        ],
    )  # fmt: skip
    def test_defaults(self, write, text: str, words: str):
        assert message(write(text)) == f"my.yaml: defaults: {words}"

    @pytest.mark.parametrize(
        ("entry", "words"),
        [
            ("3", "3 names no config.\n  Write names, and presets as 'group: name':\n"
             "    defaults: [syn_em_r50, model/rsunet: demo, _self_]"),
            ("[syn_cremi]", "['syn_cremi'] names no config.\n  Write names"),
            ("null", "None names no config.\n"),
            ("''", "'' names no config.\n"),
            ("{5: demo}", "{5: 'demo'} names no config.\n"),
            ("{model/rsunet: 5}", "{'model/rsunet': 5} names no config.\n"),
            ("{model/rsunet: demo, data/augmentation: light}", "{'model/rsunet': 'demo', "
             "'data/augmentation': 'light'} is several entries in one.\n"
             "  Write one each: [model/rsunet: demo, data/augmentation: light, ...]"),
            ("/somewhere/tutorials/syn_cremi.yaml", "'/somewhere/tutorials/syn_cremi.yaml' is a "
             "path, and configs are found by their name.\n  Write syn_cremi."),
            ("../syn_cremi", "'../syn_cremi' is a path, and configs are found by their name.\n"
             "  Write syn_cremi."),
            ("./syn_cremi", "'./syn_cremi' is a path, and configs are found by their name.\n"
             "  Write syn_cremi."),
            ("a" * 3000, f"'{'a' * 76}... names no config.\n"),
            ("syn_cremi@foo", "puts settings under 'foo', and there is no such section.\n"
             "  Take @foo out."),
            ("model/rsunet@foo.bar: demo", "puts settings under 'foo.bar', and there is no such"),
            ("C:\\mine\\base.yaml", "'C:\\\\mine\\\\base.yaml' is a path, and configs are found by "
             "their name.\n  Put the file beside this one, and write its name."),
        ],
    )  # fmt: skip
    def test_odd_entries(self, write, entry: str, words: str):
        text = f"defaults: [{entry}, _self_]\nmodel: {{}}"
        assert message(write(text)).startswith(f"my.yaml: defaults[0]: {words}")

    @pytest.mark.parametrize("tutorial", ["syn_cremi", "nope"])
    def test_a_name_that_stands_many_times(self, write, tutorial: str):
        text = f"defaults: [{', '.join([tutorial] * 500)}, _self_]\nmodel: {{}}"
        assert message(write(text)) == (
            f"my.yaml: defaults: names '{tutorial}' twice.\n  Keep one of them."
        )

    def test_ways_that_double_with_every_file(self, write):
        for n in range(30):
            both = f"defaults: [a{n + 1}, b{n + 1}, _self_]\nsystem: {{}}"
            write("system: {seed: 1}" if n == 29 else both, f"a{n}.yaml")
            write("system: {seed: 1}" if n == 29 else both, f"b{n}.yaml")
        said = message(write("defaults: [a0, b0, _self_]\nmodel: {}"))
        assert said.startswith("my.yaml: defaults: the files inherit one another on 2,147,483,6")

    def test_a_group_that_is_none(self, write):
        text = "defaults: [{model/rsunett: demo}, _self_]\nmodel: {}"
        assert message(write(text)) == (
            "my.yaml: defaults: there are no presets 'model/rsunett'.\n"
            "  Did you mean 'model/rsunet'?"
        )

    def test_default_for_defaults(self, write):
        assert message(write("default: [syn_cremi, _self_]\nmodel: {}")) == (
            "my.yaml: default: ['syn_cremi', '_self_'] is no section: default: holds sections.\n"
            "  Did you mean the list of what to start from?\n    defaults: [syn_cremi, _self_]"
        )

    def test_a_base_is_looked_through_before_it_is_followed(self, write):
        write("model: &a [*a]", "base.yaml")
        write("defaults: [base, _self_]", "middle.yaml")
        assert message(write("defaults: [middle, _self_]")) == (
            "base.yaml: line 1: *a stands within what it stands for, without end.\n"
            "  Write the value out."
        )

    def test_a_preset_from_the_command_line_is_looked_through(self, write):
        write("a: " + "[" * 2000, "model/rsunet/mine.yaml")
        file = write("defaults: [syn_cremi, _self_]")
        assert "mine.yaml: line 1: maps and lists lie more than" in message(
            file, "model/rsunet=mine"
        )

    @pytest.mark.parametrize("name", ["x" * 300 + ".yaml", "a\0b.yaml"])
    def test_a_name_that_no_file_can_have(self, write, name: str):
        assert "no " in message(Path(name))

    @pytest.mark.parametrize(
        ("name", "words"),
        [("last.ckpt", "A checkpoint goes to --checkpoint"), ("my.json", "JSON is YAML")],
    )
    def test_a_file_of_another_kind(self, write, name: str, words: str):
        write("{}", name)
        assert words in message(Path(name))

    def test_a_circle(self, write):
        write("defaults: [my, _self_]", "other.yaml")
        file = write("defaults: [other, _self_]")
        assert "the files inherit one another in a circle" in message(file)

    def test_a_base_that_is_no_yaml_is_named(self, write):
        write("model:\n\tout_channels: 3", "base.yaml")
        assert message(write("defaults: [base, _self_]")).startswith("base.yaml: line 2: found")

    def test_a_base_with_a_wrong_defaults_list_is_named(self, write):
        write("defaults: [syn_cremi]\nmodel: {}", "base.yaml")
        assert message(write("defaults: [base, _self_]")).startswith("base.yaml: defaults: does")

    @pytest.mark.parametrize(
        ("choice", "words"),
        [
            ("model/rsunet=smal", "no preset 'smal' in model/rsunet.\n  Did you mean 'small'?"),
            ("+model/rsunet=smal", "no preset 'smal' in model/rsunet.\n  Did you mean 'small'?"),
            ("modle/rsunet=small", "there are no presets 'modle/rsunet'.\n"
             "  Did you mean 'model/rsunet'?"),
            ("~a/b", "there are no presets 'a/b'.\n"
             "  Choices: data/augmentation, machine, model/rsunet."),
            ("model/rsunet@train=small", "Could not override 'model/rsunet@train'.\n"
             "  Write the group and one name, such as model/rsunet=demo."),
            ("model/rsunet={norm: none}", "names no preset.\n"
             "  Write the group and one name, such as model/rsunet=demo."),
        ],
    )  # fmt: skip
    def test_choices(self, write, choice: str, words: str):
        file = write("defaults: [syn_cremi, _self_]")
        assert message(file, choice) == f"command line: {choice}: {words}"


class TestLevels:
    def faults(self, file: Path) -> list[str]:
        return [str(fault) for fault in compose(file).faults]

    def test_misspelt_stages(self, write):
        file = write("trian: {model: {}}\ndefualt: {model: {out_channels: 3}}")
        assert self.faults(file) == [
            "my.yaml: trian: no such stage.\n  Did you mean 'train'?",
            "my.yaml: defualt: no such stage.\n  Did you mean 'default'?",
        ]
        assert compose(file).layers[0].levels["default"] == {"model": {"out_channels": 3}}

    def test_modes_are_no_stages(self, write):
        assert self.faults(write("evaluate: {model: {}}")) == [
            "my.yaml: evaluate: no such stage.\n"
            "  Write test:, which serves infer, decode, evaluate, test, tune."
        ]

    def test_a_stage_holds_sections(self, write):
        assert self.faults(write("train: fast\nmodel: {}")) == [
            "my.yaml: train: 'fast' is no stage.\n  Sections go here."
        ]

    def test_a_file_in_a_folder_needs_a_package(self, write):
        write("model: {out_channels: 2}", "bases/one.yaml")
        (fault,) = self.faults(write("defaults: [bases/one, _self_]"))
        assert fault.startswith("bases/one.yaml: bases: no such section.")
        assert "# @package _global_" in fault

    def test_headings_without_anything_below_are_nothing(self, write):
        file = write("train:\ndefault:\n  data:\nmodel:\nsystem: {seed: 1}")
        assert merged(file)["default"] == {"system": {"seed": 1}}


class TestMachines:
    """A preset on the command line beats a machine; only what was picked."""

    OWN = """
        # @package _global_
        default: {model: {rsunet: {filters: [8, 8], norm: none}}}
        train: {model: {rsunet: {stem: stride2}}, data: {augmentation: {flip: {prob: 0.25}}}}
        optimization: {max_steps: 77}
        """

    def test_at_every_level_of_a_machine_of_ones_own(self, write):
        write(self.OWN, "machine/mine.yaml")
        file = write("defaults: [syn_em_r50, machine: mine, _self_]")
        levels, small = merged(file, "model/rsunet=small"), merged(file, "model/rsunet=cremi")
        assert levels["default"]["model"]["rsunet"]["filters"] == [16, 32, 48, 64]
        assert small["default"]["model"]["rsunet"]["filters"] == [32, 64, 96, 128, 160]
        assert levels["train"] == {"model": {}, "data": {"augmentation": {"flip": {"prob": 0.25}}}}
        assert levels["default"]["optimization"]["max_steps"] == 77

    def test_a_preset_that_is_taken_out_takes_nothing_of_the_machine_with_it(self, write):
        write(self.OWN, "machine/mine.yaml")
        file = write("defaults: [syn_em_r50, _self_]")
        rsunet = merged(file, "machine=mine", "~model/rsunet")["default"]["model"]["rsunet"]
        assert rsunet == {"filters": [8, 8], "norm": "none"}

    def test_a_machine_of_the_file_is_taken_out(self, write):
        file = write("defaults: [syn_em_r50, machine: cpu, _self_]")
        assert merged(file, "~machine") == merged(write("defaults: [syn_em_r50]", "plain.yaml"))

    def test_a_config_in_a_folder_of_that_name_is_none(self, write):
        text = "defaults: [base, _self_]\nmodel: {rsunet: {norm: none}}"
        write(
            "defaults: [syn_em_r50, _self_]\nmodel: {rsunet: {filters: [8, 16]}}",
            "machine/base.yaml",
        )
        file = write(text, "machine/my.yaml")
        rsunet = merged(file, "data/augmentation=light")["default"]["model"]["rsunet"]
        assert (rsunet["filters"], rsunet["norm"]) == ([8, 16], "none")
        write(
            "model: {rsunet: {num_groups: 3}}\ndefaults: [syn_em_r50, _self_]", "machine/base.yaml"
        )
        assert merged(file, "model/rsunet=demo")["default"]["model"]["rsunet"]["num_groups"] == 3

    @pytest.mark.parametrize(
        "text",
        [
            "defaults: [syn_em_r50, machine: cpu, override data/augmentation: light, _self_]",
            "defaults: [syn_em_r50, machine: cpu, _self_, override data/augmentation: light]",
            "defaults: [data/augmentation: light, machine: cpu, _self_]",
            "defaults: [theirs, override data/augmentation: light, _self_]",
        ],
    )
    def test_a_preset_beside_a_machine_beats_it(self, write, text):
        """Also in a file that inherits one with a machine. What a machine is laid on does not."""
        write("defaults: [syn_em_r50, machine: cpu, _self_]", "theirs.yaml")
        file = write(text)
        default = merged(file)["default"]
        assert default["data"]["augmentation"]["noise"] == {
            "prob": 0.3, "gaussian": 0.03, "shot": 0.03
        }  # fmt: skip
        assert default["model"]["rsunet"]["filters"] == [16, 16, 32]
        assert default["data"]["dataloader"]["patch_size"] == [16, 96, 96]
        # A machine that is typed is later than anything in the file.
        assert merged(file, "machine=cpu")["default"]["data"]["augmentation"]["noise"] is None
        below = write("defaults: [syn_vnc_cpu, machine: cpu, _self_]", "below.yaml")
        assert merged(below)["default"]["data"]["augmentation"]["noise"] is None

    def test_a_preset_that_is_typed_beats_what_the_file_says_itself(self, write):
        """As it does where it is typed beside the `config.yaml` of a run, which has no presets."""
        own = "model: {rsunet: {filters: [8, 16], stem: none, num_groups: 3}}"
        rsunet = merged(
            write(f"defaults: [syn_em_r50, machine: cpu, _self_]\n{own}"), "model/rsunet=demo"
        )["default"]["model"]["rsunet"]
        demo = merged(write("defaults: [model/rsunet: demo, _self_]", "demo.yaml"))["default"]
        assert rsunet == {**demo["model"]["rsunet"], "num_groups": 3}
        plain = merged(write(own, "plain.yaml"), "model/rsunet=demo")["default"]["model"]["rsunet"]
        assert plain == rsunet

    def test_a_preset_that_is_typed_beats_what_a_file_says_of_one_stage(self, write):
        stages = "train: {data: {augmentation: {noise: {prob: 0.1}, jitter: null}}}"
        file = write(f"defaults: [syn_em_r50, _self_]\n{stages}")
        levels = merged(file, "data/augmentation=light")
        assert levels["train"]["data"]["augmentation"] == {"noise": {}, "jitter": None}
        assert levels["default"]["data"]["augmentation"]["noise"]["prob"] == 0.3

    def test_a_preset_that_is_put_elsewhere_leaves_the_others_in_their_place(self, write):
        elsewhere = "data/augmentation@test.data.augmentation"
        own = "data: {augmentation: {noise: {prob: 0.1}}}"
        file = write(f"defaults: [syn_em_r50, {elsewhere}: strong, _self_]\n{own}")
        levels = merged(file, f"{elsewhere}=light")
        assert levels["default"]["data"]["augmentation"]["noise"]["prob"] == 0.1
        assert levels["test"]["data"]["augmentation"]["noise"]["prob"] == 0.3

    def test_a_config_in_a_folder_that_is_called_like_a_section_is_no_preset_of_it(self, write):
        write("# @package _global_\nmodel: {rsunet: {num_groups: 3}}", "data/base.yaml")
        file = write("defaults: [syn_em_r50, data/base, machine: cpu, _self_]")
        default = merged(file)["default"]
        assert default["data"]["dataloader"]["patch_size"] == [16, 96, 96]
        assert default["data"]["augmentation"]["noise"] is None


@pytest.mark.parametrize("name", ["it's", "a=b, c", "[x] {y} (z)", "back\\slash's", "a\\", "ä@:b"])
def test_a_clone_in_a_folder_of_any_name(write, tmp_path, monkeypatch, name: str):
    write("model: {out_channels: 6}", f"{name}/tutorials/theirs.yaml")
    monkeypatch.setattr(
        "connectomics.config.defaults_list.TUTORIALS", tmp_path / name / "tutorials"
    )
    default = merged(write("defaults: [theirs, _self_]"))["default"]
    assert default["model"]["out_channels"] == 6


def test_further_presets_come_after_the_own_folder_and_before_the_tutorials(write, tmp_path: Path):
    header = "# @package test.decoding\n"
    write(f"{header}steps: [theirs]", "run/tuning/decoding/tuned.yaml")
    file, folders = write("defaults: [syn_cremi, _self_]"), [tmp_path / "run" / "tuning"]

    def steps(file: Path, *choices: str) -> list[str]:
        layers = compose(file, choices, folders).layers
        return merge_layers(layers)["test"]["decoding"]["steps"]

    assert steps(file, "decoding=tuned") == ["theirs"]
    write("defaults: [syn_cremi, {decoding: tuned}, _self_]", "named.yaml")
    assert steps(Path("named.yaml")) == ["theirs"]
    write(f"{header}steps: [mine]", "decoding/tuned.yaml")
    assert steps(file, "decoding=tuned") == ["mine"]
    assert message(write("model: {}", "elsewhere/b.yaml"), "decoding=tuned") == (
        "command line: decoding=tuned: there are no presets 'decoding'.\n"
        "  --mode tune writes one into the run of a checkpoint; name that with --checkpoint."
    )


def test_a_preset_with_a_name_that_no_file_has(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text("model: {}")
    with pytest.raises(ConfigError, match="there are no presets 'tune'"):
        compose(file, ["tune=" + "x" * 5000])
