"""A run looked at in Neuroglancer: its volumes served from this machine, and the link to them."""

from __future__ import annotations

from connectomics.viewer.layers import Shown, find_volumes
from connectomics.viewer.local import open_locally
from connectomics.viewer.server import ViewServer, serve

__all__ = ["Shown", "ViewServer", "find_volumes", "open_locally", "serve"]
