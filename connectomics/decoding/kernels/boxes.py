"""A compiled loop over boxes: joining those that lie near each other."""

from __future__ import annotations

from connectomics.compiling import compiled
from connectomics.decoding.kernels.runs import root_of


@compiled
def join_near(boxes, owner, reach, order, bounds, parent):
    """Join the owners of boxes that have at most `reach` voxels between them along each axis.

    Args:
        boxes: (L, 2, 3) int32, first voxel and one past the last.
        owner: (L,) int64.
        reach: (3,) int64.
        order: (E,) boxes, bin by bin; two boxes that lie near are in one bin at least.
        bounds: (N + 1,) where the bins start in `order`.
        parent: (K,) int64, the owners themselves; afterwards trees of owners that are joined.
    """
    for k in range(bounds.size - 1):
        for i in range(bounds[k], bounds[k + 1]):
            a = order[i]
            for j in range(i + 1, bounds[k + 1]):
                b = order[j]
                if owner[a] == owner[b]:
                    continue
                near = True
                for axis in range(3):
                    apart = boxes[b, 0, axis] - boxes[a, 1, axis]
                    apart = max(apart, boxes[a, 0, axis] - boxes[b, 1, axis])
                    near &= apart <= reach[axis]
                if near:
                    p, q = root_of(parent, owner[a]), root_of(parent, owner[b])
                    if p < q:
                        parent[q] = p
                    elif q < p:
                        parent[p] = q
    for k in range(parent.size):
        root = root_of(parent, k)
        parent[k] = root
