"""Make first_steps.ipynb of docs/python.md: python docs/notebooks/from_page.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "python.md"
NOTEBOOK = Path(__file__).with_name("first_steps.ipynb")
BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((notebooks/)?([a-z_]+\.[a-z]+)\)")


def notebook_of(page: str) -> dict[str, Any]:
    """The cells of a page: its code blocks, and the text between them; no outputs."""
    cells = []
    for number, part in enumerate(BLOCK.split(page)):
        if not part.strip():
            continue
        code = number % 2 == 1
        text = part.strip() if code else LINK.sub(_from_here, part.strip())
        cell = {"cell_type": "code" if code else "markdown", "id": f"cell-{len(cells)}"}
        cell |= {"metadata": {}, "source": text.splitlines(keepends=True)}
        cells.append(cell | ({"execution_count": None, "outputs": []} if code else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}


def _from_here(link: re.Match[str]) -> str:
    """A link as it has to be in the folder of notebooks."""
    return f"]({link[2]})" if link[1] else f"](../{link[2]})"


def as_text(notebook: dict[str, Any]) -> str:
    """A notebook as its file."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(as_text(notebook_of(PAGE.read_text("utf-8"))), "utf-8")
