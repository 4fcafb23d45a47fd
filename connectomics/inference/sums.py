"""Sections still being added to, and their hand-over when the windows move on along z."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import EllipsisType

from torch import Tensor

from connectomics.inference.blending import AxisWindows

NewSections = Callable[[int, int, int], Tensor]
"""Zeros (C, sections, Y, X) float32 from the number of channels, the first section and the last
but one."""


class Sums:
    """The weighted sums of the windows, in parts that begin where the windows along z do.

    When the windows move on, the first part is finished; so nothing has to be moved along.

    Args:
        axis: The windows along z.
        new: Makes a part.
    """

    def __init__(self, axis: AxisWindows, new: NewSections) -> None:
        self.axis = axis
        self.new = new
        self.borders = (*axis.starts, axis.starts[-1] + axis.size)
        self.parts: deque[Tensor] = deque()  # the first begins where the present windows do

    def reach(self, layer: int, channels: int) -> None:
        """Begin the parts that the windows of a layer touch and none before them did."""
        stop = self.axis.starts[layer] + self.axis.size
        while self.borders[n := layer + len(self.parts)] < stop:
            self.parts.append(self.new(channels, *self.borders[n : n + 2]))

    def add(self, window: Tensor, weight: Tensor, place: tuple[EllipsisType | slice, ...]) -> None:
        """Add a window (C, z, y, x), times its weight (z, y, x), at a place in the plane."""
        first = 0
        for part in self.parts:
            last = min(first + part.shape[1], self.axis.size)
            sections = part[:, : last - first]
            sections[place].addcmul_(window[:, first:last], weight[first:last])
            first = last

    def finished(self) -> Tensor:
        """Hand over the first part; no window to come touches it."""
        return self.parts.popleft()
