"""From the config to a network and its loss."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from connectomics.config.schema import Config, ModelSection, RSUNetSection
from connectomics.errors import Fault
from connectomics.losses.build import LOSSES, build_loss
from connectomics.losses.cross_entropy import WeightedBCEWithLogitsLoss
from connectomics.losses.dice import DiceLoss
from connectomics.models import RSUNet, build_model
from connectomics.models.build import check_network
from connectomics.pipeline import components

TINY = {"filters": (4, 6), "down_factors": ((1, 2, 2),)}


def check_model(model: ModelSection) -> list[Fault]:
    return components.check_model(Config(model=model))


def section(*losses: dict[str, Any], channels: int = 3, **rsunet: Any) -> ModelSection:
    terms = losses or ({"function": "DiceLoss"},)
    return ModelSection.model_validate(
        {"out_channels": channels, "rsunet": {**TINY, **rsunet}, "loss": {"losses": terms}}
    )


def test_section_and_signature_hold_the_same_settings_and_defaults() -> None:
    parameters = inspect.signature(RSUNet).parameters
    assert set(RSUNetSection.model_fields) | {"in_channels", "out_channels"} == set(parameters)
    defaults = RSUNetSection()
    for name in RSUNetSection.model_fields:
        assert getattr(defaults, name) == parameters[name].default, name


def test_every_setting_reaches_the_network() -> None:
    network = build_model(section(stem="stride2", norm="group", num_groups=2, depth_2d=0))
    assert network(torch.zeros(1, 1, 2, 10, 12)).shape == (1, 3, 2, 10, 12)
    kinds = {type(module).__name__ for module in network.modules()}
    assert "SubvoxelHead" in kinds
    assert "GroupNorm" in kinds


def test_published_recipe_builds() -> None:
    loss = build_loss(
        section(
            {"function": "WeightedBCEWithLogitsLoss", "weight": 1.0, "pred_slice": "0:3"},
            {
                "function": "DiceLoss",
                "weight": 0.5,
                "kwargs": {"sigmoid": True, "smooth_nr": 1e-5, "smooth_dr": 1e-5},
                "pred_slice": "0:2",
                "target_slice": [0, 2],
            },
            {"function": "FocalLoss", "pred_slice": 2, "target_slice": 2},
        ).loss
    )
    logits = torch.randn(2, 3, 2, 4, 4)
    target = (logits > 0).float()
    total, terms = loss(logits, target)
    bce = WeightedBCEWithLogitsLoss()(logits, target)
    dice = DiceLoss()(logits[:, :2], target[:, :2])
    assert list(terms) == ["WeightedBCEWithLogitsLoss", "DiceLoss", "FocalLoss"]
    torch.testing.assert_close(total, bce + 0.5 * dice + terms["FocalLoss"])


def test_sound_section_has_no_faults() -> None:
    faults = check_model(
        section(
            {"function": "WeightedBCEWithLogitsLoss", "kwargs": {"pos_weight": "auto"}},
            {"function": "WeightedBCEWithLogitsLoss", "kwargs": {"pos_weight": [1, 2, 3]}},
            {"function": "WeightedCE", "kwargs": {"class_weights": [1, 10, 10]}},
            {"function": "DiceLoss", "kwargs": {"softmax": True}, "pred_slice": [0, 3]},
            {"function": "GeneralizedDiceLoss", "kwargs": {"softmax": True, "to_onehot_y": True}},
        )
    )
    assert faults == []


@pytest.mark.parametrize(
    ("term", "where", "text"),
    [
        (
            {"function": "WeightedBCEWithLogitLoss"},
            "function",
            "Did you mean 'WeightedBCEWithLogitsLoss'?",
        ),
        ({"function": "TverskyLos"}, "function", "Did you mean 'TverskyLoss'?"),
        (
            {"function": "WeightedBCEWithLogitsLoss", "kwargs": {"pos_weigth": 3}},
            "kwargs.pos_weigth",
            "Did you mean 'pos_weight'? Settings: pos_weight, reduction.",
        ),
        (
            {"function": "WeightedBCEWithLogitsLoss", "kwargs": {"reduction": "none"}},
            "kwargs.reduction",
            "'none' does not fit",
        ),
        ({"function": "FocalLoss", "kwargs": {"gama": 2}}, "kwargs.gama", "'gamma'"),
        ({"function": "FocalLoss", "kwargs": {"reduction": "none"}}, "kwargs", "instead of one"),
        ({"function": "DiceLoss", "kwargs": {"sigmoid": False}}, "kwargs", "both False"),
        (
            {"function": "WeightedCE", "kwargs": {"class_weights": [1, 2]}, "pred_slice": "0:3"},
            "kwargs",
            "2 numbers for 3 channels",
        ),
        ({"function": "DiceLoss", "pred_slice": "0:4"}, "pred_slice", "leaves the channels 0 to 2"),
        ({"function": "DiceLoss", "pred_slice": [2, 1]}, "pred_slice", "or is empty"),
        ({"function": "TverskyLoss"}, "kwargs", "Add sigmoid: true"),
    ],
)
def test_fault_in_a_term_has_its_place_and_remedy(
    term: dict[str, Any], where: str, text: str
) -> None:
    (fault,) = check_model(section({"function": "DiceLoss"}, term))
    assert fault.where == f"model.loss.losses[1].{where}"
    assert text in str(fault)


def test_faults_of_network_and_loss_are_reported_together() -> None:
    faults = check_model(
        section(
            {"function": "DiceLos"},
            {"function": "DiceLoss", "kwargs": {"smoth": 1}, "pred_slice": 7},
            kernel_2d=(1, 2, 2),
            down_factors=(),
        )
    )
    assert [fault.where for fault in faults] == [
        "model.rsunet.down_factors",
        "model.rsunet.kernel_2d",
        "model.loss.losses[0].function",
        "model.loss.losses[1].kwargs.smoth",
        "model.loss.losses[1].pred_slice",
    ]


def test_checking_draws_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the meta device PyTorch would import its compiler for it: a second and 70 MB."""

    def drawn(*_: Any, **__: Any) -> None:
        raise AssertionError("weights were drawn")

    monkeypatch.setattr(torch.Tensor, "normal_", drawn)
    assert check_network(ModelSection()) == []


def test_checking_leaves_the_random_state_alone() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    check_model(section())
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_may_stand_alone_in_the_yaml(name: str) -> None:
    loss = build_loss(section({"function": name}).loss)
    channels = 1 if name == "WeightedCE" else 3
    total, _ = loss(torch.zeros(1, 3, 1, 4, 4), torch.zeros(1, channels, 1, 4, 4))
    assert total.ndim == 0
