"""Networks compiled by PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import nn


def compile_network(network: nn.Module, once: Callable[[], object]) -> str:
    """Compile a network for the shape that it sees once, or leave it as it is where that fails.

    PyTorch keeps what it compiles in a folder of its own (`TORCHINDUCTOR_CACHE_DIR`), so that the
    same network is compiled in a few seconds the next time.

    Args:
        network: Changed in place: calling it runs what was compiled.
        once: Calls it, and what else is to be compiled with it.

    Returns:
        What to tell the user.
    """
    began = time.perf_counter()
    network.compile(fullgraph=True, dynamic=False)
    try:
        once()
    except Exception as error:  # of whatever compiler is missing or at fault
        network._compiled_call_impl = None  # pyright: ignore[reportAttributeAccessIssue]
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"the network is not compiled ({reason[:200]}); it runs as it is"
    return f"the network was compiled in {time.perf_counter() - began:.0f} s"
