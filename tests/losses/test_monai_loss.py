"""MONAI's losses by name."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from connectomics.errors import ConfigError
from connectomics.losses.monai import monai_classes
from connectomics.losses.monai_loss import MonaiLoss


def test_equals_monai_called_directly() -> None:
    from monai.losses.tversky import TverskyLoss

    torch.manual_seed(0)
    logits = torch.randn(2, 3, 2, 6, 6)
    target = (torch.rand(2, 3, 2, 6, 6) > 0.7).float()
    settings = {"sigmoid": True, "alpha": 0.3, "beta": 0.7}
    ours = MonaiLoss("TverskyLoss", settings)(logits, target)
    torch.testing.assert_close(ours, TverskyLoss(**settings)(logits, target))


def test_class_ids_become_channels() -> None:
    loss = MonaiLoss("DiceCELoss", {"softmax": True, "to_onehot_y": True})
    good = torch.tensor([9.0, -9.0, -9.0]).reshape(1, 3, 1, 1, 1).expand(1, 3, 2, 4, 4)
    assert float(loss(good, torch.zeros(1, 1, 2, 4, 4))) < float(
        loss(good, torch.ones(1, 1, 2, 4, 4))
    )


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("FocalLos", {}, "no such loss"),
        ("BendingEnergyLoss", {}, "no such loss"),  # looks at one array only
        ("DeepSupervisionLoss", {}, "no such loss"),  # wraps another loss
        ("TverskyLoss", {}, "works on probabilities"),
        ("DiceCELoss", {"sigmoid": True, "softmax": True}, "MONAI refuses the settings"),
    ],
)
def test_settings_that_cannot_work(name: str, settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        MonaiLoss(name, settings)


def test_a_mask_is_an_error_and_not_ignored() -> None:
    x = torch.zeros(1, 1, 1, 2, 2)
    with pytest.raises(ConfigError, match="take no weight"):
        MonaiLoss("FocalLoss", {})(x, x, x)


def test_several_numbers_are_an_error() -> None:
    x = torch.zeros(1, 1, 1, 2, 2)
    with pytest.raises(ConfigError, match="instead of one"):
        MonaiLoss("FocalLoss", {"reduction": "none"})(x, x)


def test_what_monai_refuses_names_the_loss_and_the_shapes() -> None:
    with pytest.raises(ConfigError, match=r"FocalLoss: refuses logits \(1, 2, 1, 2, 2\)"):
        MonaiLoss("FocalLoss", {})(torch.zeros(1, 2, 1, 2, 2), torch.zeros(1, 1, 1, 2, 2))


def test_names_are_those_of_losses_that_compare() -> None:
    names = set(monai_classes())
    assert {"FocalLoss", "TverskyLoss", "GeneralizedDiceLoss", "DiceCELoss"} <= names
    assert not {"DiffusionLoss", "MaskedLoss", "dice_ce", "Dice"} & names


def test_monai_is_imported_only_when_named() -> None:
    code = "import sys, connectomics.losses.build; print({'monai', 'torch'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
