"""What targets, losses and decoders make of channels, by name.

These are the facts that let sections be checked against each other when the file is read,
before anything that knows more (and takes seconds to import) is loaded. A name that is not
here is simply not checked; the tests hold every entry against the function itself.
"""

from __future__ import annotations

from typing import Literal

from connectomics.config.schema import LossTermSection, NamedSection

Activation = Literal["sigmoid", "softmax"]

SIGMOID_LOSSES = ("WeightedBCEWithLogitsLoss", "DiceLoss", "FocalLoss")
"""Losses that ask a yes-no question of every channel unless they are told otherwise."""

MONAI_LOSSES = (
    *("AUCMLoss", "AsymmetricUnifiedFocalLoss", "BarlowTwinsLoss", "BoundaryLoss", "BoxGIoULoss"),
    *("ContrastiveLoss", "DiceCELoss", "DiceFocalLoss", "DiceLoss", "FocalLoss"),
    *("GeneralizedDiceFocalLoss", "GeneralizedDiceLoss", "GeneralizedWassersteinDiceLoss"),
    *("GlobalMutualInformationLoss", "HausdorffDTLoss", "JukeboxLoss"),
    *("LocalNormalizedCrossCorrelationLoss", "LogHausdorffDTLoss", "MCCLoss", "MaskedDiceLoss"),
    *("NACLLoss", "PerceptualLoss", "SSIMLoss", "SoftDiceclDiceLoss", "SoftclDiceLoss"),
    "TverskyLoss",
)
"""Losses of MONAI that are known here; a version of MONAI may have others."""

MASKED_LOSSES = ("WeightedBCEWithLogitsLoss", "WeightedCE", "DiceLoss")
"""Losses that can leave masked voxels out."""

EXCLUSIVE_DECODERS = ("polarity2instance", "synapses")
"""Decoders told by `exclusive` that their channels are {background, pre, post}."""


def classes_of(target: NamedSection) -> tuple[int, ...] | None:
    """How many classes each channel of a target tells apart: 2 is yes or no.

    >>> classes_of(NamedSection(name="polarity"))
    (2, 2, 2)
    >>> classes_of(NamedSection(name="polarity", kwargs={"exclusive": True}))
    (3,)
    """
    if target.name == "polarity":
        return (3,) if target.kwargs.get("exclusive") else (2, 2, 2)
    return (2,) if target.name == "binary" else None


def activation_of(term: LossTermSection) -> Activation | None:
    """What turns the logits that a loss trains into probabilities; None if unknown.

    >>> activation_of(LossTermSection(function="DiceLoss", kwargs={"softmax": True}))
    'softmax'
    """
    if (
        term.function == "WeightedCE"
        or term.kwargs.get("softmax")
        or term.kwargs.get("use_softmax")
    ):
        return "softmax"
    if term.function in SIGMOID_LOSSES or term.kwargs.get("sigmoid"):
        return "sigmoid"
    return None


def takes_class_ids(term: LossTermSection) -> bool:
    """Whether a loss wants one target channel of class ids rather than one for each logit."""
    own = term.function in MASKED_LOSSES
    return bool(activation_of(term) == "softmax" if own else term.kwargs.get("to_onehot_y"))
