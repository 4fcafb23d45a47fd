"""Sections held against each other."""

from __future__ import annotations

from typing import Any

import pytest

from connectomics.config.checks import SECTIONS_READ, check_mode, check_sections
from connectomics.config.derived import derive
from connectomics.config.dotted import parse_path
from connectomics.config.merging import merge
from connectomics.config.schema import Config
from connectomics.config.schema_keys import keys_at
from connectomics.pipeline.components import KNOWN

BCE = {"function": "WeightedBCEWithLogitsLoss"}
CE = {"function": "WeightedCE"}
DICE = {"function": "DiceLoss"}
EXCLUSIVE = {"data": {"label_transform": {"targets": [
    {"name": "polarity", "kwargs": {"exclusive": True}}]}}}  # fmt: skip
POLARITY = {"data": {"label_transform": {"targets": ["polarity"]}}}
THREE = {"model": {"out_channels": 3, "loss": {"losses": [BCE, DICE]}}}
FILES = {"image": "raw.h5", "label": "syn.h5"}


def config_of(*trees: dict[str, Any]) -> Config:
    whole: dict[str, Any] = {}
    for tree in trees:
        whole = merge(whole, tree)
    return derive(Config.model_validate(whole), KNOWN)


def faults(*trees: dict[str, Any]) -> list[str]:
    return [str(fault) for fault in check_sections(config_of(*trees), KNOWN)]


def losses(*terms: dict[str, Any], channels: int = 3) -> dict[str, Any]:
    return {"model": {"out_channels": channels, "loss": {"losses": list(terms)}}}


def activations(*pairs: tuple[Any, str]) -> dict[str, Any]:
    items = [{"channels": channels, "activation": name} for channels, name in pairs]
    return {"inference": {"model": {"channel_activations": items}}}


def decoder(name: str, **kwargs: Any) -> dict[str, Any]:
    return {"decoding": {"steps": [{"name": name, "kwargs": kwargs}]}}


@pytest.mark.parametrize(
    "trees",
    [
        [{}],
        [THREE, POLARITY, decoder("polarity2instance")],
        [THREE, POLARITY, decoder("polarity2instance", exclusive=False)],
        [losses(CE), EXCLUSIVE, decoder("polarity2instance")],
        [losses(CE, {**DICE, "kwargs": {"softmax": True}}), EXCLUSIVE],
        [losses(CE, channels=2)],
        [losses({"function": "DiceCELoss", "kwargs": {"softmax": True, "to_onehot_y": True}}),
         EXCLUSIVE],
        [losses({**BCE, "pred_slice": "0:2", "target_slice": "0:2"},
                {**BCE, "pred_slice": 2, "target_slice": 2}), POLARITY],
        [losses({"function": "TverskyLoss", "kwargs": {"sigmoid": True}}), POLARITY],
        [THREE, POLARITY, activations(("0:2", "sigmoid"), (2, "sigmoid"))],
        [losses({"function": "Mystery"}), POLARITY, activations(("0:3", "sigmoid"))],
        [losses(BCE, channels=5), {"data": {"label_transform": {"targets": ["unknown"]}}}],
        [losses(BCE, channels=4), {"data": {"label_transform": {"targets": [
            "polarity", "binary"]}}}],
    ],
)  # fmt: skip
def test_what_fits(trees: list[dict[str, Any]]):
    assert faults(*trees) == []


def test_network_wider_than_target():
    assert faults(THREE) == [
        f"model.loss.losses[{i}]: {name} compares 3 channels of the network with 1 channel of the "
        "target.\n  Let model.out_channels agree with data.label_transform.targets, or pick "
        "channels by pred_slice and target_slice."
        for i, name in enumerate(["WeightedBCEWithLogitsLoss", "DiceLoss"])
    ]


@pytest.mark.parametrize(
    ("trees", "where", "problem"),
    [
        ([losses({**BCE, "pred_slice": "2:5"}, BCE), POLARITY], "model.loss.losses[0].pred_slice",
         "'2:5' is no range of the 3 channels of the network."),
        ([losses({**BCE, "target_slice": 3}), POLARITY], "model.loss.losses[0].target_slice",
         "3 is no range of the 3 channels of data.label_transform.targets."),
        ([losses({**BCE, "pred_slice": "0:2", "target_slice": "0:2"}), POLARITY],
         "model.loss.losses", "no loss trains channel 2 of the network's 3."),
        ([losses({**BCE, "pred_slice": 1, "target_slice": 0}), POLARITY],
         "model.loss.losses", "no loss trains channels 0, 2 of the network's 3."),
        ([losses(CE), POLARITY], "model.loss.losses[0]",
         "WeightedCE learns classes that exclude each other from one channel of class ids, and "
         "its target has 3 channels."),
        ([losses(CE, channels=2), EXCLUSIVE], "model.loss.losses[0]",
         "WeightedCE tells 2 classes apart, and its target holds 3."),
        ([losses(CE)], "model.loss.losses[0]",
         "WeightedCE tells 3 classes apart, and its target holds 2."),
        ([losses(BCE, channels=1), EXCLUSIVE], "model.loss.losses[0]",
         "WeightedBCEWithLogitsLoss learns yes or no, and its target holds 3 class ids."),
        ([losses(BCE, CE, channels=2), {"data": {"label_transform": {"targets": ["polarity"]}}}],
         "model.loss.losses", "one loss wants sigmoid on channels 0:1, another softmax on "
         "channels 0:2."),
        ([losses({"function": "monai.losses.Dice"}), POLARITY], "model.loss.losses[0].function",
         "there is no loss 'monai.losses.Dice'."),
        ([losses({"function": "Mystery"}), POLARITY], "inference.model.channel_activations",
         "does not follow from Mystery."),
        ([THREE, POLARITY, activations((0, "sigmoid"))], "inference.model.channel_activations",
         "leaves out channels 1, 2 of 3: a decoder would get raw logits."),
        ([THREE, POLARITY, activations(("0:3", "sigmoid"), (1, "sigmoid"))],
         "inference.model.channel_activations", "names channel 1 twice."),
        ([THREE, POLARITY, activations(("0:4", "sigmoid"))],
         "inference.model.channel_activations[0].channels",
         "'0:4' is no range of the 3 channels of the network."),
        ([THREE, POLARITY, activations(("0:3", "softmax"))],
         "inference.model.channel_activations[0].activation",
         "softmax on channels 0:3 is given, and the losses train sigmoid on channels 0:3."),
        ([losses(CE), EXCLUSIVE, activations(("0:3", "sigmoid"))],
         "inference.model.channel_activations[0].activation",
         "sigmoid on channels 0:3 is given, and the losses train softmax on channels 0:3."),
        ([THREE, POLARITY, activations(("0:3", "none")), decoder("polarity2instance")],
         "inference.model.channel_activations",
         "'none' leaves logits, and polarity2instance reads probabilities."),
        ([THREE, POLARITY, decoder("polarity2instance", exclusive=True)],
         "decoding.steps[0].kwargs.exclusive",
         "is true, and the network's channels are three sigmoids, not one softmax."),
        ([losses(CE), EXCLUSIVE, decoder("polarity2instance", exclusive=False)],
         "decoding.steps[0].kwargs.exclusive",
         "is false, and the network's channels are one softmax over three classes."),
        ([{"evaluation": {"metrics": ["polarity"]}}], "evaluation.metrics",
         "metrics compare labels, and decoding.steps makes none."),
        ([{"data": {"train": {}}}], "data.train", "has neither image nor phantom."),
        ([{"data": {"val": {"image": "a.h5", "phantom": {}}}}], "data.val",
         "has image and phantom."),
        ([{"data": {"test": {"image": ["a.h5", "b.h5"], "label": "c.h5"}}}], "data.test.label",
         "names 1 files for 2 images."),
        ([{"data": {"test": {"phantom": {}, "mask": "c.h5"}}}], "data.test.mask",
         "is given without an image."),
        ([{"data": {"test": {"image": "a.h5", "z_range": [5, 5]}}}], "data.test.z_range",
         "[5, 5] holds no voxel."),
        ([{"data": {"val": {"image": "a.h5", "x_range": [5, 4]}}}], "data.val.x_range",
         "[5, 4] holds no voxel."),
        ([{"data": {"train": {**FILES, "mask": "m.h5"}}}, losses({"function": "TverskyLoss",
          "kwargs": {"sigmoid": True}}, channels=1)], "data.train.mask",
         "voxels cannot be left out of TverskyLoss."),
        ([{"data": {"image_transform": {"clip_percentile_low": 0.9, "clip_percentile_high": 0.1}}}],
         "data.image_transform.clip_percentile_low",
         "0.9 is not below clip_percentile_high, 0.1."),
        ([{"data": {"dataloader": {"patch_size": [2, 3, 4], "reject_sampling": {
            "size_thres": 25}}}}], "data.dataloader.reject_sampling.size_thres",
         "asks for 25 labelled voxels, and a patch has 24."),
        ([{"optimization": {"scheduler": {"min_lr": 1.0}}}], "optimization.scheduler.min_lr",
         "1.0 is above optimizer.lr, 0.001."),
        ([{"optimization": {"max_steps": 5, "scheduler": {"warmup_steps": 5}}}],
         "optimization.scheduler.warmup_steps",
         "5 steps of warm-up leave none of max_steps, 5."),
        ([{"monitor": {"checkpoint": {"monitor": "val_los"}}}], "monitor.checkpoint.monitor",
         "training logs no 'val_los'."),
        ([{"monitor": {"checkpoint": {"monitor": "val_dice"}}}], "monitor.checkpoint.mode",
         "val_dice is better the other way."),
        ([{"monitor": {"early_stopping": {"enabled": True, "mode": "max"}}}],
         "monitor.early_stopping.mode", "val_loss is better the other way."),
    ],
)  # fmt: skip
def test_what_does_not_fit(trees: list[dict[str, Any]], where: str, problem: str):
    found = {fault.where: fault for fault in check_sections(config_of(*trees), KNOWN)}
    assert found[where].problem == problem
    assert found[where].remedy


def test_monitoring_that_is_off_is_not_checked():
    assert faults({"monitor": {"early_stopping": {"enabled": False, "monitor": "nonsense"}}}) == []


def test_the_published_trap_is_a_fault():
    """Three channels, one activated: raw logits would reach the decoder, which finds nothing."""
    (fault,) = faults(
        THREE, POLARITY, decoder("polarity2instance"), activations(("0:1", "sigmoid"))
    )
    assert fault == (
        "inference.model.channel_activations: leaves out channels 1, 2 of 3: a decoder would get "
        "raw logits.\n  Leave channel_activations out, and they follow from the losses."
    )


@pytest.mark.parametrize(
    "lost", ["model", "model.out_channels", "model.loss.losses", "data.label_transform.targets"]
)
def test_what_was_lost_is_not_held_against_the_rest(lost: str):
    config = config_of(THREE)
    assert list(check_sections(config, KNOWN)) != []
    assert list(check_sections(config, KNOWN, lost=[parse_path(lost)])) == []


@pytest.mark.parametrize(
    ("split", "keys", "message"),
    [
        ("test", {"image": ["a.h5", "b.h5"], "neurons": "n.h5"},
         "data.test.neurons: names 1 files for 2 images."),
        ("test", {"image": "a.h5", "annotations": ["a.hdf", "b.hdf"]},
         "data.test.annotations: names 2 files for 1 images."),
        ("test", {"phantom": {}, "neurons": "n.h5"},
         "data.test.neurons: is given without an image.\n"
         "  A phantom has its own: phantom: {neurons: true}."),
        ("test", {"phantom": {}, "annotations": "a.hdf"},
         "data.test.annotations: is given without an image.\n  Name the image too:"),
        ("train", {"label": "b.h5"},
         "data.train.label: is given without an image.\n  Name the image too:"),
        ("train", {"image": "a.h5", "annotations": "a.hdf"},
         "data.train.annotations: is not read: only scores of test volumes compare"),
    ],
)  # fmt: skip
def test_neurons_and_annotations(split: str, keys: dict[str, Any], message: str):
    (fault,) = faults({"data": {split: keys}})
    assert fault.startswith(message)


def test_what_checks_say_they_read_exists():
    for paths in SECTIONS_READ.values():
        for path in paths:
            *above, last = parse_path(path)
            assert last in keys_at(tuple(above)), path


class TestModes:
    def faults(self, mode: str, *trees: dict[str, Any]) -> list[str]:
        return [fault.where for fault in check_mode(config_of(*trees), mode)]

    @pytest.mark.parametrize("mode", ["train", "infer", "decode", "evaluate", "test", "tune"])
    def test_a_complete_config(self, mode: str):
        data = {"data": {"train": FILES, "test": FILES}}
        assert self.faults(mode, data, decoder("binary2instance")) == []

    @pytest.mark.parametrize(
        ("mode", "where"),
        [("train", "data.train"), *((m, "data.test") for m in ("infer", "evaluate"))],
    )
    def test_the_volumes_of_a_mode(self, mode: str, where: str):
        assert self.faults(mode) == [where]

    def test_decoding_works_on_saved_probabilities(self):
        assert self.faults("decode", decoder("binary2instance")) == []

    def test_training_needs_labels(self):
        data = {"data": {"train": {"image": "a.h5"}, "val": {"image": "a.h5"}}}
        assert self.faults("train", data) == ["data.train.label", "data.val.label"]

    def test_a_phantom_has_labels(self):
        assert self.faults("train", {"data": {"train": {"phantom": {}}}}) == []

    @pytest.mark.parametrize(
        ("mode", "enabled", "wrong"),
        [("test", True, True), ("test", False, False), ("evaluate", False, True),
         ("infer", True, False)],
    )  # fmt: skip
    def test_scores_need_labels(self, mode: str, enabled: bool, wrong: bool):
        data = {"data": {"test": {"image": "a.h5"}}, "evaluation": {"enabled": enabled}}
        expected = ["data.test.label"] if wrong else []
        assert self.faults(mode, data, decoder("binary2instance")) == expected

    @pytest.mark.parametrize("mode", ["decode", "test", "tune"])
    def test_decoding_needs_a_decoder(self, mode: str):
        assert self.faults(mode, {"data": {"test": FILES}}) == ["decoding.steps"]
