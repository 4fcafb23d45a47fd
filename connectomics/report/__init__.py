"""What a run leaves to look at."""

from __future__ import annotations

from connectomics.report.curves import precision_recall_figure
from connectomics.report.figures import busiest_section, comparison_figure, side_overlay
from connectomics.report.search import search_figure

__all__ = [
    "busiest_section",
    "comparison_figure",
    "precision_recall_figure",
    "search_figure",
    "side_overlay",
]
