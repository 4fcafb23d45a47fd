"""Lets tests import the command line, `from main import main`, without a process of its own.

While coverage is measured, every line of every library is traced with ours, which makes some
twice as slow and numba's compiler thrice. Here its trace is taken away from pytest itself, and
from long stretches of libraries that never come back to this project's code.
"""

from __future__ import annotations

import functools
import importlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connectomics.process.signals import STOPPING

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

IMPORTED = ("hydra", "hypothesis", "matplotlib.figure", "monai", "pytorch_lightning", "zarr")
CALLED = {
    "_pytest.assertion.rewrite": ["_rewrite_test"],
    "hydra._internal.config_loader_impl.ConfigLoaderImpl": [
        "compute_defaults_list",
        "load_configuration",
    ],
    "hydra.core.override_parser.overrides_parser.OverridesParser": ["parse_override"],
    "matplotlib.figure.Figure": ["savefig", "subplots", "tight_layout"],
    "pytorch_lightning.LightningModule": ["log", "log_dict"],
    "torch": ["load", "save"],
    "torch._ops.OpOverload": ["__call__"],
    "yaml": ["dump", "load", "safe_dump", "safe_load"],
}


TRACE: pytest.StashKey[Any] = pytest.StashKey()


def _between(before: Any, function: Callable, after: Any) -> Callable:
    """The function, run with one trace and left with another."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        sys.settrace(before)
        try:
            return function(*args, **kwargs)
        finally:
            sys.settrace(after)

    return run


def _unmeasured(function: Callable) -> Callable:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if (trace := sys.gettrace()) is None:
            return function(*args, **kwargs)
        return _between(None, function, trace)(*args, **kwargs)

    return run


def pytest_configure(config: pytest.Config) -> None:
    is_worker = hasattr(config, "workerinput")
    if sys.gettrace() is None or (config.getoption("numprocesses", None) and not is_worker):
        return
    load = _unmeasured(importlib.import_module)
    for name in IMPORTED:
        load(name)
    for place, methods in CALLED.items():
        module, _, last = place.rpartition(".")
        owner = getattr(load(module), last) if last[0].isupper() else load(place)
        for method in methods:
            setattr(owner, method, _unmeasured(getattr(owner, method)))
    _leave_compilation_unmeasured()
    _start_unmeasured_thread_of_zarr()


def _leave_compilation_unmeasured() -> None:
    from numba.core import event

    thread = threading.local()

    class Listener(event.Listener):
        def on_start(self, _: event.Event) -> None:
            kept = thread.__dict__.setdefault("kept", [])
            kept.append(sys.gettrace())
            sys.settrace(None)

        def on_end(self, _: event.Event) -> None:
            sys.settrace(thread.kept.pop())

    event.register("numba:compile", Listener())


def _start_unmeasured_thread_of_zarr() -> None:
    import zarr

    trace = threading.gettrace()
    threading.settrace(None)
    zarr.ones(1)
    threading.settrace(trace)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Of a test, its function and its fixtures are measured, and not how pytest runs them."""
    trace = sys.gettrace()
    if trace is None or not isinstance(item, pytest.Function):
        return (yield)
    item.stash[TRACE] = trace
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(trace)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Iterator[Any]:
    before = sys.gettrace()
    sys.settrace(request._pyfuncitem.stash.get(TRACE, before))
    try:
        return (yield)
    finally:
        sys.settrace(before)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[Any]:
    """Of a property, only the test itself is measured, and not how Hypothesis finds examples."""
    trace = pyfuncitem.stash.get(TRACE, None)
    if trace is None:
        return (yield)
    handle = getattr(pyfuncitem.obj, "hypothesis", None)
    owner, name = (handle, "inner_test") if handle else (pyfuncitem, "obj")
    function = getattr(owner, name)
    setattr(owner, name, _between(trace, function, None))
    try:
        return (yield)
    finally:
        setattr(owner, name, function)


@pytest.fixture(autouse=True)
def heeded_signals() -> Iterator[None]:
    """Signals that whoever started the tests had ignored (`nohup`, `&`) are heeded in them."""
    usual = dict.fromkeys(STOPPING, signal.SIG_DFL) | {signal.SIGINT: signal.default_int_handler}
    ignored = [number for number in usual if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, usual[number])
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
