"""A page as a browser shows it, for tests: without one on the PATH they are skipped."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)

WATCH = """<script>
window.faults = [];
window.addEventListener("error", (event) => window.faults.push(String(event.message)), true);
const complain = console.error;
console.error = (...told) => { window.faults.push(told.join(" ")); complain(...told); };
</script>"""
ASK = """<script>
window.addEventListener("load", () => setTimeout(async () => {
  const answer = await (async () => { %s })();
  const told = document.createElement("pre");
  told.id = "answer";
  told.textContent = JSON.stringify({answer, faults: window.faults});
  document.body.append(told);
}, 50));
</script>"""


def ask(page: Path, script: str, *, width: int = 1280, tmp_path: Path) -> tuple[Any, list[str]]:
    """Open a page, run a script in it that returns something, and say what the page complained of.

    Args:
        page: The HTML file.
        script: The body of an async function.
        width: Of the window, in pixels.
        tmp_path: For a copy of the page with the script, and the browser's own files.
    """
    text = page.read_text(encoding="utf-8").replace("<head>", f"<head>{WATCH}", 1)
    asking = tmp_path / "asking.html"
    asking.write_text(text.replace("</body>", f"{ASK % script}</body>"), encoding="utf-8")
    assert BROWSER is not None
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},900",
        "--virtual-time-budget=5000",
        "--dump-dom",
        asking.as_uri(),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r'<pre id="answer">(.*?)</pre>', shown, re.DOTALL)
    assert found, shown[-2000:]
    told = json.loads(unescape(found.group(1)))
    return told["answer"], told["faults"]
