"""How many bytes of tensors live at once while a network computes, found without computing.

A network runs on stand-ins (PyTorch's fake tensors), which have shape, dtype and device, and no
numbers. What every operation allocates, and what autograd keeps for the way back, is counted as
it comes and goes. Not counted is what an operation needs for itself meanwhile.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

Network = Callable[[Tensor], Any]

SCRATCH = 2**26
"""Bytes that kernels need for themselves however small a network is."""

COMPILED = 0.4
"""The share of features that a compiled network keeps at least: others are computed anew."""

CERTAIN = 0.9
"""The share of what was counted that no kernel saves; less where a network is compiled."""


class Live(NamedTuple):
    """Bytes of tensors.

    Attributes:
        peak: At most at once.
        largest: Of the largest one alone.
        on_gpu: Whether they lie on a GPU.
    """

    peak: int
    largest: int
    on_gpu: bool = False

    @property
    def with_scratch(self) -> int:
        """The peak with what kernels need for themselves; a guess, see `docs/memory.md`."""
        return self.peak + (2 if self.on_gpu else 4) * self.largest + SCRATCH


def live_bytes(network: nn.Module, run: Callable[[Network], object], device: torch.device) -> Live:
    """Count the bytes that a network and its way of use have alive at most.

    Args:
        network: Its weights and buffers are not counted; their gradients are.
        run: What is done with it, such as forward and back. What it makes of tensors meanwhile
            is counted, its input included.
        device: Where that is done. Only its kernels' dtypes matter: nothing is allocated there.

    >>> linear = nn.Linear(256, 256, bias=False)
    >>> live_bytes(linear, lambda network: network(torch.zeros(4, 256)), torch.device("cpu")).peak
    8192
    """
    with FakeTensorMode(), torch.device(device):
        state = {name: _stand_in(tensor) for name, tensor in _tensors(network)}
        with _Counted(state.values()) as counted, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they come again, with numbers
            run(lambda x: functional_call(network, state, (x,)))
    return Live(counted.peak, counted.largest, on_gpu=device.type != "cpu")


def nbytes(network: nn.Module) -> int:
    """Bytes of weights and buffers."""
    return sum(tensor.nbytes for _, tensor in _tensors(network))


def _tensors(network: nn.Module) -> list[tuple[str, Tensor]]:
    return [*network.named_parameters(), *network.named_buffers()]


def _stand_in(tensor: Tensor) -> Tensor:
    learned = tensor.requires_grad
    return torch.empty_strided(
        tensor.shape, tensor.stride(), dtype=tensor.dtype, requires_grad=learned
    )


class _Counted(TorchDispatchMode):
    """Counts the storages that operations make, for as long as they live."""

    def __init__(self, given: Iterable[Tensor]) -> None:
        super().__init__()
        self.alive = self.peak = self.largest = 0
        self._known = {tensor.untyped_storage()._cdata for tensor in given}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.mkldnn_convolution.default:  # which knows no stand-ins
            x, weight, bias, padding, stride, dilation, groups = args
            func = torch.ops.aten.convolution.default
            args = (x, weight, bias, stride, padding, dilation, False, [0, 0, 0], groups)
        result = func(*args, **(kwargs or {}))
        for leaf in result if isinstance(result, tuple | list) else (result,):
            if isinstance(leaf, FakeTensor):
                self._see(leaf.untyped_storage())
        self.peak = max(self.peak, self.alive)
        return result

    def _see(self, storage: torch.UntypedStorage) -> None:
        """Count a storage that is new."""
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known.add(key)
        self.alive += size
        self.largest = max(self.largest, size)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.alive -= size
