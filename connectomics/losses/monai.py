"""What is known of MONAI's losses by their names and settings. MONAI takes seconds to import."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from connectomics.config.components import LossFacts

if TYPE_CHECKING:
    from torch import nn

MONAI_LOSSES = (
    *("AUCMLoss", "AsymmetricUnifiedFocalLoss", "BarlowTwinsLoss", "BoundaryLoss", "BoxGIoULoss"),
    *("ContrastiveLoss", "DiceCELoss", "DiceFocalLoss", "DiceLoss", "FocalLoss"),
    *("GeneralizedDiceFocalLoss", "GeneralizedDiceLoss", "GeneralizedWassersteinDiceLoss"),
    *("GlobalMutualInformationLoss", "HausdorffDTLoss", "JukeboxLoss"),
    *("LocalNormalizedCrossCorrelationLoss", "LogHausdorffDTLoss", "MCCLoss", "MaskedDiceLoss"),
    *("NACLLoss", "PerceptualLoss", "SSIMLoss", "SoftDiceclDiceLoss", "SoftclDiceLoss"),
    "TverskyLoss",
)
"""Those that are known here, to say what a misspelt name means; another MONAI may have others."""


def monai_facts(name: str, settings: Mapping[str, Any]) -> LossFacts:
    """What a loss of MONAI is with these settings; an activation that they do not say is unknown.

    >>> monai_facts("DiceCELoss", {"softmax": True, "to_onehot_y": True})
    LossFacts(activation='softmax', takes_class_ids=True, takes_weight=False)
    """
    activation = None
    if settings.get("softmax") or settings.get("use_softmax"):
        activation = "softmax"
    elif name == "FocalLoss" or settings.get("sigmoid"):
        activation = "sigmoid"
    return LossFacts(activation, bool(settings.get("to_onehot_y")), takes_weight=False)


def monai_classes() -> dict[str, type[nn.Module]]:
    """The losses of `monai.losses` that compare an input with a target, by name."""
    from monai import losses
    from torch import nn

    classes = vars(losses).values()
    modules = (c for c in classes if inspect.isclass(c) and issubclass(c, nn.Module))
    return {c.__name__: c for c in modules if _compares(c)}


def _compares(loss: type[nn.Module]) -> bool:
    """Whether it takes a prediction and a target, and wraps no other loss."""
    parameters = list(inspect.signature(loss.forward).parameters.values())[1:]
    needed = [p.name for p in parameters if p.default is p.empty]
    return len(needed) == 2 and "loss" not in inspect.signature(loss).parameters
