"""Look at a run in Neuroglancer: `python scripts/view.py RUN_FOLDER [volume=NAME] [port=N]`."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from signal import SIGINT
from threading import Event
from typing import TYPE_CHECKING

try:
    from connectomics.errors import ConfigError, did_you_mean
    from connectomics.neuroglancer.link import VIEWER
    from connectomics.process.outcome import in_process, reported, require_current_folder
    from connectomics.process.signals import Stopped
except ModuleNotFoundError as error:
    runpy.run_path(str(Path(__file__).with_name("missing.py")))["end"](error)
    raise

if TYPE_CHECKING:
    from connectomics.viewer import Shown, ViewServer

LOCAL = "local"
SETTINGS = ("volume", "port", "viewer")
USAGE = f"""\
usage: python scripts/view.py RUN_FOLDER [volume=NAME] [port=NUMBER] [viewer=ADDRESS]

Serves EM, probabilities, labels and synapses of a run to this machine, read-only, and prints the
address at which Neuroglancer shows them. The viewer's page comes from the web ({VIEWER}
unless viewer=ADDRESS names another), or from this machine, too, with viewer=local (it takes:
pip install "neuroglancer>=2.40"); the data do not leave this machine. Ctrl-C ends it.

  volume=NAME   one volume of the run, by its folder in results/; all of them unless given
  port=NUMBER   of this machine; any that is free unless given"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, see `USAGE`; the exit status is that of `Outcome`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or {"-h", "--help"} & {*given}:
        print(USAGE)
        return 0 if given else 2
    with reported() as outcome:
        require_current_folder()
        view(given)
    return outcome.status


def view(arguments: Sequence[str], stop: Event | None = None) -> None:
    """Serve a run until it is stopped.

    Args:
        arguments: As on the command line.
        stop: Set it to stop; Ctrl-C does, too.

    Raises:
        ConfigError: A setting is misspelt or makes no sense.
        DataError, MachineError: There is nothing to show, or the port is taken.
    """
    from connectomics.viewer import find_volumes, serve

    run, settings = _settings(arguments)
    shown = find_volumes(run, settings.get("volume"))
    with serve(shown, int(settings.get("port", "0"))) as server:
        for one in shown:
            print(f"{one.name}: {', '.join(one.layers)}")
            for note in one.notes:
                print(f"  {note}")
            print(f"  {_page(settings.get('viewer', VIEWER), server, one)}")
        if settings.get("viewer") != LOCAL:
            print("The page of the viewer comes from the web; the data stay on this machine.")
            print("The browser may ask whether that page may reach this machine: allow it.")
        print("Ctrl-C ends it.", flush=True)
        try:
            (stop or Event()).wait()
        except Stopped as stopped:
            if stopped.signal != SIGINT:  # which is how it is meant to end
                raise


def _page(viewer: str, server: ViewServer, shown: Shown) -> str:
    """The address that opens a volume in the viewer."""
    if viewer == LOCAL:
        from connectomics.viewer import open_locally

        return open_locally(server.state_of(shown))
    return f"{viewer.partition('#')[0]}#!{server.view_of(shown)}"


def _settings(arguments: Sequence[str]) -> tuple[Path, dict[str, str]]:
    folders = [one for one in arguments if "=" not in one]
    settings = dict(one.split("=", 1) for one in arguments if "=" in one)
    for name in settings:
        if name not in SETTINGS:
            raise ConfigError(name, "there is no such setting.", did_you_mean(name, SETTINGS))
    port = settings.get("port", "0")
    if not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"port={port}", "is no port.", "Give a number from 1024 to 65535.")
    viewer = settings.get("viewer", VIEWER)
    if viewer != LOCAL and not viewer.startswith(("https://", "http://")):
        raise ConfigError(f"viewer={viewer}", "is no address.", f"Such as {VIEWER}, or {LOCAL}.")
    if len(folders) != 1:
        raise ConfigError("command line", f"names {len(folders)} run folders.", "Name one.")
    return Path(folders[0]).expanduser(), settings


if __name__ == "__main__":
    with in_process():
        sys.exit(main())
