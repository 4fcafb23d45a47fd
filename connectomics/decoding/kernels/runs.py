"""Compiled loops over runs: finding, joining, counting, clearing and painting them.

A run is a maximal stretch of set voxels of one row; row z * Y + y of a mask has the runs
first[row] ... first[row + 1] - 1, in order, each covering start <= x < stop. Joining labels
runs instead of voxels: the work grows with the surface of the objects, not with the volume.
`runs.py` calls these loops; nothing else should.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from connectomics.compiling import compiled

ZERO, ONE, LAST = np.uint64(0), np.uint64(1), np.uint64(63)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


def _trailing_zeros(typing_context, word):
    """The position of the lowest set bit of a uint64 that is not 0: one machine instruction."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), code


trailing_zeros: Any = intrinsic(_trailing_zeros)


@compiled
def count_runs(bits, begin, end, first):
    """Write how many runs each row in [begin, end) of `bits` (rows, W) has to first[row + 1]."""
    words = bits.shape[1]
    for row in range(begin, end):
        runs, carry = 0, ZERO
        for w in range(words):
            word = bits[row, w]
            starts = word & ~((word << ONE) | carry)
            carry = word >> LAST
            while starts:
                starts &= starts - ONE
                runs += 1
        first[row + 1] = runs


@compiled
def fill_runs(bits, width, begin, end, runs):
    """Write the bounds of the runs of the rows in [begin, end) of `bits` (rows, W)."""
    words = bits.shape[1]
    for row in range(begin, end):
        k, inside, carry = runs.first[row], False, ZERO
        for w in range(words):
            word = bits[row, w]
            # A set bit of `edges` is a voxel that differs from the one before it.
            edges = word ^ ((word << ONE) | carry)
            carry = word >> LAST
            while edges:
                x = w * 64 + np.int64(trailing_zeros(edges))
                edges &= edges - ONE
                if inside:
                    runs.stop[k] = x
                    k += 1
                else:
                    runs.start[k] = x
                inside = not inside
        if inside:
            runs.stop[k] = width


@compiled
def root_of(parent, i):
    """The root of run i, halving the path to it on the way."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@compiled
def join_rows(runs, a, b, parent):
    """Join every run of row a with the runs of row b that share an x with it."""
    i, j = runs.first[a], runs.first[b]
    end_i, end_j = runs.first[a + 1], runs.first[b + 1]
    while i < end_i and j < end_j:
        if runs.start[i] < runs.stop[j] and runs.start[j] < runs.stop[i]:
            p, q = root_of(parent, i), root_of(parent, j)
            # The earlier run is the root, so components are numbered in scan order.
            if p < q:
                parent[q] = p
            elif q < p:
                parent[p] = q
        if runs.stop[i] < runs.stop[j]:
            i += 1
        else:
            j += 1


@compiled
def join_block(runs, height, begin, end, parent):
    """Join the runs of sections [begin, end) with one another."""
    for z in range(begin, end):
        for y in range(height):
            row = z * height + y
            if y > 0:
                join_rows(runs, row - 1, row, parent)
            if z > begin:
                join_rows(runs, row - height, row, parent)


@compiled
def join_sections(runs, height, z, parent):
    """Join the runs of section z with those of section z - 1."""
    for row in range(z * height, (z + 1) * height):
        join_rows(runs, row - height, row, parent)


@compiled
def number_components(parent):
    """Turn parents into component numbers 0, 1, ... in place; return how many there are."""
    count = 0
    for i in range(parent.size):
        # A parent comes before its child, so its number is already known.
        if parent[i] == i:
            parent[i] = count
            count += 1
        else:
            parent[i] = parent[parent[i]]
    return count


@compiled
def count_voxels(runs, component, sizes):
    """Add the voxels of each run to the size of its component."""
    for i in range(component.size):
        sizes[component[i]] += runs.stop[i] - runs.start[i]


@compiled
def clear_runs(bits, runs, component, keep, begin, end):
    """Clear the runs of rows [begin, end) of `bits` (rows, W) whose component is not kept."""
    for row in range(begin, end):
        for i in range(runs.first[row], runs.first[row + 1]):
            if keep[component[i]]:
                continue
            head, tail = runs.start[i], runs.stop[i] - 1
            for w in range(head // 64, tail // 64 + 1):
                mask = ALL
                if w == head // 64:
                    mask &= ALL << np.uint64(head % 64)
                if w == tail // 64:
                    mask &= ALL >> (LAST - np.uint64(tail % 64))
                bits[row, w] &= ~mask


@compiled
def find_owners(inner, outer, component, begin, end, owner):
    """For each inner run of rows [begin, end): the component of the outer run that holds it."""
    for row in range(begin, end):
        j, stop = outer.first[row], outer.first[row + 1]
        for i in range(inner.first[row], inner.first[row + 1]):
            while j < stop and outer.stop[j] <= inner.start[i]:
                j += 1
            held = j < stop and outer.start[j] <= inner.start[i] and inner.stop[i] <= outer.stop[j]
            owner[i] = component[j] if held else -1


@compiled
def paint_runs(labels, runs, component, values, begin, end):
    """Write values[component of the run] over the runs of rows [begin, end) of labels (rows, X)."""
    for row in range(begin, end):
        for i in range(runs.first[row], runs.first[row + 1]):
            if component[i] >= 0:
                labels[row, runs.start[i] : runs.stop[i]] = values[component[i]]
