from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from connectomics.inference import windows
from connectomics.inference.blending import AxisWindows
from connectomics.inference.sums import Sums


def test_a_part_is_handed_over_when_the_windows_have_moved_on():
    made = []

    def new(channels, first, stop):
        made.append((first, stop))
        return torch.zeros(channels, stop - first, 1, 1)

    axis = AxisWindows(4, (0, 3, 5), np.ones((3, 4), np.float32))  # steps of 3 and 2
    sums, weight = Sums(axis, new), torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None]
    handed_over = []
    for layer in range(3):
        sums.reach(layer, 1)
        sums.add(torch.full((1, 4, 1, 1), 10.0**layer), weight, np.s_[...,])
        handed_over.append(sums.finished().flatten().tolist())
    assert made == [(0, 3), (3, 5), (5, 9)]
    assert handed_over == [[1, 2, 3], [4 + 10, 20], [30 + 100, 40 + 200, 300, 400]]
    assert not sums.parts


def test_a_window_is_added_at_its_place_in_the_plane():
    axis = AxisWindows(1, (0,), np.ones((1, 1), np.float32))
    sums = Sums(axis, lambda channels, first, stop: torch.zeros(channels, stop - first, 2, 3))
    sums.reach(0, 2)
    window = torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)
    sums.add(window, torch.tensor(5.0).view(1, 1, 1), np.s_[..., 1:2, 0:1])
    expected = [[[0, 0, 0], [5, 0, 0]], [[0, 0, 0], [10, 0, 0]]]
    assert sums.finished()[:, 0].tolist() == expected


@pytest.mark.parametrize(
    ("free", "on", "said"), [(3 * 2**30, "cuda", 0), (3 * 2**30 - 1, "cpu", 1)]
)
def test_sums_that_do_not_fit_on_the_gpu_are_added_up_elsewhere_and_it_is_said(
    monkeypatch, caplog, free, on, said
):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 80 * 2**30))
    with caplog.at_level(logging.INFO):
        assert windows._with_room(torch.device("cuda"), 2**30).type == on
    assert len(caplog.messages) == said
    assert all("sums of a slab (1.0 GiB) do not fit on the GPU" in text for text in caplog.messages)
    assert windows._with_room(torch.device("cpu"), 2**40).type == "cpu"
