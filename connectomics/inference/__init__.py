"""A network and a volume become a probability volume."""

from __future__ import annotations

from connectomics.inference.predict import predict_volume

__all__ = ["predict_volume"]
