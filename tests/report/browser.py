"""A page as a browser shows it, for tests: without one on the PATH they are skipped.

Chromium is spoken to through two pipes, in its DevTools protocol. So a window can be as narrow as a
phone (a window on a screen cannot), keys are pressed as a person does, and times are real ones.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
PATIENCE = 120
"""Seconds to wait for an answer."""

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe")
LAY_PIPES = [
    *(sys.executable, "-ISc"),
    "import os, sys\n"
    "ends = [os.dup2(int(end), at) for end, at in zip(sys.argv[1:3], (203, 204))]\n"
    "[os.dup2(end, at) for end, at in zip(ends, (3, 4))]\n"
    "os.execv(sys.argv[3], sys.argv[3:])",
]
"""A command that becomes the browser, with its pipes where the browser looks for them."""

KEYS = {"Tab": 9, "Enter": 13, " ": 32, "Escape": 27}
LOADED = 'if (document.readyState !== "complete") await new Promise((go) => (onload = go));'
ASKED = "(async () => { %s })()"


class Tab:
    """A page that is open.

    Attributes:
        faults: What the page complained of, and what it could not load.
    """

    def __init__(self, asking: int, answering: int) -> None:
        self.faults: list[str] = []
        self._asking, self._answering = asking, answering
        self._session: str | None = None
        self._sent = 0
        self._asked_for: dict[str, str] = {}
        self._read = b""
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        attached = self.command("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def show(self, address: str, width: int, *, dark: bool) -> None:
        """Load a page as it is shown on a screen of some width."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.command("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])
        self.command("Page.navigate", url=address)
        self.run(LOADED)

    def run(self, script: str) -> Any:
        """Run the body of an async function in the page, and say what it returns."""
        told = self.command(
            "Runtime.evaluate",
            expression=ASKED % script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key of `KEYS`, as a person does."""
        text = {"Enter": "\r", " ": " "}.get(key)
        pressed = {"key": key, "windowsVirtualKeyCode": KEYS[key], "code": key}
        more = {"text": text} if text else {}
        self.command("Input.dispatchKeyEvent", type="keyDown", **pressed, **more)
        self.command("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def picture(self, path: Path) -> None:
        """Write a PNG of what the window shows."""
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot")["data"]))

    def command(self, method: str, **options: Any) -> dict[str, Any]:
        """Send a command of the protocol, and wait for its answer."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": options}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._asking, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            told = self._next(deadline)
            if told.get("id") == self._sent:
                assert "error" not in told, told
                return told["result"]
            self._hear(told.get("method", ""), told.get("params", {}))

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._answering], [], [], deadline - time.monotonic())
            assert ready, "the browser does not answer"
            more = os.read(self._answering, 1 << 20)
            assert more, "the browser has ended"
            self._read += more
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)

    def _hear(self, event: str, told: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(told["exceptionDetails"])[:500])
        elif event == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert", "warning"):
            self.faults.append(" ".join(str(one.get("value")) for one in told["args"]))
        elif event == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.faults.append(told["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            self._asked_for[told["requestId"]] = told["request"]["url"]
        elif event == "Network.loadingFailed":
            self.faults.append(f"{self._asked_for.get(told['requestId'])}: {told['errorText']}")


@contextmanager
def opened(page: Path | str, *, width: int = 1280, dark: bool = False) -> Iterator[Tab]:
    """Open a page in a browser of its own.

    Args:
        page: An HTML file, or an address.
        width: Of the window, in pixels.
        dark: Whether the person likes dark pages.
    """
    assert BROWSER is not None
    address = page if isinstance(page, str) else page.absolute().as_uri()
    (ours_in, theirs_out), (theirs_in, ours_out) = os.pipe(), os.pipe()

    profile = TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile.name}"]
    browser = subprocess.Popen(
        [*LAY_PIPES, str(theirs_in), str(theirs_out), *command],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        tab = Tab(ours_out, ours_in)
        tab.show(address, width, dark=dark)
        yield tab
    finally:
        os.close(ours_out)
        os.close(ours_in)
        browser.terminate()
        browser.wait(PATIENCE)
        profile.cleanup()


def ask(page: Path, script: str, *, width: int = 1280) -> tuple[Any, list[str]]:
    """Open a page, run a script in it that returns something, and say what the page complained of.

    Args:
        page: The HTML file.
        script: The body of an async function.
        width: Of the window, in pixels.
    """
    with opened(page, width=width) as tab:
        return tab.run(script), tab.faults
