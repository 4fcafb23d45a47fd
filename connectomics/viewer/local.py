"""Neuroglancer's page from this machine, by its own package."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from connectomics.errors import ConfigError

INSTALL = 'Run: pip install "neuroglancer>=2.40"'

_viewers: list[Any] = []
"""Their server knows of no viewer that nobody else holds."""


def open_locally(state: Mapping[str, Any]) -> str:
    """Serve the viewer for as long as this process lives.

    Args:
        state: What it is to show.

    Returns:
        Its address, which only this machine reaches.

    Raises:
        ConfigError: The package is not installed.
    """
    try:
        neuroglancer = importlib.import_module("neuroglancer")
    except ImportError as error:
        problem = "needs the package neuroglancer, which is not installed."
        raise ConfigError("viewer=local", problem, INSTALL) from error
    viewer = neuroglancer.Viewer()
    viewer.set_state(state)
    _viewers.append(viewer)
    return viewer.get_viewer_url()
