"""Masks of one bit per voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from connectomics.decoding import kernels
from connectomics.process.sections import map_sections


@dataclass(frozen=True)
class BitMask:
    """A mask of shape (Z, Y, X) in an eighth of the memory of a boolean array.

    Attributes:
        bits: (Z, Y, W) uint64, W = ceil(X / 64). Voxel x is bit x % 64 of word x // 64; the
            bits past X are 0.
        shape: (Z, Y, X).
    """

    bits: np.ndarray
    shape: tuple[int, int, int]

    @classmethod
    def empty(cls, shape: tuple[int, int, int]) -> BitMask:
        """A mask without any voxel set."""
        depth, height, width = shape
        return cls(np.zeros((depth, height, -(-width // 64)), np.uint64), shape)

    @classmethod
    def pack(cls, array: np.ndarray) -> BitMask:
        """The mask of the voxels of a boolean array (Z, Y, X) that are True."""
        depth, height, width = array.shape
        mask = cls.empty((depth, height, width))
        packed = np.packbits(array, axis=2, bitorder="little")
        mask.bits.view(np.uint8)[:, :, : packed.shape[2]] = packed
        return mask

    def unpack(self) -> np.ndarray:
        """The mask as a boolean array (Z, Y, X)."""
        octets = self.bits.view(np.uint8)
        return np.unpackbits(octets, axis=2, count=self.shape[2], bitorder="little").view(bool)

    def count(self) -> int:
        """How many voxels are set."""
        return int(np.bitwise_count(self.bits).sum())

    @property
    def rows(self) -> np.ndarray:
        """The bits as (Z * Y, W), sharing memory."""
        return self.bits.reshape(-1, self.bits.shape[2])


def dilate_in_plane(mask: BitMask, size: int) -> None:
    """Dilate each section of `mask` in place by a square.

    Args:
        mask: The mask, which is changed.
        size: Edge of the square, in voxels; 0 and 1 change nothing. An even square reaches one
            voxel further towards lower y and x than towards higher ones.
    """
    depth, height, width = mask.shape
    steps = min(max(0, int(size) - 1), 2 * max(height, width))  # more reach no further voxel
    after = steps // 2
    before = steps - after

    def dilate(begin: int, end: int) -> None:
        kernels.bits.dilate_bits(mask.bits[begin:end], width, before, after)

    map_sections(depth, dilate, area=height * width)
