"""Every code block of docs/python.md runs, one after another; the notebook is the page."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def page():
    spec = importlib.util.spec_from_file_location("from_page", DOCS / "notebooks" / "from_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_notebook_is_the_page(page):
    text = page.as_text(page.notebook_of(page.PAGE.read_text("utf-8")))
    assert page.NOTEBOOK.read_text("utf-8") == text, "run docs/notebooks/from_page.py"
    for cell in json.loads(text)["cells"]:
        assert cell.get("outputs", []) == []


@pytest.mark.slow
def test_the_notebook_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names: dict[str, object] = {}
    cells = json.loads(page.NOTEBOOK.read_text("utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) == page.PAGE.read_text("utf-8").count("```python")
    for number, block in enumerate(code):
        exec(compile(block, f"block {number} of docs/python.md", "exec"), names)
    assert "f1_pol" in capsys.readouterr().out
    assert names["probabilities"].shape == (3, 24, 96, 96)  # type: ignore[attr-defined]
    assert names["scores"].f1_pol > 0.8  # type: ignore[attr-defined]
