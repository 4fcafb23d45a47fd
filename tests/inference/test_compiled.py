from __future__ import annotations

import numpy as np
import torch

from connectomics.inference.compiled import WORTHWHILE_WINDOWS, compiled, compiles
from connectomics.inference.predict import in_one, predict_slabs
from connectomics.inference.windows import Sliding


class Recording(torch.nn.Module):
    """Gives the image, and remembers how many windows came at a time."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.seen = []

    def forward(self, inputs):
        self.seen.append(len(inputs))
        return inputs * self.weight


def test_a_large_volume_on_a_gpu_is_worth_compiling_for_and_others_are_not():
    sliding = Sliding((4, 8, 8), overlap=0.5, device="cuda")
    side = 4 * (4 + round(WORTHWHILE_WINDOWS ** (1 / 3)))
    assert compiles("auto", (side // 2, side, side), sliding)
    assert not compiles("auto", (8, 64, 64), sliding)
    assert not compiles("auto", (side, side, side), Sliding((4, 8, 8), device="cpu"))
    assert compiles(True, (8, 8, 8), Sliding((4, 8, 8), device="cpu"))
    assert not compiles(False, (side, side, side), sliding)


def test_a_compiled_network_sees_whole_batches_alone_and_gives_the_same(monkeypatch, capsys):
    network, sliding = Recording(), Sliding((2, 4, 4), overlap=0.5, batch_size=4, flip_axes=[[2]])
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: None)
    quick, whole = compiled(network, sliding)
    assert "infer: the network was compiled in" in capsys.readouterr().err
    network.seen.clear()
    image = np.random.default_rng(0).random((3, 7, 9), np.float32)
    found = in_one(predict_slabs(quick, lambda a, b: image[a:b], image.shape, whole), image.shape)
    assert set(network.seen) == {4}
    np.testing.assert_allclose(found[0], image, rtol=1e-5)


def test_what_cannot_be_compiled_runs_as_it_is(monkeypatch, capsys):
    def refuse(self, **_):
        self._compiled_call_impl = lambda *_: (_ for _ in ()).throw(RuntimeError("no compiler"))

    monkeypatch.setattr(torch.nn.Module, "compile", refuse)
    quick, _ = compiled(Recording(), Sliding((2, 4, 4), batch_size=2))
    assert "not compiled (no compiler); it runs as it is" in capsys.readouterr().err
    assert quick(torch.ones(1, 1, 2, 4, 4)).sum() == 32
