"""Keyword arguments against signatures."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from connectomics.config.signatures import check_kwargs


def decode(
    volume: np.ndarray,
    size: tuple[int, int],
    *,
    thres: float = 0.5,
    count: int | None = None,
    mode: Literal["a", "b"] = "a",
    anything: Any = None,
    flag: bool = False,
    names: list[str] | None = None,
) -> None: ...


def faults(**kwargs: Any) -> list[str]:
    given = {"size": [1, 2], **kwargs}
    return [str(fault) for fault in check_kwargs("kwargs", decode, given, skip=("volume",))]


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"thres": 1, "count": 3, "mode": "b", "anything": {"x": [1]}, "flag": True},
        {"size": (1, 2), "thres": 1e-3, "count": None, "names": ["x"]},
    ],
)
def test_what_fits(kwargs: dict[str, Any]):
    assert faults(**kwargs) == []


@pytest.mark.parametrize(
    ("kwargs", "where", "problem"),
    [
        ({"tres": 1}, "kwargs.tres", "decode has no such setting."),
        ({"volume": 1}, "kwargs.volume", "decode has no such setting."),
        ({"thres": "0.5"}, "kwargs.thres", "'0.5' does not fit: Input should be a valid number."),
        ({"thres": True}, "kwargs.thres", "True does not fit: Input should be a valid number."),
        ({"count": 1.5}, "kwargs.count", "1.5 does not fit: Input should be a valid integer."),
        ({"flag": 1}, "kwargs.flag", "1 does not fit: Input should be a valid boolean."),
        ({"mode": "c"}, "kwargs.mode", "'c' does not fit: Input should be 'a' or 'b'."),
        ({"size": [1]}, "kwargs.size", "[1] does not fit: Field required."),
        ({"names": "x"}, "kwargs.names", "'x' does not fit: Input should be a valid array."),
    ],
)
def test_what_does_not_fit(kwargs: dict[str, Any], where: str, problem: str):
    (fault,) = faults(**kwargs)
    assert fault.startswith(f"{where}: {problem}")


def test_settings_are_listed():
    (fault,) = faults(zebra=1)
    assert fault.endswith("Settings: anything, count, flag, mode, names, size, thres.")


def test_what_is_missing():
    (fault,) = check_kwargs("kwargs", decode, {}, skip=("volume",))
    assert str(fault) == "kwargs: decode needs 'size'.\n  Add size: ..."


def test_a_function_that_takes_anything_gets_anything():
    def takes(*values: int, a: int = 0, **rest: Any) -> None: ...

    assert check_kwargs("kwargs", takes, {"zebra": 1}) == []
    assert [fault.where for fault in check_kwargs("kwargs", takes, {"a": "x"})] == ["kwargs.a"]


def test_classes_are_checked_by_their_constructor():
    class Flip:
        def __init__(self, prob: float = 0.5) -> None: ...

    assert check_kwargs("kwargs", Flip, {"prob": 0.1}) == []
    assert len(check_kwargs("kwargs", Flip, {"prob": [1]})) == 1


def test_annotations_that_cannot_be_read_are_not_checked():
    def takes(a: Nowhere = 0) -> None: ...  # noqa: F821  # pyright: ignore

    assert check_kwargs("kwargs", takes, {"a": "x"}) == []
