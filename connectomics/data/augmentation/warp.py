"""Geometry as data: steps from a patch back to its source, composed and resampled once.

A step says where the voxels of its output come from. Sections stay sections: a step may
reorder whole sections and moves points within them, in `(y, x)` pixels from the patch centre.
A chain of steps is followed backwards, from the last to the first, for every output voxel;
only then is the source read, so however many transforms were drawn, the image is interpolated
once and labels are looked up once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Size3 = tuple[int, int, int]


@dataclass(frozen=True)
class SectionAffine:
    """An affine map of each section and a reordering of the sections.

    Attributes:
        sections: `(Z,)` integers: output section z is input section `sections[z]`.
        matrix: `(Z, 2, 2)`: the in-plane point p of output section z is the input point
            `matrix[z] @ p + offset[z]`.
        offset: `(Z, 2)` px.
    """

    sections: np.ndarray
    matrix: np.ndarray
    offset: np.ndarray

    @classmethod
    def of(
        cls,
        depth: int,
        *,
        sections: np.ndarray | None = None,
        matrix: np.ndarray | None = None,
        offset: np.ndarray | None = None,
    ) -> SectionAffine:
        """Make a step of `depth` sections; what is not given stays as it is.

        `matrix` may be one for all sections, `(2, 2)`, and so may `offset`, `(2,)`.
        """
        return cls(
            np.arange(depth) if sections is None else np.asarray(sections),
            np.zeros((depth, 2, 2)) + (np.eye(2) if matrix is None else matrix),
            np.zeros((depth, 2)) + (0 if offset is None else offset),
        )

    def then(self, following: SectionAffine) -> SectionAffine:
        """The one step that does this and then `following`."""
        via = following.sections
        offset = np.einsum("zij,zj->zi", self.matrix[via], following.offset) + self.offset[via]
        return SectionAffine(self.sections[via], self.matrix[via] @ following.matrix, offset)

    def is_exact(self) -> bool:
        """Whether every pixel lands on a pixel: flips, quarter turns, whole-pixel shifts."""
        whole = np.isin(self.matrix, (-1, 0, 1)).all() and (self.offset % 1 == 0).all()
        return bool(whole and (np.abs(self.matrix).sum(axis=2) == 1).all())


@dataclass(frozen=True)
class Displacement:
    """A smooth in-plane displacement: one cubic B-spline field per section.

    Attributes:
        control: `(Z, gridY, gridX, 2)` float32: how far, in px, the surrounding of each control
            point is displaced. The field nowhere exceeds the largest of them.
        spacing: Pixels between control points.
        origin: Where control point (1, 1) stands, `(y, x)` px from the patch centre.
    """

    control: np.ndarray
    spacing: float
    origin: tuple[float, float]


Step = SectionAffine | Displacement


def compose_geometry(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Merge neighbouring affine steps, so that each point passes as few as possible.

    >>> turn = SectionAffine.of(1, matrix=np.array([[0, 1], [-1, 0]]))
    >>> (half_turn,) = compose_geometry([turn, turn])
    >>> half_turn.matrix[0].tolist()
    [[-1.0, 0.0], [0.0, -1.0]]
    """
    chain: list[Step] = []
    for step in steps:
        before = chain[-1] if chain else None
        if isinstance(before, SectionAffine) and isinstance(step, SectionAffine):
            chain[-1] = before.then(step)
        else:
            chain.append(step)
    return tuple(chain)


@dataclass(frozen=True)
class Origins:
    """Where the voxels of a patch come from; made by `trace`.

    Attributes:
        patch_size: `(z, y, x)` voxels.
        sections: `(Z,)` source section of each section, counted from the start of the patch.
        points: `(Z, rows, cols, 2)` float32 source points of every `step`-th pixel, and of the
            last, `(y, x)` px from the patch centre; linear between them.
        step: Pixels between points.
        exact: Steps that only flip, turn by 90° or shift by whole pixels, as one; else None.
    """

    patch_size: Size3
    sections: np.ndarray
    points: np.ndarray
    step: int
    exact: SectionAffine | None

    def reach(self) -> tuple[Size3, Size3]:
        """The box of the source that is looked at, counted from the start of the patch.

        Returns:
            First voxel, and one past the last, `(z, y, x)` each.
        """
        centre = _in_plane_centre(self.patch_size, (0, 0, 0))
        low = np.floor(self.points.min(axis=(0, 1, 2)) + centre + 1e-3).astype(int)
        high = np.floor(self.points.max(axis=(0, 1, 2)) + centre - 1e-3).astype(int) + 2
        first, last = int(self.sections.min()), int(self.sections.max())
        return (first, int(low[0]), int(low[1])), (last + 1, int(high[0]), int(high[1]))

    def read(
        self, image: np.ndarray, *labels: np.ndarray, patch_start: Size3
    ) -> tuple[np.ndarray, ...]:
        """Read image and labels there, in one pass; see `resample`."""
        if self.exact is not None:
            arrays = (image, *labels)
            return tuple(_gather(self.exact, one, self.patch_size, patch_start) for one in arrays)
        from connectomics.data.augmentation import kernels

        sections = _reflect(self.sections + patch_start[0], image.shape[0])
        centre = _in_plane_centre(self.patch_size, patch_start)
        where = (sections, self.points, self.step, self.patch_size[1:], centre)
        source = np.ascontiguousarray(image, dtype=np.float32)
        return kernels.sample(source, *where), *(kernels.look_up(one, *where) for one in labels)


FAR = 64
"""Pixels between the points of affine steps, between which nothing bends."""

SMOOTH = 8
"""Points for each control point of a displacement, between which it hardly bends: straight lines
between them err by at most a 128th of its amplitude."""


def trace(steps: Sequence[Step], patch_size: Size3) -> Origins:
    """Follow a patch back through the steps.

    Args:
        steps: In the order in which they are applied to the image.
        patch_size: The patch, `(z, y, x)` voxels.
    """
    chain = compose_geometry(steps) or (SectionAffine.of(patch_size[0]),)
    bends = [step.spacing for step in chain if isinstance(step, Displacement)]
    between = max(1, int(min(bends) // SMOOTH)) if bends else FAR
    only = chain[0] if len(chain) == 1 else None
    exact = only if isinstance(only, SectionAffine) and only.is_exact() else None
    if exact is not None:
        sections, points = exact.sections, _corners(exact, patch_size)
    else:
        sections, points = source_points(chain, patch_size, between)
    return Origins(patch_size, sections, points, between, exact)


def _corners(step: SectionAffine, patch_size: Size3) -> np.ndarray:
    """`(Z, 2, 2, 2)` source points of the corners of each section."""
    y, x = ((n - 1) / 2 for n in patch_size[1:])
    corners = np.array([[(-y, -x), (-y, x)], [(y, -x), (y, x)]])
    points = np.einsum("zij,abj->zabi", step.matrix, corners) + step.offset[:, None, None]
    return points.astype(np.float32)


def source_points(
    steps: Sequence[Step], patch_size: Size3, between: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Follow voxels of a patch back through the steps.

    Args:
        steps: In the order in which they are applied to the image.
        patch_size: The patch, `(z, y, x)` voxels.
        between: Which pixels along y and x: every so many, from the first on, and the last.

    Returns:
        `(Z,)` source section of each output section, counted from the start of the patch, and
        `(Z, rows, cols, 2)` float32 source points, `(y, x)` px from the patch centre.
    """
    from connectomics.data.augmentation import kernels

    sections = np.arange(patch_size[0])
    points = kernels.centred_grid(*patch_size, between)
    for step in reversed(compose_geometry(steps)):
        if isinstance(step, SectionAffine):
            kernels.affine_points(points, sections, step.matrix, step.offset)
            sections = step.sections[sections]
        else:
            kernels.displace_points(points, sections, step.control, step.spacing, step.origin)
    return sections, points


def resample(
    steps: Sequence[Step],
    image: np.ndarray,
    *labels: np.ndarray,
    patch_size: Size3,
    patch_start: Size3 | None = None,
) -> tuple[np.ndarray, ...]:
    """Cut a patch out of a source crop and apply the steps to it, in one pass.

    Steps that only flip, turn by 90° or shift by whole pixels move values and compute none.
    What lies beyond the crop is its mirror image about the outermost pixels.

    Args:
        steps: In the order in which they are applied. None at all: a plain crop.
        image: `(Z, Y, X)` source crop; interpolated linearly.
        *labels: `(Z, Y, X)` arrays on the same grid, any dtype; nearest neighbour.
        patch_size: What to return, `(z, y, x)` voxels.
        patch_start: Where the patch begins in the crop; by default it lies in the middle.

    Returns:
        The image (float32 once interpolated, else its own dtype) and the labels, as new arrays
        of `patch_size`.
    """
    if patch_start is None:
        patch_start = centred_start(image.shape, patch_size)
    return trace(steps, patch_size).read(image, *labels, patch_start=patch_start)


def centred_start(source_shape: Sequence[int], patch_size: Size3) -> Size3:
    """Where a patch begins that lies in the middle of its source crop; negative if larger.

    >>> centred_start((18, 300, 301), (18, 256, 256))
    (0, 22, 22)
    """
    pairs = zip(source_shape, patch_size, strict=True)
    z, y, x = ((source - patch) // 2 for source, patch in pairs)
    return z, y, x


def _gather(
    step: SectionAffine, array: np.ndarray, patch_size: Size3, patch_start: Size3
) -> np.ndarray:
    depth, height, width = patch_size
    ys = np.arange(height) - (height - 1) / 2
    xs = np.arange(width) - (width - 1) / 2
    centre = step.offset + _in_plane_centre(patch_size, patch_start)
    sections = _reflect(step.sections + patch_start[0], array.shape[0])
    patch = np.empty(patch_size, array.dtype)
    for z in range(depth):
        matrix = step.matrix[z]
        transposed = matrix[0, 0] == 0
        along_y, along_x = (xs, ys) if transposed else (ys, xs)
        # Half pixels arise only where a patch of odd Y - X is turned on its side.
        rows = np.floor(matrix[0].sum() * along_y + centre[z, 0] + 0.5).astype(np.intp)
        cols = np.floor(matrix[1].sum() * along_x + centre[z, 1] + 0.5).astype(np.intp)
        section = array[sections[z]]
        inside = _run(rows, array.shape[1]), _run(cols, array.shape[2])
        if inside[0] and inside[1]:  # a view costs nothing
            section = section[inside]
        else:
            y, x = _reflect(rows, array.shape[1]), _reflect(cols, array.shape[2])
            section = section[np.ix_(y, x)]
        patch[z] = section.T if transposed else section
    return patch


def _run(index: np.ndarray, length: int) -> slice | None:
    """Indices one after the other, up or down, as a slice; None where some lie outside."""
    first, last = int(index[0]), int(index[-1])
    if min(first, last) < 0 or max(first, last) >= length:
        return None
    if last >= first:
        return slice(first, last + 1)
    return slice(first, last - 1 if last else None, -1)


def _in_plane_centre(patch_size: Size3, patch_start: Size3) -> np.ndarray:
    return np.asarray(patch_start[1:]) + (np.asarray(patch_size[1:]) - 1) / 2


def _reflect(index: np.ndarray, length: int) -> np.ndarray:
    period = max(2 * (length - 1), 1)
    index = np.abs(index) % period
    return np.where(index < length, index, period - index)
