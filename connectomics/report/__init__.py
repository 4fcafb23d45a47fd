"""What a run leaves to look at."""

from __future__ import annotations

from connectomics.report.figures import busiest_section, comparison_figure, side_overlay

__all__ = ["busiest_section", "comparison_figure", "side_overlay"]
