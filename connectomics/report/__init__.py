"""What a run leaves to look at."""

from __future__ import annotations

from connectomics.report.background import Background, background_of, training_curves
from connectomics.report.curves import precision_recall_figure
from connectomics.report.figures import (
    busiest_view,
    comparison_figure,
    section_title,
    side_overlay,
)
from connectomics.report.page import write_page
from connectomics.report.scenes import Found, found_scene, scored_scene
from connectomics.report.search import search_figure

__all__ = [
    "Background",
    "Found",
    "background_of",
    "busiest_view",
    "comparison_figure",
    "found_scene",
    "precision_recall_figure",
    "scored_scene",
    "search_figure",
    "section_title",
    "side_overlay",
    "training_curves",
    "write_page",
]
