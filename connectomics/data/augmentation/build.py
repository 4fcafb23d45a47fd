"""From the `data.augmentation` section of a config to an `Augmenter`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectomics.config.signatures import check_kwargs
from connectomics.data.augmentation.augmenter import Augmenter
from connectomics.data.augmentation.defects import (
    CutNoise,
    MissingParts,
    MissingSection,
    MotionBlur,
    OutOfFocus,
)
from connectomics.data.augmentation.geometry import (
    Affine,
    Elastic,
    Flip,
    Misalignment,
    Rotate90,
    Transpose,
)
from connectomics.data.augmentation.intensity import Intensity, Noise
from connectomics.data.augmentation.interface import GeometricAugmentation, ImageAugmentation
from connectomics.data.augmentation.monai_transforms import MonaiTransform, monai_classes
from connectomics.errors import ConfigError, Fault, did_you_mean

Spec = Mapping[str, Mapping[str, Any] | None]

# The order of this table is the order of application, whatever the order in the config, where
# presets are merged. It follows how a picture comes about: how the tissue lies, how it deforms,
# how sections are stacked; then optics, detector and exposure, then damage.
AUGMENTATIONS: dict[str, type] = {
    "flip": Flip,
    "rotate90": Rotate90,
    "transpose": Transpose,
    "affine": Affine,
    "elastic": Elastic,
    "misalignment": Misalignment,
    "out_of_focus": OutOfFocus,
    "motion_blur": MotionBlur,
    "intensity": Intensity,
    "noise": Noise,
    "cut_noise": CutNoise,
    "missing_parts": MissingParts,
    "missing_section": MissingSection,
}


def build_augmentation(spec: Spec | None) -> Augmenter:
    """Build the augmentations that a config switches on.

    Args:
        spec: Settings by name; None, or `enabled: false` among them, switches one off. A name
            that is not in `AUGMENTATIONS` is a random transform of MONAI; those come last, in
            the order given.

    Raises:
        ConfigError: Every fault that `check_augmentation` finds.

    >>> augmenter = build_augmentation({"flip": {"prob": 1.0}, "affine": None})
    >>> augmenter.source_size((18, 256, 256))
    (18, 256, 256)
    >>> build_augmentation({"elastic": {"amplitude": 16.0}}).source_size((18, 256, 256))
    (18, 288, 288)
    """
    faults = check_augmentation(spec)
    if faults:
        raise ConfigError.of(faults)
    settings = {name: _settings(kwargs) for name, kwargs in (spec or {}).items() if _is_on(kwargs)}
    known = [_build(name, settings[name]) for name in AUGMENTATIONS if name in settings]
    return Augmenter(
        geometric=tuple(a for a in known if isinstance(a, GeometricAugmentation)),
        image=tuple(a for a in known if isinstance(a, ImageAugmentation)),
        monai=tuple(MonaiTransform(n, k) for n, k in settings.items() if n not in AUGMENTATIONS),
    )


def check_augmentation(spec: Spec | None, *, where: str = "data.augmentation") -> list[Fault]:
    """Find the names, settings and values that `build_augmentation` would not take.

    Args:
        spec: The section, as for `build_augmentation`.
        where: Its place in the config.

    >>> print(check_augmentation({"flip": {"prop": 0.5}})[0])
    data.augmentation.flip.prop: flip has no such setting.
      Did you mean 'prob'? Settings: axes, prob.
    """
    faults = []
    for name, kwargs in (spec or {}).items():
        faults += _check_one(f"{where}.{name}", name, kwargs)
    return faults


def _check_one(where: str, name: str, kwargs: object) -> list[Fault]:
    # Only a name in MONAI's style is worth the seconds that importing MONAI takes.
    known = monai_classes() if name.startswith("Rand") else AUGMENTATIONS
    if name not in known:
        also = " Or a transform of MONAI, Rand..." if known is AUGMENTATIONS else ""
        return [Fault(where, "no such augmentation.", did_you_mean(name, known) + also)]
    if kwargs is None:
        return []
    if not isinstance(kwargs, Mapping):
        remedy = "Write {} for its defaults, null to switch it off, or settings: {prob: 0.5}."
        return [Fault(where, f"{kwargs!r} are no settings.", remedy)]
    enabled = kwargs.get("enabled", True)
    if not isinstance(enabled, bool):
        return [Fault(f"{where}.enabled", f"{enabled!r} is not true or false.")]
    settings = _settings(kwargs)
    faults = check_kwargs(where, known[name], settings, called=name)
    return faults or _check_ranges(where, name, settings)


def _check_ranges(where: str, name: str, settings: Mapping[str, Any]) -> list[Fault]:
    try:
        _build(name, settings)
    except ConfigError as error:
        return [_placed(where, fault) for fault in error.faults]
    return []


def _placed(where: str, fault: Fault) -> Fault:
    """The fault of a class, which knows only its own name, at its place in the config."""
    _, dot, setting = fault.where.partition(".")
    return Fault(where + dot + setting, fault.problem, fault.remedy)


def _build(name: str, settings: Mapping[str, Any]) -> Any:
    if name in AUGMENTATIONS:
        return AUGMENTATIONS[name](**settings)
    return MonaiTransform(name, settings)


def _is_on(kwargs: Mapping[str, Any] | None) -> bool:
    return kwargs is not None and kwargs.get("enabled", True)


def _settings(kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (kwargs or {}).items() if name != "enabled"}
