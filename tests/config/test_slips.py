"""Likely slips in values."""

from __future__ import annotations

from connectomics.config.schema import Config
from connectomics.config.slips import likely_slip


def test_no_slip_is_seen_in_a_text_without_end_and_no_empty_list_is_offered():
    expected = "settings, each as 'key: value'"
    assert "model/rsunet=demo" in likely_slip(("model", "rsunet"), "demo", expected, Config)
    assert likely_slip(("model", "rsunet"), "x" * 5000, expected, Config) == ""
    assert likely_slip(("model",), "demo", expected, Config) == ""
