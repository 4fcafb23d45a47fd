"""Augmentations that move voxels: image, label and mask together.

They act within sections, apart from the order of the sections: in serial-section EM a voxel
is several times deeper than wide, and sections are cut, imaged and aligned one by one. Pixels
are taken to be square. The side of a synapse is a property of the voxel, so no flip or turn
ever swaps pre and post.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from connectomics.data.augmentation.interface import GeometricAugmentation, require_range
from connectomics.data.augmentation.warp import Displacement, SectionAffine, Size3
from connectomics.errors import ConfigError

QUARTER_TURN = np.array([[0, 1], [-1, 0]])


@dataclass(frozen=True, kw_only=True)
class Flip(GeometricAugmentation):
    """Mirror along axes.

    Attributes:
        prob: The chance of each axis, on its own.
        axes: Which axes may flip: 0 = z, 1 = y, 2 = x.
    """

    prob: float = 0.5
    axes: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        require_range(self, prob=(0, 1))
        if not set(self.axes) <= {0, 1, 2}:
            raise ConfigError(
                "Flip.axes", f"{self.axes} names an axis that is not there.", "Axes: 0, 1, 2."
            )

    def sample(self, shape: Size3, rng: np.random.Generator) -> SectionAffine | None:
        """Draw the axes to flip."""
        drawn = rng.random(3) < self.prob
        flip_z, flip_y, flip_x = (bool(drawn[axis]) and axis in self.axes for axis in range(3))
        if not (flip_z or flip_y or flip_x):
            return None
        sections = np.arange(shape[0])
        return SectionAffine.of(
            shape[0],
            sections=sections[::-1] if flip_z else sections,
            matrix=np.diag([-1 if flip_y else 1, -1 if flip_x else 1]),
        )


@dataclass(frozen=True, kw_only=True)
class Rotate90(GeometricAugmentation):
    """Turn in-plane by 90°, 180° or 270°, as `np.rot90` does.

    The shape stays; a patch that is not square reads a larger source instead.

    Attributes:
        prob: The chance of a turn. 0.75 makes the four orientations equally likely.
    """

    prob: float = 0.75

    def __post_init__(self) -> None:
        require_range(self, prob=(0, 1))

    def margin(self, shape: Size3) -> Size3:
        """What a patch that is not square needs to lie on its side."""
        return _transposed_margin(shape)

    def sample(self, shape: Size3, rng: np.random.Generator) -> SectionAffine | None:
        """Draw the number of quarter turns."""
        if rng.random() >= self.prob:
            return None
        turns = int(rng.integers(1, 4))
        return SectionAffine.of(shape[0], matrix=np.linalg.matrix_power(QUARTER_TURN, turns))


@dataclass(frozen=True, kw_only=True)
class Transpose(GeometricAugmentation):
    """Exchange y and x. The shape stays, as for `Rotate90`.

    Attributes:
        prob: The chance of it.
    """

    prob: float = 0.5

    def __post_init__(self) -> None:
        require_range(self, prob=(0, 1))

    def margin(self, shape: Size3) -> Size3:
        """What a patch that is not square needs to lie on its side."""
        return _transposed_margin(shape)

    def sample(self, shape: Size3, rng: np.random.Generator) -> SectionAffine | None:
        """Draw whether to transpose."""
        if rng.random() >= self.prob:
            return None
        return SectionAffine.of(shape[0], matrix=np.array([[0, 1], [1, 0]]))


@dataclass(frozen=True, kw_only=True)
class Affine(GeometricAugmentation):
    """Rotate, scale and shear in-plane, all sections alike.

    Attributes:
        prob: The chance of it. Interpolation softens the image a little, so leave some
            patches as they were taken.
        rotation: Largest rotation to either side, degrees. Above 0 the patch reads corners up
            to √2 times as far out.
        scale: Largest change of size: each of y and x is scaled by a factor of its own between
            1 / (1 + scale) and 1 + scale.
        shear: Largest shear, pixels per pixel.
    """

    prob: float = 0.5
    rotation: float = 180.0
    scale: float = 0.1
    shear: float = 0.1

    def __post_init__(self) -> None:
        require_range(self, prob=(0, 1), rotation=(0, 180), scale=(0, 1), shear=(0, 1))

    def margin(self, shape: Size3) -> Size3:
        """What the farthest corner may need."""
        y, x = ((size - 1) / 2 * (1 + self.scale) for size in shape[1:])
        return _rotated_margin(shape, (y + self.shear * x, x), self.rotation)

    def sample(self, shape: Size3, rng: np.random.Generator) -> SectionAffine | None:
        """Draw angle, factors and shear."""
        if rng.random() >= self.prob:
            return None
        angle = rng.uniform(-self.rotation, self.rotation)
        limit = math.log1p(self.scale)
        factors = np.diag(np.exp(rng.uniform(-limit, limit, size=2)))
        shear = np.array([[1, rng.uniform(-self.shear, self.shear)], [0, 1]])
        return SectionAffine.of(shape[0], matrix=_rotation(angle) @ shear @ factors)


@dataclass(frozen=True, kw_only=True)
class Elastic(GeometricAugmentation):
    """Displace smoothly in-plane, as fixation and sectioning deform tissue.

    A free-form deformation (Rueckert et al., IEEE TMI 1999): random displacements at control
    points, cubic B-splines between them. It cannot fold, because an amplitude of at most 0.48
    of the spacing keeps it one-to-one (Choi and Lee, Graphical Models 2000).

    Attributes:
        prob: The chance of it.
        amplitude: Largest displacement along y and along x, px. Typical ones are a third of it.
        spacing: Between control points, px.
        section_variation: Share of the displacement that each section draws for itself: 0 moves
            all sections alike, 1 each on its own.
    """

    prob: float = 0.3
    amplitude: float = 16.0
    spacing: float = 64.0
    section_variation: float = 0.2

    def __post_init__(self) -> None:
        require_range(
            self, prob=(0, 1), amplitude=(0, 1000), spacing=(4, 10_000), section_variation=(0, 1)
        )
        if self.amplitude > 0.48 * self.spacing:
            raise ConfigError(
                "Elastic.amplitude",
                f"{self.amplitude} px would fold the tissue over itself between control points "
                f"{self.spacing} px apart.",
                f"At most 0.48 * spacing = {0.48 * self.spacing:g}, or a larger spacing.",
            )

    def margin(self, shape: Size3) -> Size3:
        """The amplitude, which B-splines never exceed."""
        del shape
        return 0, math.ceil(self.amplitude), math.ceil(self.amplitude)

    def sample(self, shape: Size3, rng: np.random.Generator) -> Displacement | None:
        """Draw the control points."""
        if rng.random() >= self.prob:
            return None
        rows, cols = (int((size - 1) // self.spacing) + 4 for size in shape[1:])
        shared = rng.uniform(-1, 1, (1, rows, cols, 2))
        own = rng.uniform(-1, 1, (shape[0], rows, cols, 2))
        mixed = (1 - self.section_variation) * shared + self.section_variation * own
        control = (self.amplitude * mixed).astype(np.float32)
        return Displacement(control, float(self.spacing), ((1 - shape[1]) / 2, (1 - shape[2]) / 2))


@dataclass(frozen=True, kw_only=True)
class Misalignment(GeometricAugmentation):
    """Break the alignment of the stack, in image and label alike.

    Either a translation (all sections from a random one on are displaced) or a slip (one
    section alone is). Whole pixels, so that nothing is interpolated unless sections turn too.

    Attributes:
        prob: The chance of it. A patch of a single section has nothing to misalign.
        displacement: Largest displacement along y and along x, px.
        rotation: Largest rotation of the displaced sections to either side, degrees.
        slip: The share of slips among misalignments.
    """

    prob: float = 0.3
    displacement: int = 16
    rotation: float = 0.0
    slip: float = 0.5

    def __post_init__(self) -> None:
        require_range(self, prob=(0, 1), displacement=(0, 1000), rotation=(0, 180), slip=(0, 1))

    def margin(self, shape: Size3) -> Size3:
        """The displacement, and what the rotation needs."""
        half = ((shape[1] - 1) / 2, (shape[2] - 1) / 2)
        z, y, x = _rotated_margin(shape, half, self.rotation)
        return z, y + self.displacement, x + self.displacement

    def sample(self, shape: Size3, rng: np.random.Generator) -> SectionAffine | None:
        """Draw the displaced sections and their displacement."""
        depth = shape[0]
        if rng.random() >= self.prob or depth < 2:
            return None
        step = SectionAffine.of(depth)
        if rng.random() < self.slip:
            moved = slice(section := int(rng.integers(depth)), section + 1)
        else:
            moved = slice(int(rng.integers(1, depth)), depth)
        step.offset[moved] = rng.integers(-self.displacement, self.displacement, 2, endpoint=True)
        if self.rotation:
            step.matrix[moved] = _rotation(rng.uniform(-self.rotation, self.rotation))
        return step


def _rotation(degrees: float) -> np.ndarray:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cosine, sine], [-sine, cosine]])


def _transposed_margin(shape: Size3) -> Size3:
    _, y, x = shape
    return 0, max(0, math.ceil((x - y) / 2)), max(0, math.ceil((y - x) / 2))


def _rotated_margin(shape: Size3, half: tuple[float, float], degrees: float) -> Size3:
    """How far a rectangle of half extents `half` sticks out of `shape` when it turns."""
    y = _rotated_reach(half[0], half[1], degrees) - (shape[1] - 1) / 2
    x = _rotated_reach(half[1], half[0], degrees) - (shape[2] - 1) / 2
    return 0, max(0, math.ceil(y - 1e-6)), max(0, math.ceil(x - 1e-6))


def _rotated_reach(along: float, across: float, degrees: float) -> float:
    """The farthest that any rotation up to `degrees` brings a corner along the first axis."""
    angle = min(math.radians(degrees), math.atan2(across, along))
    return along * math.cos(angle) + across * math.sin(angle)
