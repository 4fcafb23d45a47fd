"""Compiled loops that turn probabilities into bits, and that dilate bits.

A mask of shape (Z, Y, X) is kept as bits (Z, Y, W) uint64 with W = ceil(X / 64): voxel x is
bit x % 64 of word x // 64, and the bits past X are 0. Every kernel works on the sections it is
given and holds no lock, so threads share a volume by sections. `probabilities.py` and `runs.py`
call these loops; nothing else should.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload

from connectomics.compiling import compiled

ZERO, WORD = np.uint64(0), np.uint64(64)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


def ordered(value):
    """The value on a scale where `<` and `==` mean what they mean for probabilities.

    Halves come as the int16 of their bits, which are sign and magnitude; they are put in order,
    with both zeros equal. Every other type is its own scale.
    """
    raise TypeError("only compiled code calls this")


@overload(ordered)
def _ordered(value):
    if value == types.int16:
        return lambda value: value if value >= 0 else np.int16(-32768 - value)
    return lambda value: value


@compiled
def threshold_to_bits(channel, limit, low, high, bits):
    """Set the bit of every voxel > limit of `channel` (Z, Y, X) in `bits` (Z, Y, W).

    Returns:
        Whether every voxel lies in [low, high]; NaN does not.
    """
    depth, height, width = channel.shape
    full, legal = width // 64, True
    for z in range(depth):
        for y in range(height):
            row = channel[z, y]
            for w in range(full):
                base, above, good = w * 64, False, True
                # A first look that compilers turn into vector code; most words stay empty.
                for x in range(base, base + 64):
                    value = row[x]
                    above |= value > limit
                    good &= (ordered(value) >= low) & (ordered(value) <= high)
                legal &= good
                word = ZERO
                if above:
                    for i in range(64):
                        word |= np.uint64(row[base + i] > limit) << np.uint64(i)
                bits[z, y, w] = word
            for x in range(full * 64, width):
                value = row[x]
                legal &= (ordered(value) >= low) & (ordered(value) <= high)
                bits[z, y, full] |= np.uint64(value > limit) << np.uint64(x % 64)
    return legal


@compiled
def argmax_to_bits(channels, low, high, pre_bits, post_bits):
    """Set the bits of the voxels whose greatest channel is 1 (pre) or 2 (post).

    `channels` are background, pre and post, (Z, Y, X) each; the first wins ties.

    Returns:
        Whether every voxel of the three channels lies in [low, high]; NaN does not.
    """
    background, pre, post = channels
    depth, height, width = background.shape
    full, legal = width // 64, True
    for z in range(depth):
        for y in range(height):
            row0, row1, row2 = background[z, y], pre[z, y], post[z, y]
            for w in range(full):
                base, any_side, good = w * 64, False, True
                for x in range(base, base + 64):
                    p0, p1, p2 = ordered(row0[x]), ordered(row1[x]), ordered(row2[x])
                    any_side |= (p1 > p0) | (p2 > p0)
                    good &= (p0 >= low) & (p0 <= high) & (p1 >= low)
                    good &= (p1 <= high) & (p2 >= low) & (p2 <= high)
                legal &= good
                word1, word2 = ZERO, ZERO
                if any_side:
                    for i in range(64):
                        x = base + i
                        p0, p1, p2 = ordered(row0[x]), ordered(row1[x]), ordered(row2[x])
                        word1 |= np.uint64((p1 > p0) & (p1 >= p2)) << np.uint64(i)
                        word2 |= np.uint64((p2 > p0) & (p2 > p1)) << np.uint64(i)
                pre_bits[z, y, w], post_bits[z, y, w] = word1, word2
            for x in range(full * 64, width):
                p0, p1, p2 = ordered(row0[x]), ordered(row1[x]), ordered(row2[x])
                legal &= (p0 >= low) & (p0 <= high) & (p1 >= low)
                legal &= (p1 <= high) & (p2 >= low) & (p2 <= high)
                i = np.uint64(x % 64)
                pre_bits[z, y, full] |= np.uint64((p1 > p0) & (p1 >= p2)) << i
                post_bits[z, y, full] |= np.uint64((p2 > p0) & (p2 > p1)) << i
    return legal


@compiled
def dilate_bits(bits, width, before, after):
    """Dilate each section of `bits` in place by the square [-before, after] in y and x.

    A dilation by n steps is made of dilations by 1, 2, 4, ... steps, so its cost grows with
    log n; an empty row costs one look at its words.
    """
    depth, height, words = bits.shape
    last = ALL >> np.uint64(words * 64 - width)
    for z in range(depth):
        section = bits[z]
        for y in range(height):
            row = section[y]
            if row.any():
                widen_up(row, after)
                widen_down(row, before)
                row[words - 1] &= last
        done = 0
        while done < after:
            step = min(done + 1, after - done)
            for y in range(height - 1, step - 1, -1):
                for w in range(words):
                    section[y, w] |= section[y - step, w]
            done += step
        done = 0
        while done < before:
            step = min(done + 1, before - done)
            for y in range(height - step):
                for w in range(words):
                    section[y, w] |= section[y + step, w]
            done += step


@compiled
def widen_up(row, reach):
    """Spread every bit of a row over the `reach` voxels after it."""
    done = 0
    while done < reach:
        step = min(done + 1, reach - done)
        skip, shift = step // 64, np.uint64(step % 64)
        for w in range(row.size - 1, skip - 1, -1):
            moved = row[w - skip] << shift
            if shift > ZERO and w > skip:
                moved |= row[w - skip - 1] >> (WORD - shift)
            row[w] |= moved
        done += step


@compiled
def widen_down(row, reach):
    """Spread every bit of a row over the `reach` voxels before it."""
    done = 0
    while done < reach:
        step = min(done + 1, reach - done)
        skip, shift = step // 64, np.uint64(step % 64)
        for w in range(row.size - skip):
            moved = row[w + skip] >> shift
            if shift > ZERO and w + skip + 1 < row.size:
                moved |= row[w + skip + 1] << (WORD - shift)
            row[w] |= moved
        done += step
