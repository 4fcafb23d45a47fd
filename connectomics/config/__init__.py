"""One YAML file becomes one checked config."""

from __future__ import annotations

from connectomics.config.channels import channel_range
from connectomics.config.json_schema import json_schema
from connectomics.config.levels import MODES
from connectomics.config.load import Resolved, load_config
from connectomics.config.schema import Config
from connectomics.config.signatures import check_kwargs

__all__ = [
    "MODES",
    "Config",
    "Resolved",
    "channel_range",
    "check_kwargs",
    "json_schema",
    "load_config",
]
