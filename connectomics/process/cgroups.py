"""The cgroups of this process (version 1 or 2): where a container or a scheduler sets limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def folders_of(controller: str) -> Iterator[tuple[Path, bool]]:
    """The folders of the cgroups that limit something, each with those above it.

    Args:
        controller: "cpu" or "memory".

    Yields:
        A folder, there or not, and whether it is of version 2.
    """
    try:
        lines = MEMBERSHIP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # Version 1 mounts a controller alone, or with those it is bound to.
        tops = dict.fromkeys((controller, controllers)) if controllers else [""]
        for top in tops:
            for part in (path, *map(str, Path(path).parents)):
                yield CGROUPS / top / part.strip("/"), not controllers
