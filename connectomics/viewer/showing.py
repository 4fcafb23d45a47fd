"""What Neuroglancer is to show of a volume: where, how large, which layers in which colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np

from connectomics.data.io import LazyVolume
from connectomics.decoding import read_table
from connectomics.decoding.columns import points
from connectomics.errors import DataError
from connectomics.neuroglancer.volume import first_voxel
from connectomics.viewer.layers import Shown, shown_grid

WINDOW = (700, 1200)
"""Pixels (y, x) that a view has at least, on most screens."""

EM = """\
#uicontrol invlerp normalized
void main() {
  emitGrayscale(normalized());
}
"""
PROBABILITIES = """\
#uicontrol float threshold slider(min=0, max=1, default=0.2)
void main() {
  float pre = toNormalized(getDataValue(0)), post = toNormalized(getDataValue(1));
  float most = max(pre, post);
  emitRGBA(vec4(pre, 0.5 * pre + 0.4 * post, post, most < threshold ? 0.0 : most));
}
"""
SIDES = """\
void main() {
  uint side = toRaw(getDataValue());
  if (side == 0u) emitTransparent();
  else emitRGB(side == 1u ? vec3(1.0, 0.55, 0.0) : vec3(0.1, 0.45, 1.0));
}
"""
LINES = """\
void main() {
  setColor(mix(vec3(1.0, 0.2, 0.1), vec3(0.2, 1.0, 0.3), prop_confidence()));
  setEndpointMarkerColor(vec3(1.0, 0.55, 0.0), vec3(0.1, 0.45, 1.0));
}
"""


def view_state(shown: Shown, address: str) -> dict[str, Any]:
    """What the viewer is to show: the whole volume where it fits into it, else the surest synapse.

    Args:
        shown: A volume of a run.
        address: Below which its layers are served.
    """
    grid = shown_grid(shown.place)
    assert grid.resolution is not None
    nm, shape = grid.resolution, shown.place.shape[-3:]
    rows, columns = (n * size / m for n, size, m in zip(shape[1:], nm[1:], WINDOW, strict=True))
    per_pixel = max(rows, columns) / min(nm)
    inside = [n / 2 for n in shape]
    if synapse := _surest(shown):
        inside = synapse if per_pixel > 1 else [synapse[0], *inside[1:]]
    position = [a + n for a, n in zip(first_voxel(grid), inside, strict=True)]
    return {
        "dimensions": {a: [n / 1e9, "m"] for a, n in zip("xyz", reversed(nm), strict=True)},
        "position": position[::-1],
        "crossSectionScale": min(per_pixel, 1.0),
        "projectionScale": 2 * per_pixel * WINDOW[0],
        "layers": list(_layers(shown, f"precomputed://{address}/{quote(shown.name)}", inside)),
        "layout": "xy",
    }


def _surest(shown: Shown) -> list[float] | None:
    """The middle (z, y, x) of the synapse that is surest, in voxels of the view."""
    table = None if shown.table is None else read_table(shown.table)
    if table is None or table.empty:
        return None
    best = table.loc[[table["confidence"].fillna(0).idxmax()]]
    return (shown_grid(shown.place).to_voxels(points(best, "centre"))[0] + 0.5).tolist()


def _layers(shown: Shown, address: str, inside: Sequence[float]) -> Iterator[dict[str, Any]]:
    for name in shown.layers:
        layer: dict[str, Any] = {"name": name, "source": f"{address}/{name}"}
        if name == "em":
            layer |= {"type": "image", "shader": EM}
            if grey := _grey_values(shown.volumes[name], inside):
                layer["shaderControls"] = {"normalized": {"range": grey}}
        elif name == "probabilities":
            layer |= {"type": "image", "visible": False}
            if len(shown.volumes[name].shape) == 4 and shown.volumes[name].shape[0] > 1:
                layer |= {"shader": PROBABILITIES, "opacity": 0.5}
        elif name == "sides":
            layer |= {"type": "image", "shader": SIDES, "opacity": 0.4}
        elif name == "labels":
            faint = {"selectedAlpha": 0.15} if "sides" in shown.layers else {}
            layer |= {"type": "segmentation", **faint}
        else:
            layer |= {"type": "annotation", "shader": LINES, **_linked(shown)}
        yield layer


def _linked(shown: Shown) -> dict[str, Any]:
    """Where labels are selected, only their synapses are to be shown."""
    if "labels" not in shown.layers:
        return {}
    segments = ["pre_segment", "post_segment"]
    linked = dict.fromkeys(segments, "labels")
    return {"linkedSegmentationLayer": linked, "filterBySegmentation": segments}


def _grey_values(em: LazyVolume, inside: Sequence[float]) -> list[float] | None:
    """The darkest and lightest of what is looked at first; None where it is all one."""
    window = []
    for at, most, n in zip(inside, (1, 512, 512), em.shape, strict=True):
        start = min(max(0, int(at) - most // 2), n - 1)
        window.append(slice(start, min(start + most, n)))
    try:
        grey = em[tuple(window)].read().astype(np.float64)
    except DataError:
        return None  # who asks for those voxels is told
    dark, light = np.nanpercentile(grey, (0.2, 99.8))
    return [float(dark), float(light)] if dark < light else None
